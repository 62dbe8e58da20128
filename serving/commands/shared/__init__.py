"""What several commands share: the options that choose a model and its source, reading texts, changing labels.

Imports `pipeline.config`, `components` and the other packages of `serving`, but no command.
"""
