"""Choose the configuration values that are "auto": from the data (`choices`) and from the machine's speed (`budget`).

`sizes` counts the data in batches and steps. Imports `pipeline.config` and `trainer.data`; nothing imports TensorFlow.
"""
