"""REST: the embedded server's HTTP side, TF Serving's routes and answers.

Imports `serving.embedded.codec`, `models`, `metrics` and `statuses`.
"""
