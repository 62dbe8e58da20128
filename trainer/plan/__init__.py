"""Choose the configuration values that are "auto": from the data (`choices`) and from the machine's speed (`budget`).

`sizes` counts the data, `record` is the file of the choices. Without TensorFlow. Imports `components`,
`pipeline.config`, `trainer.data`.
"""
