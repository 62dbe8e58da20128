"""Submission and scheduling of a compiled pipeline on a server.

Imports `components.errors`.
"""
