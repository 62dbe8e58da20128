"""The same pipeline compiled, deployed and scheduled on Kubeflow Pipelines and on Vertex AI Pipelines."""
