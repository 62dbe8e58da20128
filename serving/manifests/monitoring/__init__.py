"""Prometheus alert rules and a Grafana dashboard for one model, and what makes Prometheus scrape its servers.

Imports `pipeline.config`, `serving.access`, `serving.tf_serving` and `serving.manifests.objects`.
"""
