"""Probe: does an export work? A program, `python -m serving.probe MODEL`.

Imports `serving.graph` and `components.lean_imports`.
"""
