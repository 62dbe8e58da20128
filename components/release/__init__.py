"""Release: check the exported model and push it to the serving directory.

Imports `components.models` and `components.evaluate`; starts `serving.probe` as a program.
"""
