"""What `scripts/fuzz.py` and `scripts/soak.py` share: a small export, a server to test, and requests to it."""

MODEL = "char_rnn"
CHARACTERS = " \netaoinshrdluTE.,é語😀"  # of the small export
