"""Choose the configuration values that are "auto": from the data (`choices`) and from the machine's speed (`budget`).

`sizes` counts the data in batches and steps. Nothing here imports TensorFlow.
"""
