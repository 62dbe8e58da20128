"""Models: versions in a serving directory and the registry of blessed models.

Imports `components.errors` only.
"""
