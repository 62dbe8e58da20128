"""models.config is read and written in TF Serving's own format, atomically; other fields stay as they are."""

import doctest
import errno
import fcntl
import os
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from google.protobuf import text_format
from hypothesis import given
from hypothesis import strategies as st
from tensorflow_serving.config import model_server_config_pb2 as protos

from components.errors import UserError
from serving.tf_serving import model_config
from serving.tf_serving.model_config import All, Latest, ServedModel, Specific

MODEL = ServedModel("char_rnn", "/serving/char_rnn", Specific((1, 3)), {"stable": 1, "canary": 3})
FOREIGN = """
model_config_list {
  config {
    name: "other" base_path: "/other" model_platform: "tensorflow"
    model_version_policy { latest { num_versions: 3 } }
    logging_config { sampling_config { sampling_rate: 0.5 } }
  }
  config {
    name: "char_rnn" base_path: "/old" model_platform: "tensorflow"
    logging_config { sampling_config { sampling_rate: 0.25 } }
  }
}
"""
numbers = st.integers(0, 2**62)
policies = st.one_of(
    st.builds(Latest, st.integers(1, 2**31)),
    st.just(All()),
    st.sets(numbers, min_size=1, max_size=5).map(lambda versions: Specific(tuple(sorted(versions)))),
)
text = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=20)
ids = st.lists(text, min_size=1, max_size=2).map(tuple)
awaited = st.dictionaries(numbers, ids, max_size=3)
models = st.builds(ServedModel, text, text, policies, st.dictionaries(text, numbers, max_size=3), awaited)


@given(st.lists(models, max_size=4, unique_by=lambda model: model.name))
def test_models_are_read_as_written(written: list[ServedModel]) -> None:
    content = ""
    for model in written:
        content = model_config.merged(content, model)
    assert model_config.parse(content) == written


def test_text_is_in_the_format_of_tf_serving() -> None:
    """Parsed with TF Serving's protos; TF Serving itself does not run."""
    parsed = text_format.Parse(model_config.merged("", MODEL), protos.ModelServerConfig())
    (entry,) = parsed.model_config_list.config
    assert (entry.name, entry.base_path, entry.model_platform) == ("char_rnn", "/serving/char_rnn", "tensorflow")
    assert list(entry.model_version_policy.specific.versions) == [1, 3]
    assert dict(entry.version_labels) == {"stable": 1, "canary": 3}


def test_awaited_versions_are_kept_in_a_comment() -> None:
    waits = replace(MODEL, policy=Specific((1, 3, 4)), awaited={4: ("a", "b")})
    content = model_config.merged("", waits)
    assert model_config.parse(content) == [waits]
    assert text_format.Parse(content, protos.ModelServerConfig()).model_config_list.config[0].name == "char_rnn"
    other = replace(MODEL, name="other")
    assert model_config.parse(model_config.merged(content, other)) == [waits, other]
    assert model_config.parse(model_config.merged(content, MODEL)) == [MODEL]


@pytest.mark.parametrize("comment", ["{", "[]", "7", '{"char_rnn": 4}', '{"char_rnn": {"x": []}}'])
def test_edited_comment_about_awaited_versions_is_ignored(comment: str) -> None:
    waits = replace(MODEL, policy=Specific((1, 3, 4)), awaited={4: ("a",)})
    lines = model_config.merged("", waits).splitlines()
    (number,) = (number for number, line in enumerate(lines) if "char_rnn" in line and line.startswith("#"))
    lines[number] = lines[number].partition("{")[0] + comment
    assert model_config.parse("\n".join(lines)) == [replace(waits, awaited={})]


@pytest.mark.parametrize(
    ("policy", "kept"), [(All(), {}), (Latest(2), {}), (Specific((1, 3, 4, 5)), {4: ("a",)}), (Specific((1, 3)), {})]
)
def test_awaited_are_versions_that_a_list_serves_without_a_label(
    policy: model_config.Policy, kept: dict[int, tuple[str, ...]]
) -> None:
    assert replace(MODEL, policy=policy, awaited={1: ("a",), 4: ("a",), 5: ()}).awaited == kept


def test_equal_models_have_equal_texts() -> None:
    reordered = ServedModel(MODEL.name, MODEL.base_path, MODEL.policy, dict(reversed(MODEL.labels.items())))
    assert model_config.merged("", reordered) == model_config.merged("", MODEL)


