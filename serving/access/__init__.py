"""Access: API keys and TLS, for servers and for the commands that send requests to them.

Imports `serving.client`, `pipeline.config` and `components.errors`. Only servers import `require_key`.
"""
