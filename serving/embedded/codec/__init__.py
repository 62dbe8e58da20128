"""Codec: from TF Serving's JSON to tensors and back.

Imports `serving.embedded.statuses`.
"""
