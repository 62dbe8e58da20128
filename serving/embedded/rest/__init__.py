"""REST: the HTTP side of the embedded server, with TF Serving's routes and responses.

Imports `components.models`, `serving.access`, `serving.embedded` (all but its program) and `serving.tf_serving`.
"""
