"""Probe: does an exported model work? A program, `python -m serving.probe MODEL`.

Checks it in this process, then in TF Serving where it is installed.
Imports `serving.graph`, `serving.client`, `components.lean_imports` and `components.models`.
"""
