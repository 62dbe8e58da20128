"""API keys: the file, the two ways to send one, and no key in any message."""

import base64
import logging
from pathlib import Path

import pytest

from components.errors import UserError
from serving.access import keys
from serving.access.keys import Keys

FIRST, SECOND = "first-key-0123456789", "second:key-0123456789"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "keys"
    path.write_text(f"{FIRST}\n\n  {SECOND}  \n")
    path.chmod(0o600)
    return path


def basic(user_and_password: str) -> str:
    return "Basic " + base64.b64encode(user_and_password.encode()).decode()


def test_a_file_has_one_key_in_each_line(file: Path) -> None:
    assert keys.read(str(file)) == (FIRST, SECOND)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "No such file"),
        (b"\xff", "not text"),
        (b"\n \n", "empty"),
        (b"good-key-0123456789\nsecret", "line 2 of .*with 6 characters"),
        (b"secret secret secret", "line 1 of"),
        ("sécret-sécret-sécret".encode(), "line 1 of"),
    ],
)
def test_a_bad_file_is_reported_without_its_keys(content: bytes | None, message: str, tmp_path: Path) -> None:
    path = tmp_path / "keys"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=f"{message}.*") as raised:
        keys.read(str(path))
    assert "Received: " in str(raised.value)
    assert "cret" not in str(raised.value)


@pytest.mark.parametrize("key", [FIRST, SECOND])
def test_a_key_is_accepted_as_bearer_and_as_a_password(key: str) -> None:
    accepted = Keys([FIRST, SECOND])
    for header in (keys.header(key)["Authorization"], f"bearer   {key} ", basic(f"any user:{key}"), basic(f":{key}")):
        assert accepted.accept(header), header


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        FIRST,
        f"Bearer {FIRST}x",
        f"Bearer {FIRST[:-1]}",
        f"Digest {FIRST}",
        f"Basic {FIRST}",
        "Basic é",
        "Bearer \udcff",
        basic(FIRST),
        basic(f"{FIRST}:"),
        basic(f"user:{FIRST}x"),
    ],
)
def test_anything_else_is_not_accepted(header: str) -> None:
    assert not Keys([FIRST, SECOND]).accept(header)


def test_digests_are_compared_in_constant_time_with_every_key(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[int, int]] = []
    monkeypatch.setattr(keys.hmac, "compare_digest", lambda a, b: compared.append((len(a), len(b))) or a == b)
    assert Keys([FIRST, SECOND]).accept(f"Bearer {FIRST}")
    assert compared == [(32, 32)] * 2
    assert FIRST not in repr(vars(Keys([FIRST])))


def test_warnings(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert keys.for_server(None, "0.0.0.0", False) is None
    with caplog.at_level(logging.WARNING):
        for host, encrypted in (("127.0.0.1", False), ("::1", False), ("localhost", False), ("0.0.0.0", True)):
            assert keys.for_server(str(file), host, encrypted) is not None
        assert not caplog.records
        keys.for_server(str(file), "0.0.0.0", False)
        file.chmod(0o640)
        keys.for_server(str(file), "127.0.0.1", False)
    assert "without encryption" in caplog.messages[0]
    assert f"chmod 600 {file}" in caplog.messages[1]
    assert len(caplog.messages) == 2
    assert FIRST not in caplog.text
