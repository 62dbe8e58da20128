"""REST: the HTTP side of the embedded server, with TF Serving's routes and responses.

Imports `serving.embedded.models`, `codec`, `metrics`, `request_log`, `statuses`, `serving.access`,
`serving.tf_serving.flags` and `components.models`.
"""
