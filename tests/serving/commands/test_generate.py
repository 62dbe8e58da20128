"""`generate` over REST, against the embedded server and a scripted one; shared/test_model_source.py has the rest."""

import gzip
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from serving.__main__ import main
from serving.client.blocking import Client

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def generate(capsys: pytest.CaptureFixture[str]) -> Command:
    def run(*arguments: str) -> tuple[int, str, str]:
        code = main(["generate", *arguments])
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def generate_served(generate: Command, served: Any) -> Command:
    return lambda *arguments: generate(*arguments, "--url", served.url, "--model", served.model)


@pytest.fixture(scope="module")
def text(served: Any) -> Callable[..., str]:
    def of(prompt: str, **how: Any) -> str:
        with Client(served.url, served.model) as client:
            return client.generate(prompt, **how)

    return of


@pytest.mark.integration
def test_only_the_text_is_on_standard_output(generate_served: Command, text: Callable[..., str]) -> None:
    code, out, error = generate_served("ROMEO:", "--chars", "90", "--temperature", "0.5", "--top-k", "4", "--seed", "7")
    assert code == 0
    assert out == text("ROMEO:", num_chars=90, temperature=0.5, top_k=4, seed=7).removesuffix("\n") + "\n"
    assert "seed 7" in error
    assert "90 characters" in error


@pytest.mark.integration
def test_streaming_prints_the_same_text(generate_served: Command) -> None:
    arguments = ["ROMEO:", "--chars", "200", "--seed", "7"]
    assert generate_served(*arguments, "--stream")[:2] == generate_served(*arguments)[:2]


@pytest.mark.integration
@pytest.mark.parametrize("stream", [[], ["--stream"]])
def test_text_ends_before_the_stop_text(generate_served: Command, text: Callable[..., str], stream: list[str]) -> None:
    full = text("ROMEO:", num_chars=400, seed=7)
    end = full[150:153]
    expected = full.partition(end)[0].removesuffix("\n") + "\n"
    assert generate_served("ROMEO:", "--chars", "400", "--seed", "7", "--stop", end, *stream)[1] == expected


@pytest.mark.integration
def test_stop_text_may_contain_escapes(script: Any, generate: Command) -> None:
    script.then_metadata(1, 1).then_chunk("one\\\ttwo\n\nmore" + "." * 4, [1.0])
    assert generate("A", "--chars", "17", "--stop", r"\n\n", "--url", script.url)[1] == "one\\\ttwo\n"
    script.then_metadata(1, 1).then_chunk("one\\\ttwo\n\nmore" + "." * 4, [1.0])
    assert generate("A", "--chars", "17", "--stop", r"\\\t", "--url", script.url)[1] == "one\n"


@pytest.mark.integration
def test_no_chunk_is_requested_after_the_stop_text(script: Any, generate: Command) -> None:
    script.then_metadata(1, 1).then_chunk("fifteen letters.", [1.0])
    code, out, error = generate("A", "--chars", "5000", "--stop", ".", "--url", script.url)
    assert (code, out) == (0, "fifteen letters\n")
    assert len(script.asked) == 2
    assert "15 characters" in error


@pytest.mark.integration
def test_controls_are_options_of_the_request(script: Any, generate: Command) -> None:
    rows = [{"text": "one\n\n", "stopped": True}, {"text": "two", "stopped": False}]
    script.then(200, {"predictions": rows})
    arguments = ["--top-p", "0.9", "--repetition-penalty", "1.5", "--stop", r"\n\n", "--samples", "2", "--seed", "3"]
    assert generate("A", *arguments, "--url", script.url)[1] == "one\ntwo\n"
    ((_, _, body),) = script.asked
    assert body["signature_name"] == "sample"
    assert [row["seed"] for row in body["instances"]] == [3, 4]
    controls = {"top_p": 0.9, "repetition_penalty": 1.5, "stop": "\n\n"}
    assert all(row.items() >= controls.items() for row in body["instances"])


@pytest.mark.integration
@pytest.mark.parametrize("stream", [[], ["--stream"]])
def test_older_export_is_refused_in_one_paragraph(script: Any, generate: Command, stream: list[str]) -> None:
    if not stream:
        script.then(400, {"error": 'Serving signature name: "sample" not found in signature def'})
    script.then_metadata(4, 1)
    code, out, error = generate("A", "--top-p", "0.5", "--url", script.url, *stream)
    assert (code, out.strip()) == (2, "")
    assert "error: Version 4 of char_rnn was exported before top_p existed. Run the pipeline" in error


