"""Deploy: submit and schedule the compiled pipeline on a server.

Imports `components.errors` only.
"""