def test_other_models_and_fields_are_kept() -> None:
    entries = text_format.Parse(
        model_config.merged(FOREIGN, MODEL), protos.ModelServerConfig()
    ).model_config_list.config
    before = text_format.Parse(FOREIGN, protos.ModelServerConfig()).model_config_list.config
    assert entries[0] == before[0]
    assert entries[1].logging_config == before[1].logging_config
    assert model_config.parse(model_config.merged(FOREIGN, MODEL))[1] == MODEL


def test_without_a_policy_the_highest_version_is_served() -> None:
    assert [model.policy for model in model_config.parse(FOREIGN)] == [Latest(3), Latest(1)]


@pytest.mark.parametrize(
    "content",
    [
        "\n",  # as an editor or a loss of power leaves it: prune would delete versions that had labels
        "model_config_list {",
        "model_config_list { config { name: 'a' no_such_field: 'red' } }",
        "custom_model_config { }",
        "model_config_list { config { base_path: '/a' } }",
        "model_config_list { config { name: 'a' } config { name: 'a' } }",
    ],
)
def test_invalid_file_is_an_error_and_stays_unchanged(content: str, tmp_path: Path) -> None:
    path = tmp_path / "models.config"
    path.write_text(content)
    with pytest.raises(UserError, match=r"Received: .*models\.config"):
        model_config.read(str(path))
    with pytest.raises(UserError):
        model_config.update(str(path), "char_rnn", lambda _: MODEL)
    assert path.read_text() == content


def test_missing_file_is_created(tmp_path: Path) -> None:
    path = model_config.path_in(str(tmp_path))
    assert model_config.read(path) == []
    assert model_config.update(path, "char_rnn", lambda before: MODEL if before is None else before) == MODEL
    assert model_config.find(path, "char_rnn") == MODEL
    assert model_config.find(path, "other") is None


def test_unchanged_entry_does_not_write_the_file(tmp_path: Path) -> None:
    path = tmp_path / "models.config"
    path.write_text("# by hand\n" + model_config.merged("", MODEL))
    model_config.update(str(path), "char_rnn", lambda _: MODEL)
    assert path.read_text().startswith("# by hand")


def test_full_disk_keeps_the_old_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The full disk is simulated: fsync raises its error."""
    path = tmp_path / "models.config"
    path.write_text(FOREIGN)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match="No space left on device"):
        model_config.update(str(path), "char_rnn", lambda _: MODEL)
    assert path.read_text() == FOREIGN
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [".models.config.lock", "models.config"]


def test_file_system_without_locks_is_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    path = str(tmp_path / "models.config")
    model_config.update(path, "char_rnn", lambda _: MODEL)
    assert model_config.read(path) == [MODEL]
    assert f"{path} cannot be locked" in caplog.text


def test_error_of_afterwards_is_raised_unchanged(tmp_path: Path) -> None:
    path = str(tmp_path / "models.config")

    def fail() -> None:
        raise PermissionError(13, "of something else")

    with pytest.raises(PermissionError, match="of something else"):
        model_config.update(path, "char_rnn", lambda _: MODEL, fail)
    assert model_config.read(path) == [MODEL]


def test_file_is_readable_by_servers_of_other_users(tmp_path: Path) -> None:
    path = tmp_path / "models.config"
    before = os.umask(0o077)
    try:
        model_config.update(str(path), "char_rnn", lambda _: MODEL)
        assert path.stat().st_mode & 0o777 == 0o644
        path.chmod(0o640)
        model_config.update(str(path), "other", lambda _: replace(MODEL, name="other"))
        assert path.stat().st_mode & 0o777 == 0o640
    finally:
        os.umask(before)


def _add_labels(path: str, prefix: str) -> None:
    for number in range(20):
        model_config.update(path, "char_rnn", partial(_with_label, f"{prefix}{number}", number))


def _with_label(label: str, version: int, before: ServedModel | None) -> ServedModel:
    assert before is not None
    return ServedModel("char_rnn", "/serving", All(), before.labels | {label: version})


def test_concurrent_writers_lose_nothing_and_readers_see_complete_files(tmp_path: Path) -> None:
    path = str(tmp_path / "models.config")
    model_config.update(path, "char_rnn", lambda _: MODEL)
    with ThreadPoolExecutor() as pool:  # each opens the lock file itself, as processes do
        writers = [pool.submit(_add_labels, path, prefix) for prefix in "abc"]
        while wait(writers, timeout=0).not_done:
            assert len(model_config.read(path)) == 1
    assert [writer.exception() for writer in writers] == [None] * 3
    assert len(model_config.read(path)[0].labels) == 2 + 3 * 20


def test_example() -> None:
    result = doctest.testmod(model_config)
    assert result.failed == 0 < result.attempted
