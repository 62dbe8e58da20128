"""Serving: the exported graph, the client, model servers and their versions, and the command line.

Imports `components`, `pipeline.config` and `transform`. Its packages import downward: `commands`, `launcher`, then
`bulk`, `embedded`, `manifests`, `playground`, `probe`, then `rollout`, `access`, then `client`, `graph`, `tf_serving`.
"""
