"""Responses of the API, and what only resembles them; other tests send them to the client."""

import doctest

import pytest

from kubeflow.deploy import responses

LIST, PIPELINE = "V2beta1ListPipelinesResponse", "V2beta1Pipeline"


def test_docstring_examples_are_true() -> None:
    assert doctest.testmod(responses).failed == 0


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("{}", LIST),
        ('{"pipelines": [{"pipeline_id": "1", "of_a_newer_server": {}}], "total_size": 1}', LIST),
        ('{"pipelines": null, "next_page_token": ""}', LIST),
        ('{"pipeline_id": "1", "error": {"details": [{"@type": "x"}]}}', PIPELINE),
        ('{"recurring_run_id": "1"}', "V2beta1RecurringRun"),
        ('{"pipeline_version_id": "1"}', "V2beta1PipelineVersion"),
        ("{}", "V2beta1GetHealthzResponse"),
        ("{}", "object"),
    ],
)
def test_response_of_the_api_is_accepted(body: str, kind: str) -> None:
    assert responses.fault(body, kind) == ""


@pytest.mark.parametrize(
    ("body", "kind", "fault"),
    [
        ("", LIST, "it is empty"),
        (b"\xff", LIST, "it is not JSON"),
        ("[]", "object", "a JSON object is expected"),
        ('{"items": []}', LIST, "none of the fields pipelines, total_size, next_page_token is in it"),
        ('{"pipelines": {}}', LIST, "pipelines is not a list"),
        ('{"pipelines": [null]}', LIST, "a JSON object is expected"),
        ('{"pipeline_id": ""}', PIPELINE, "an object lacks the field pipeline_id"),
        ('{"pipeline_id": 7}', PIPELINE, "an object lacks the field pipeline_id"),
        ('{"run_id": "1"}', "V2beta1RecurringRun", "an object lacks the field recurring_run_id"),
    ],
)
def test_anything_else_is_named(body: str | bytes, kind: str, fault: str) -> None:
    assert responses.fault(body, kind) == fault