@pytest.mark.integration
def test_unknown_characters_of_a_prompt_are_noted(generate_served: Command) -> None:
    code, out, error = generate_served("Ωe\u0301\x1bλΩ RO", "--chars", "5", "--seed", "1")
    assert (code, len(out.rstrip("\n"))) == (0, 5)
    assert error.splitlines()[-1] == (
        "note: 5 characters of the prompt are unknown to the model, whose training text does not have these 4: "
        r"'Ω', 'é', '\x1b', 'λ'".replace(r"e\u0301", "e\u0301")
    )
    assert (
        "note: 1 character of the prompts is unknown to the model, whose training text does not have it: 'x'"
        in (generate_served("ROMEO x", "e", "--json")[2])
    )
    assert "note" not in generate_served("ROMEO:語é\n", "", "--chars", "5")[2]
    assert "'x', 'w' ..." in generate_served("abcdefghijkzyxwvABCDFGpqf", "--chars", "5")[2]


@pytest.mark.integration
def test_model_that_cannot_tell_what_is_unknown_is_no_error(script: Any, generate: Command) -> None:
    script.then(200, {"predictions": ["text"]})
    code, out, error = generate("A", "--url", script.url)
    assert (code, out) == (0, "text\n")
    assert "note" not in error


@pytest.mark.integration
def test_document_ends_with_its_symbol(script: Any, generate: Command) -> None:
    script.then(200, {"predictions": [{"text": "emma\x03", "stopped": True}, {"text": "ava", "stopped": False}]})
    assert generate("--until-end", "--samples", "2", "--url", script.url)[1] == "emma\nava\n"
    ((_, _, body),) = script.asked
    assert [row["stop"] for row in body["instances"]] == ["\x03", "\x03"]
    code, _, error = generate("--until-end", "--stop", "x", "--url", script.url)
    assert (code, error) == (2, "error: Give --stop or --until-end, not both. Received: --stop x --until-end\n")


@pytest.mark.integration
def test_symbols_between_documents_are_line_breaks(script: Any, generate: Command) -> None:
    script.then(200, {"predictions": ["emma\x03ava"]})
    assert generate("--url", script.url)[1] == "emma\nava\n"


@pytest.mark.integration
def test_default_length_is_at_most_what_the_export_allows(script: Any, generate: Command) -> None:
    refusal = {"error": "num_chars must be from 0 to 200\n\t [[{{node x}}]]"}
    script.then(400, refusal)
    script.then(200, {"predictions": ["short"]})
    assert generate("A", "--url", script.url)[:2] == (0, "short\n")
    assert [body["instances"][0]["num_chars"] for _, _, body in script.asked] == [300, 200]
    script.then(400, refusal)
    assert generate("A", "--chars", "300", "--url", script.url)[0] != 0


