"""`/about` joins the model server's status and the registry; a failure of either does not break it."""

import json
import os
from pathlib import Path
from typing import Any

import httpx
import pytest

from components.models import versions
from serving.playground import about
from serving.playground.app import application
from tests.serving.playground.fake import STATUS, Browser, Fake, labeled_routes

ROOT = Path(__file__).resolve().parents[3]
ENTRY = {
    "version": 1,
    "digest": "d",
    "run_key": "k",
    "model": "/pipeline/model",
    "perplexity": 4.5,
    "bits_per_character": 2.17,
    "corpus": "/texts/poems.txt",
    "pushed_at": "2026-01-02T03:04:05+00:00",
}
FACTS = {key: ENTRY[key] for key in ("perplexity", "bits_per_character", "corpus", "pushed_at")}
LIMITS = {
    "num_chars": 300,
    "temperature": 0.8,
    "top_k": 0,
    "max_chars": 1000,
    "state_size": 514,
    "max_temperature": 9.5,
}


def describe(answers: dict[str, Any], registry: str | None = None) -> dict[str, Any]:
    app = application("http://model.example", "m", registry, transport=Fake(answers).transport)
    with Browser(app) as browser:
        response = browser.get("/about")
        assert response.headers["cache-control"] == "no-store"
        found: dict[str, Any] = response.raise_for_status().json()
        return found


@pytest.fixture
def registry(tmp_path: Path) -> Path:
    served = tmp_path / "serving" / "1"
    (served / "assets.extra").mkdir(parents=True)
    (served / "assets.extra" / "generation.json").write_text(json.dumps(LIMITS))
    folder = tmp_path / "registry"
    folder.mkdir()
    (folder / "1.json").write_text(json.dumps({**ENTRY, "served": str(served)}))
    return folder


def test_versions_labels_figures_and_limits(registry: Path) -> None:
    labels = labeled_routes(stable="1", canary="9007199254740993")
    found = describe({"/v1/models/m": STATUS, **labels}, str(registry))
    assert found["model"] == "m"
    assert found["server"] == {"url": "http://model.example", "state": "available", "message": ""}
    assert [(one["version"], one["state"], one["labels"]) for one in found["versions"]] == [
        ("9007199254740993", "AVAILABLE", ["canary"]),
        ("2", "END", []),
        ("1", "AVAILABLE", ["stable"]),
    ]
    assert [one["facts"] for one in found["versions"]] == [None, None, FACTS]
    assert [one["limits"] for one in found["versions"]] == [None, None, LIMITS]


def test_without_labels_and_registry() -> None:
    found = describe({"/v1/models/m": STATUS})
    assert [one["labels"] for one in found["versions"]] == [[], [], []]
    assert {one["facts"] for one in found["versions"]} == {None}


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((404, {"error": "Could not find any versions of model m"}), "Could not find any versions of model m"),
        ({"model_version_status": [{"version": "1", "state": "LOADING"}]}, ""),
        (b"<html>not a model server</html>", ""),
        (b'["nor this"]', ""),
    ],
)
def test_a_server_without_an_available_version_is_loading(answer: Any, message: str) -> None:
    assert describe({"/v1/models/m": answer})["server"] == {
        "url": "http://model.example",
        "state": "loading",
        "message": message,
    }


def test_the_error_of_a_broken_version_is_included() -> None:
    status = {"error_code": "NOT_FOUND", "error_message": "no saved_model.pb"}
    found = describe({"/v1/models/m": {"model_version_status": [{"version": "3", "state": "END", "status": status}]}})
    assert found["versions"][0]["message"] == "no saved_model.pb"


def test_a_server_that_does_not_run_is_unreachable() -> None:
    async def fail(_: httpx.Request) -> Any:
        raise httpx.ConnectError("refused")

    found = describe({"/v1/models/m": fail})
    assert found["server"]["state"] == "unreachable"
    assert "python -m serving up" in found["server"]["message"]
    assert found["versions"] == []


def test_many_pages_cost_the_server_no_more_than_one() -> None:
    fake = Fake({"/v1/models/m": STATUS})
    app = application("http://model.example", "m", transport=fake.transport)
    with Browser(app) as browser:
        answers = [browser.get("/about").json() for _ in range(5)]
    assert len({json.dumps(answer) for answer in answers}) == 1
    assert len([request for request in fake.asked if request.url.path == "/v1/models/m"]) == 1


def test_malformed_entries_of_the_registry_are_skipped(registry: Path) -> None:
    (registry / "2.json").write_text("{half of it")
    (registry / "3.json").write_text("[]")
    (registry / "4.json").write_text('{"version": 4, "perplexity": Infinity}')
    (registry / ".5.partial").write_text('{"version": 5}')
    found = about.read_registry(str(registry))
    assert found["1"]["facts"] == FACTS
    assert set(found) == {"1", "4"}
    assert found["4"] == {"facts": dict.fromkeys(FACTS), "limits": None, "card": False}
    assert describe({"/v1/models/m": STATUS}, str(registry))["versions"][2]["facts"] == FACTS


def test_a_version_that_another_root_pushed_under_the_same_number_has_no_facts(registry: Path) -> None:
    served = registry.parent / "serving" / "1"
    (served / "saved_model.pb").write_bytes(b"ours")
    entry = {**ENTRY, "served": str(served), "digest": versions.digest(str(served))}
    (registry / "1.json").write_text(json.dumps(entry))
    assert set(about.read_registry(str(registry))) == {"1"}
    (served / "saved_model.pb").write_bytes(b"theirs")
    os.utime(served / "saved_model.pb", ns=(0, 0))  # another time, whatever the clock's resolution
    assert about.read_registry(str(registry)) == {}


def test_model_card_is_plain_text_and_only_of_the_version_that_was_pushed(registry: Path) -> None:
    served = registry.parent / "serving" / "1"
    (served / "saved_model.pb").write_bytes(b"ours")
    (served / versions.CARD).write_text("# <b>card</b>")
    entry = {**ENTRY, "served": str(served), "digest": versions.digest(str(served))}
    (registry / "1.json").write_text(json.dumps(entry))
    assert about.read_registry(str(registry))["1"]["card"]
    app = application("http://model.example", "m", str(registry), transport=Fake({}).transport)
    with Browser(app) as browser:
        answer = browser.get("/card/1")
        assert (answer.status_code, answer.text) == (200, "# <b>card</b>")
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        assert answer.headers["x-content-type-options"] == "nosniff"
        (served / "saved_model.pb").write_bytes(b"theirs")
        os.utime(served / "saved_model.pb", ns=(0, 0))
        paths = ("/card/1", "/card/2", "/card/..%2f1", "/card/-1", "/card/1.json")
        assert {browser.get(path).status_code for path in paths} == {404}


def test_a_missing_registry_is_empty(tmp_path: Path) -> None:
    assert about.read_registry(str(tmp_path / "none")) == {}


@pytest.mark.integration
def test_the_registry_written_by_the_pipeline_is_read(tmp_path: Path) -> None:
    from components.models import registry as written  # imports TensorFlow

    entry = written.Entry(**ENTRY, served=str(tmp_path / "gone"))
    written.record(str(tmp_path), entry)
    assert about.read_registry(str(tmp_path)) == {"1": {"facts": FACTS, "limits": None, "card": False}}
    assert about.read_registry(f"file://{tmp_path}") == about.read_registry(
        str(tmp_path)
    )  # by TensorFlow's file systems
