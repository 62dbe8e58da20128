"""TF Serving: its file formats and flags.

Imports `components.errors`, `components.files`, `components.shell_command` and `pipeline.config`.
"""