@pytest.mark.integration
def test_control_characters_are_escaped_on_a_terminal_only(
    script: Any, generate: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    script.then(200, {"predictions": ["a\x1b[2Jb"]})
    assert generate("A", "--url", script.url)[1] == "a\x1b[2Jb\n"
    script.then(200, {"predictions": ["a\x1b[2Jb"]})
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert generate("A", "--url", script.url)[1] == "a\\x1b[2Jb\n"


@pytest.mark.integration
def test_prompt_file_is_cleaned_as_a_corpus(script: Any, generate: Command, tmp_path: Path) -> None:
    (tmp_path / "prompt.gz").write_bytes(gzip.compress(b"\xef\xbb\xbfROMEO:\r\nBut"))
    script.then(200, {"predictions": ["soft"]})
    assert generate("--prompt-file", str(tmp_path / "prompt.gz"), "--url", script.url)[1] == "soft\n"
    assert script.asked[0][2]["instances"][0]["prompt"] == "ROMEO:\nBut"


@pytest.mark.integration
def test_samples_are_one_request(script: Any, generate: Command) -> None:
    script.then(200, {"predictions": ["a", "b", "c", "d"]})
    code, out, error = generate("A", "B", "--samples", "2", "--seed", "9", "--url", script.url)
    assert (code, out) == (0, "a\nb\nc\nd\n")
    ((_, _, body),) = script.asked
    assert [(row["prompt"], row["seed"]) for row in body["instances"]] == [("A", 9), ("A", 10), ("B", 11), ("B", 12)]
    assert "--- 4 of 4, seed 12" in error


@pytest.mark.integration
def test_json_is_one_object_per_line(generate_served: Command, text: Callable[..., str]) -> None:
    out = generate_served("é", "--samples", "2", "--seed", "3", "--chars", "20", "--json")[1]
    expected = [{"prompt": "é", "seed": seed, "text": text("é", num_chars=20, seed=seed)} for seed in (3, 4)]
    assert [json.loads(line) for line in out.splitlines()] == expected


@pytest.mark.integration
def test_random_seed_is_reported(generate_served: Command) -> None:
    _, out, error = generate_served("A", "--chars", "30")
    seed = error.partition("seed ")[2].split()[0]
    assert generate_served("A", "--chars", "30", "--seed", seed)[1] == out


@pytest.mark.integration
def test_prompt_from_a_file_or_standard_input(
    script: Any, generate: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "prompt.txt").write_bytes(b"\xef\xbb\xbfline \xc3\xa9\n")
    script.then(200, {"predictions": ["x"]}).then(200, {"predictions": ["x"]}).then(200, {"predictions": ["x"]})
    generate("--prompt-file", str(tmp_path / "prompt.txt"), "--url", script.url)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"typed\n")))
    generate("--prompt-file", "-", "--url", script.url)
    assert generate("--echo", "echoed ", "--url", script.url)[1] == "echoed x\n"
    prompts = [body["instances"][0]["prompt"] for _, _, body in script.asked]
    assert prompts == ["line é\n", "typed\n", "echoed "]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["A", "--chars", "-1"], "--chars=-1"),
        (["A", "--temperature", "nan"], "temperature=nan"),
        (["A", "--top-k", "-2"], "--top-k=-2"),
        (["A", "--top-p", "0"], "--top-p must be above 0 and at most 1 (off). Received: --top-p=0"),
        (["A", "--repetition-penalty", "11"], "--repetition-penalty=11"),
        (["A", "--stop", "x" * 65], "--stop must have at most 64 characters"),
        (["A", "--stop", "\udcff"], "is not UTF-8"),
        (["A", "--samples", "0"], "--samples 0"),
        (["A", "--seed", str(2**63)], "seed"),
        (["A", "--prompt-file", "x"], "not both"),
        (["--prompt-file", "/nowhere/x"], "/nowhere/x"),
        (["caf\udce9"], "A text on the command line is not UTF-8. "),
        (["caf\udce9"], "Received: byte 0xe9 after 'caf'"),
        (["A", "--url", "nonsense"], "nonsense"),
        (["A", "--url", "http://127.0.0.1:1", "--version", "1", "--label", "x"], "not both"),
        (["A", "--set", "serving.nothing=1"], "serving.nothing"),
    ],
)
def test_invalid_option_is_one_paragraph(generate: Command, arguments: list[str], message: str) -> None:
    code, out, error = generate(*arguments)
    assert (code, out) == (2, "")
    assert message in error
    assert error.startswith("error: ")
    assert "Received: " in error
    assert error.count("\n") == 1


@pytest.mark.integration
def test_rejection_by_the_server_is_one_paragraph(generate_served: Command) -> None:
    code, out, error = generate_served("A", "--chars", "1001")
    assert (code, out) == (2, "")
    assert error.splitlines()[-1] == (
        "error: The server rejects the request (400): num_chars must be from 0 to 1000. Received: 1001."
    )


@pytest.mark.integration
def test_interrupted_stream_keeps_the_text_so_far(script: Any, generate: Command) -> None:
    script.then_metadata(1, 1).then_chunk("a" * 16, [1.0]).then(500, {"error": "broken"})
    code, out, error = generate("A", "--stream", "--url", script.url)
    assert (code, out) == (1, "a" * 16 + "\n")
    assert error.splitlines()[-1].startswith("failed: The server responded 500: broken.")


@pytest.mark.integration
@pytest.mark.parametrize(("echo", "expected"), [([], ""), (["--echo"], "A\n")])
def test_stream_that_fails_before_its_first_character_prints_no_line(
    script: Any, generate: Command, echo: list[str], expected: str
) -> None:
    script.then_metadata(1, 1).then(500, {"error": "broken"})
    assert generate("A", "--stream", *echo, "--url", script.url)[:2] == (1, expected)


@pytest.mark.integration
def test_stop_that_the_model_never_generates_is_noted(generate_served: Command) -> None:
    short = ["A", "--chars", "5"]
    assert generate_served(*short, "--until-end")[2].endswith(
        "note: --until-end has no effect: the model was trained without corpus.documents, so none of its texts has an "
        "end\n"
    )
    assert generate_served(*short, "--stop", "eλ")[2].endswith(
        "note: --stop has no effect: the training text of the model does not have 'λ'\n"
    )
    assert "has no effect" not in generate_served(*short, "--stop", "e")[2]
