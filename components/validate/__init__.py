"""Validate: check the examples against `schema/`, and new text against that of the last blessed model.

Imports `components.errors`, `components.ingest.documents`, `components.models.registry`.
"""
