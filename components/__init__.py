"""TFX components, in the order of the data flow: ingest, validate, evaluate, release; the registry in `models`.

All packages share the modules of this folder: errors, atomic writes, start-up, exit codes, shell commands, Beam's
arguments, names of objects in a cluster. Imports nothing of the project.
"""
