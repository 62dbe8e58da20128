"""Bulk jobs: generate or score the lines of a file with Beam, in shards, so that an interrupted job resumes.

Imports `components`, `serving.client` and `serving.graph`.
"""
