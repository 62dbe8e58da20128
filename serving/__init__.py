"""Serving: the exported graph, the client, model servers and their versions, and the command line.

Packages import downward: `commands`, `launcher`, then `embedded`, `manifests`, `playground`, and `probe`, then
`rollout`, then `client`, `graph`, and `tf_serving`. They import `components`, `transform`, and `pipeline.config`.
"""
