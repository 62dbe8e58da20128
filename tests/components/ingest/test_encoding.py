import gzip
import subprocess
from pathlib import Path

import pytest

from components.errors import UserError
from components.ingest.corpora import resolve
from components.ingest.selection.check import check
from components.ingest.text import decode

RUSSIAN = "Первая строка текста о море и о лодке, которую никто не видел. " * 5
JAPANESE = "港の灯りは夜ごとに点されて、船はその光を頼りに帰って来た。" * 5
CHINESE = "港口的灯每天晚上都亮着，船只依靠它的光回来。没有人知道是谁点亮的。" * 5
WESTERN = "It’s the harbor-master’s lamp, he said — and “no one” trims it. Café, naïve, señor.\n" * 5


def message(data: bytes, name: str = "my book.txt", path: str | None = None) -> str:
    with pytest.raises(UserError) as caught:
        decode(data, name, path)
    return str(caught.value)


def command(text: str) -> str:
    """The command in the message's last pair of back ticks."""
    return text.rsplit("`", 2)[1]


@pytest.mark.integration
@pytest.mark.parametrize(
    ("name", "text", "encoding"),
    [
        ("plain.txt", WESTERN, "cp1252"),
        ("zipped.txt.gz", RUSSIAN, "cp1251"),
        ("zipped without suffix", RUSSIAN, "koi8_r"),
        ("-old 'one'.txt", JAPANESE, "shift_jis"),
        ("plain.txt", CHINESE, "gb18030"),
        ("plain.txt", WESTERN, "utf-16-le"),
        ("zipped.txt.gz", JAPANESE + "\n", "utf-16-be"),
        ("plain.txt", JAPANESE, "utf-16"),
        ("plain.txt", RUSSIAN, "utf-32"),
    ],
)
def test_command_of_the_message_converts_the_file(name: str, text: str, encoding: str, tmp_path: Path) -> None:
    data = text.encode(encoding)
    (tmp_path / name).write_bytes(gzip.compress(data) if "zipped" in name else data)
    printed = message((tmp_path / name).read_bytes(), name, name)
    subprocess.run(["bash", "-euo", "pipefail", "-c", command(printed)], cwd=tmp_path, check=True, capture_output=True)
    (converted,) = tmp_path.glob("utf8-*")
    assert decode(converted.read_bytes(), "converted").removeprefix("\ufeff") == text


@pytest.mark.parametrize("encoding", ["UTF-16LE", "UTF-16BE", "UTF-32LE", "UTF-32BE"])
@pytest.mark.parametrize("text", [WESTERN, RUSSIAN, JAPANESE + "\n"])
def test_wide_encodings_are_recognized_without_a_mark(text: str, encoding: str) -> None:
    assert f"looks like {encoding} without" in message(text.encode(encoding))


def test_place_is_shown_as_it_would_read() -> None:
    assert "'Первая строка" in message(RUSSIAN.encode("cp1251"))


@pytest.mark.integration
@pytest.mark.parametrize(
    ("data", "where"),
    [
        (b"It\x92" + WESTERN.encode()[2:], "one byte is not valid, first at byte offset 2,"),
        (WESTERN.encode() + b"\xd9", f"first at byte offset {len(WESTERN.encode())},"),
        (b"\xff" + WESTERN.encode() + b"\xff", "2 bytes are not valid, first at byte offset 0,"),
    ],
)
def test_damaged_utf_8_is_not_taken_for_another_encoding(data: bytes, where: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(data)
    printed = message(data, "a.txt", "a.txt")
    assert "damaged UTF-8: " in printed
    assert where in printed
    subprocess.run(["bash", "-euo", "pipefail", "-c", command(printed)], cwd=tmp_path, check=True, capture_output=True)
    assert (tmp_path / "utf8-a.txt").read_text() == WESTERN


def test_bytes_that_are_no_text_look_binary() -> None:
    assert "looks binary" in message(bytes(range(256)) * 2)


def test_without_a_file_the_command_is_a_filter() -> None:
    assert command(message(RUSSIAN.encode("cp1251"), "standard input")) == "iconv -f CP1251 -t UTF-8"


@pytest.mark.integration
@pytest.mark.parametrize("source", ["../texts/old.txt", "../texts", "../texts/*.txt"])
def test_path_is_the_one_that_was_typed(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "texts").mkdir()
    (tmp_path / "here").mkdir()
    (tmp_path / "texts" / "old.txt").write_bytes(WESTERN.encode("cp1252"))
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(UserError) as caught:
        check(resolve(source, None, tmp_path), 1, 10, 0.1, 0.0)
    subprocess.run(["bash", "-euc", command(str(caught.value))], check=True)
    assert Path("utf8-old.txt").read_text() == WESTERN
