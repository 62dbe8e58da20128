"""Submission and scheduling of a compiled pipeline on a server.

Imports `components.command_line`, `components.errors`.
"""
