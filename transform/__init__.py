"""tf.Transform: the character vocabulary, and text to ids."""
