"""TF Serving's own file formats and flags.

Imports `components.errors`, `components.shell_command` and `pipeline.config`.
"""
