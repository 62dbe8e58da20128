"""The task Report: shows the result of a run in the backend's user interface, as metrics and as a page.

Run as `python -m kubeflow.report` in a container. Imports `components`, `kubeflow.task`, `pipeline.page.contents` and
`pipeline.page.html`.
"""
