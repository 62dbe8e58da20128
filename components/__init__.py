"""TFX components, in the order of the data flow: ingest, validate, evaluate, release; the registry in `models`.

The modules of this folder are shared by all packages: errors, atomic writes, start-up, exit codes, shell commands,
names of objects in a cluster. They import only one another. The docstring of each folder states what it may import.
"""
