"""Which text a run uses: whether a corpus is sufficient, and the eval text that stays the same.

Imports `components.command_line`, `components.errors`, `components.ingest`.
"""
