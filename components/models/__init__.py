"""Models: the versions in a serving directory, and the registry of blessed models.

Imports `components.files`.
"""
