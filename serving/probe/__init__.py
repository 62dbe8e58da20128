"""Probe: does an exported model work? A program, `python -m serving.probe MODEL`.

Checks it in this process, then in TF Serving where it is installed.
Imports `components.lean_imports`, `components.models`, `serving.client` and `serving.graph`.
"""
