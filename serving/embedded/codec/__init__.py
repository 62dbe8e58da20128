"""Codec: TF Serving's JSON to tensors and back.

Imports `serving.embedded.statuses` only.
"""
