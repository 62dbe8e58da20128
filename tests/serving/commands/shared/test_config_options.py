"""The options have the same effect as those of the local runner."""

import argparse

import local_runner
from pipeline.config import overrides
from serving.commands.shared import config_options


def test_options_have_the_same_effect_as_those_of_the_local_runner() -> None:
    arguments = ["--model", "poems", "--root", "r", "--serving-dir", "s", "--set", "serving.rest_port=9"]
    parser = argparse.ArgumentParser()
    config_options.add_arguments(parser)
    theirs = local_runner.arguments(arguments)
    explicit = {"model_name": theirs.model, "root": theirs.root, "serving_dir": theirs.serving_dir}
    assert config_options.load(parser.parse_args(arguments)) == overrides.load(theirs.preset, theirs.settings, explicit)
    assert config_options.load(parser.parse_args([])) == overrides.load(local_runner.arguments([]).preset)


def test_short_options_set_values_of_the_section_serving() -> None:
    parser = argparse.ArgumentParser()
    config_options.add_arguments(parser)
    config_options.add_access_arguments(parser.add_argument)
    given = ["--api-key-file", "none of 7", "--tls-cert", "c", "--set", "serving.access.tls_cert=other"]
    access = config_options.load(parser.parse_args(given)).serving.access
    assert (access.api_key_file, access.tls_cert, access.tls_key) == ("none of 7", "c", None)
    default = config_options.load(parser.parse_args(["--set", "serving.access.api_key_file=k"])).serving.access
    assert (default.api_key_file, default.tls_cert) == ("k", None)
