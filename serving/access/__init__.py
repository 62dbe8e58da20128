"""Access: API keys, TLS and connections, for servers and for the commands that send requests to them.

Imports `components.errors`, `pipeline.config` and `serving.client`. Only servers import `require_key` and `disconnect`.
"""
