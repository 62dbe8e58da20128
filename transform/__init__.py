"""Text to ids: the preprocessing function of the TFX Transform component, and the character vocabulary.

Imports nothing of the project.
"""
