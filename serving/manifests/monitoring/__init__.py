"""Prometheus alert rules and a Grafana dashboard for one model, and what makes Prometheus scrape its servers.

Imports `components.dns_label`, `pipeline.config`, `serving.access`, `serving.manifests.objects` and
`serving.tf_serving`.
"""
