"""Which text a run uses: spans of a growing corpus, the eval text, and whether they are sufficient.

Imports `components.command_line`, `components.errors`, `components.ingest`, `components.lean_imports`,
`components.startup`.
"""
