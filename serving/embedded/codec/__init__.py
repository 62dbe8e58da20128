"""Codec: from TF Serving's JSON to tensors and back.

Imports nothing of the project but `serving.embedded.statuses`.
"""
