"""Descriptions of a deployment, made from the settings of serving alone."""
