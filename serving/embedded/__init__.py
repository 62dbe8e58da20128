"""A small server that speaks TF Serving's REST contract, for development, tests and small use."""
