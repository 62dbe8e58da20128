"""The processes of one training: who they are (`environment`), and what they do together (`collective`).

Imports `components.errors`. `collective` imports TensorFlow, the package itself does not.
"""

from trainer.cluster.environment import START_AGAIN, VARIABLE, Cluster, ProcessLost, from_environment

__all__ = ["START_AGAIN", "VARIABLE", "Cluster", "ProcessLost", "from_environment"]
