"""Release: check the exported model and push it to the serving directory.

Imports `components.models`, `components.evaluate` and `components.validate`; starts `serving.probe`.
"""
