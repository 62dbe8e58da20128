"""The page's modules without a browser, in the Node.js of playwright's wheel: JSON, chunks, shades, values.

`fetch` is a stand-in here; `test_page.py` runs the page against a real server.
"""

import json
import math
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import playwright
import pytest

from serving.playground.app import PAGE

pytestmark = pytest.mark.integration

NODE = Path(playwright.__file__).parent / "driver" / "node"


def javascript(module: str, code: str) -> Any:
    """Run code with a module of the page as `m` and return the value that the code returns."""
    url = (PAGE / module).as_uri()
    script = f"import * as m from {json.dumps(url)}; console.log(JSON.stringify(await (async () => {{ {code} }})()))"
    command = [str(NODE), "--no-warnings", "--input-type=module", "-e", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


# JSON as TF Serving writes it


def test_numbers_that_json_cannot_represent_are_parsed_and_strings_stay() -> None:
    answer = '{"a": [NaN, Infinity, -Infinity, -0.0, 1.5], "text": "NaN, \\"Infinity\\" \\\\", "e": "Infinity"}'
    code = f"const p = m.parse({json.dumps(answer)}); return [p.a.map((v) => String(Number(v))), p.text, p.e]"
    assert javascript("wire.js", code) == [
        ["NaN", "Infinity", "-Infinity", "0", "1.5"],
        'NaN, "Infinity" \\',
        "Infinity",
    ]


def test_a_state_is_sent_back_unchanged() -> None:
    random = np.random.default_rng(1)
    bits = np.concatenate(
        [random.integers(0, 2**32, 3000, np.uint32), np.array([0, 1 << 31, 1, 0x00800000], np.uint32)]
    )
    values = bits.view(np.float32)
    values = values[np.isfinite(values)]
    # As TF Serving writes floats: six digits if they suffice, else nine; and `.0` after integers.
    short = [f"{value:.6g}" for value in values.tolist()]
    texts = [few if np.float32(few) == value else f"{value:.9g}" for few, value in zip(short, values)]
    written = "[" + ",".join(text if "." in text or "e" in text else f"{text}.0" for text in texts) + "]"
    back = javascript("wire.js", f"return m.stateJson(m.parse({json.dumps(written)}).map(Number))")
    np.testing.assert_array_equal(np.array(json.loads(back), np.float32).view(np.uint32), values.view(np.uint32))


# As TensorFlow 2.16 writes them: nodes, their functions, counts of errors, and the problem somewhere in between.
MESSAGES = {
    "Graph execution error:\n\nassertion failed: [temperature must be from 0 to 9] [10 10]\n\t [[{{node Assert}}]]": (
        "temperature must be from 0 to 9. Received: 10."
    ),
    "{{function_node __inference_wrapper_1644}} {{function_node __inference_wrapper_1644}} assertion failed: "
    "[top_p must be above 0 and at most 1 (off)] [7]\n\t [[{{function_node Assert_false_958}}{{node Assert/Assert}}]]"
    "\n\t [[StatefulPartitionedCall_4]]": "top_p must be above 0 and at most 1 (off). Received: 7.",
    "2 root error(s) found.\n  (0) INVALID_ARGUMENT: {{function_node f_1}} Incompatible shapes: [2] vs. [3]\n"
    "\t [[{{node while/add}}]]\n  (1) INVALID_ARGUMENT: the same\n0 successful operations.": (
        "Incompatible shapes: [2] vs. [3]."
    ),
    "Graph execution error:\n\nDetected at node P/Parse defined at (most recent call last):\n"
    '  File "/app/signatures.py", line 81, in f\n\n  File "/x/scoring.py", line 46, in f\n\nBad shapes [[1]] vs. [2]\n'
    "\t [[{{node P/Parse}}]] [Op:__inference_f_2]": "Bad shapes [[1]] vs. [2].",
    "Detected at node a defined at (most recent call last):\n<stack traces unavailable>\nOOM": "OOM.",
    "Servable not found [[{{node a}}]]\nmore": "Servable not found.",
    "{{function_node __inference_f_1}} [Op:Add]": "no message.",
    "x" * 400: "x" * 300 + "…",
}


def test_the_servers_message_is_shown_without_its_graph() -> None:
    assert javascript("wire.js", f"return {json.dumps(list(MESSAGES))}.map(m.plain)") == list(MESSAGES.values())


def test_a_malformed_message_takes_no_time() -> None:
    parts = ["{{function_node ", "[[", "[[{{node ", "\n", "Detected at node ", "assertion failed: [", "[Op:", "AAAAA:"]
    parts.append("Detected at node a defined at (most recent call last):\n" + "\n" * 10_000)
    code = f"return {json.dumps(parts)}.every((part) => m.plain(part.repeat(10_000)).length < 400)"
    assert javascript("wire.js", code)


@pytest.mark.parametrize(
    ("asserted", "control"),
    [
        ("top_p must be above 0", "top_p"),
        ("stop must have at most 64 characters", "stop_text"),
        ("num_chars must", None),
    ],
)
def test_the_control_of_a_rejected_input_is_named(asserted: str, control: str | None) -> None:
    body = json.dumps({"error": f"{{{{function_node f}}}} assertion failed: [{asserted}] [65]"})
    code = f"""
        globalThis.fetch = async () => new Response({json.dumps(body)}, {{ status: 400 }});
        try {{ return await m.request("x"); }} catch (error) {{ return [error.control]; }}
    """
    assert javascript("wire.js", code) == [control]


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (
            400,
            '{"error": "assertion failed: [top_k must be 0 or more] [-1]"}',
            "Rejected by the model server: top_k must be 0 or more",
        ),
        (404, '{"error": "Servable not found for request: Specific(m, 1)"}', "no longer serves this version"),
        (429, '{"error": "queue full"}', "busy or still loading"),
        (503, '{"error": "not now"}', "busy or still loading"),
        (500, '{"error": "boom"}', "failed (500): boom."),
        (502, '{"error": "It cannot be reached."}', "It cannot be reached."),
        (504, '{"error": "No answer within 5 s"}', "No answer within 5 s."),
        (200, "<html>", "not from a model server (status 200)"),
        (500, "null", "failed (500): no message."),
    ],
)
def test_each_failure_has_a_readable_message(status: int, body: str, words: str) -> None:
    code = f"""
        globalThis.fetch = async () => new Response({json.dumps(body)}, {{ status: {status} }});
        try {{ return await m.request("x"); }} catch (error) {{ return [error instanceof m.Problem, error.message]; }}
    """
    is_problem, message = javascript("wire.js", code)
    assert is_problem
    assert words in message


def test_a_stopped_playground_is_reported_and_an_abort_stays_an_abort() -> None:
    code = """
        globalThis.fetch = async (_, { signal }) => {
            throw signal?.aborted ? signal.reason : new TypeError("failed");
        };
        const messages = [];
        for (const signal of [undefined, AbortSignal.abort()]) {
            try { await m.request("x", undefined, signal); }
            catch (error) { messages.push(error.name + ": " + error.message); }
        }
        return messages;
    """
    gone, aborted = javascript("wire.js", code)
    assert "python -m serving up" in gone
    assert aborted.startswith("AbortError: ")


# Generation in chunks

SERVER = """
    const asked = [];
    globalThis.fetch = async (path, options) => {
        if (path.endsWith("/metadata")) {
            const dim = [{ size: "-1" }, { size: "4" }];
            const inputs = { state: { tensor_shape: { dim } } };
            const signature_def = { generate_from_state: { inputs } };
            return Response.json({ metadata: { signature_def: { signature_def } } });
        }
        asked.push([path, options.body]);
        const { instances } = JSON.parse(options.body.replaceAll("NaN", "null"));
        const rows = instances.map((row) => {
            const count = row.state[0] + row.num_chars;
            return `{"text": "${"x".repeat(row.num_chars)}", "state": [${count}.0, -0.0, NaN, 0.1]}`;
        });
        return new Response(`{"predictions": [${rows.join(",")}]}`);
    };
    let clock = 0;
    globalThis.performance = { now: () => (clock += 50) }; // milliseconds: every chunk takes as long
    const values = { temperature: 0.8, topK: 5, seed: 9007199254740989, samples: 3, length: 1000 };
    values.prompt = 'say "é😀"\\n';
"""


def test_chunks_carry_the_state_and_add_up() -> None:
    code = (
        SERVER
        + """
        const joined = ["", "", ""];
        const path = m.versionPath("m", "12");
        for await (const texts of m.generateChunks(path, values, undefined)) {
            texts.forEach((text, i) => (joined[i] += text));
        }
        return [asked, joined.map((text) => text.length)];
    """
    )
    asked, lengths = javascript("model.js", code)
    assert lengths == [1000, 1000, 1000]
    assert {path for path, _ in asked} == {"v1/models/m/versions/12:predict"}
    bodies = [json.loads(body) for _, body in asked]
    assert {body["signature_name"] for body in bodies} == {"generate_from_state"}
    counts = [body["instances"][0]["num_chars"] for body in bodies]
    assert counts[0] == 16
    assert sum(counts) == 1000
    assert counts[1:3] == [64, 256]  # four times as much, because they were fast
    for number, body in enumerate(bodies):
        for row, instance in enumerate(body["instances"]):
            assert instance["prompt"] == ("" if number else 'say "é😀"\n')
            assert instance["seed"] == 9007199254740989 + row
            assert (instance["temperature"], instance["top_k"]) == (0.8, 5)
            state = instance["state"]
            if number:
                assert state[0] == sum(counts[:number])
                assert math.copysign(1.0, state[1]) == -1.0
                assert math.isnan(state[2])
                assert state[3] == 0.1
            else:
                assert state == [0, 0, 0, 0]


def test_a_chunk_takes_a_fifth_of_a_second_within_bounds() -> None:
    code = "return [[16, 1], [16, 100], [100, 200], [100, 2000], [900, 10]].map(([size, ms]) => m.nextChunk(size, ms))"
    assert javascript("model.js", code) == [64, 32, 100, 16, 1000]


def test_a_model_of_another_kind_is_rejected() -> None:
    code = """
        const signature_def = { classify: {} };
        globalThis.fetch = async () => Response.json({ metadata: { signature_def: { signature_def } } });
        try { await m.generateChunks("a", { samples: 1, length: 1 }).next(); } catch (error) { return error.message; }
    """
    assert "no signature generate_from_state" in javascript("model.js", code)


def test_scores_are_truncated_to_each_text() -> None:
    code = """
        globalThis.fetch = async () => new Response('{"predictions": [{"nll": [0.5, Infinity], "num_chars": 2}, '
            + '{"nll": [0.5, 0.0], "num_chars": 1}]}');
        return (await m.score("a", ["abc", "ab"])).map((row) => row.map(String));
    """
    assert javascript("model.js", code) == [["0.5", "Infinity"], ["0.5"]]


# Shades


def test_levels_and_percentages() -> None:
    code = "return [1, 0.9, 0.899, 0.5, 0.2, 0.05, 0.01, 0.0099, 0].map((p) => [m.level(p), m.percent(p)])"
    assert javascript("shade.js", code) == [
        [0, "100%"],
        [0, "90%"],
        [1, "89.9%"],
        [1, "50%"],
        [2, "20%"],
        [3, "5%"],
        [4, "1%"],
        [5, "0.99%"],
        [5, "0%"],
    ]
    assert javascript("shade.js", "return [m.percent(1.234e-9), m.level(Math.exp(-Infinity))]") == ["1.2e-7%", 5]


def test_invisible_characters_have_names() -> None:
    code = r"return ['\n', ' ', '\u200b', 'é', '😀', '\u0301'].map((c) => m.sentence(c, Math.LN2))"
    names = ["line end", "space", "U+200B", "“é”", "“😀”", "U+0301"]
    assert javascript("shade.js", code) == [f"{name}: 50% likely, 1.00 bits" for name in names]
    assert "no context" in javascript("shade.js", "return m.sentence('a', undefined)")


# Values and links

RAW = {
    "prompt": "a\nb",
    "temperature": "0.8",
    "top_k": "0",
    "length": "300",
    "samples": "2",
    "seed": "7",
    "version": "",
}


def read(**changed: str) -> Any:
    code = f"""
        try {{ return m.read({json.dumps({**RAW, **changed})}, 1000); }}
        catch (error) {{ return [error.message, error.control]; }}
    """
    return javascript("values.js", code)


def test_values_are_parsed() -> None:
    expected = {"prompt": "a\nb", "temperature": 0.8, "topK": 0, "length": 300, "samples": 2, "seed": 7}
    assert read() == expected
    assert read(seed="-5", temperature="1e-3") == {**expected, "seed": -5, "temperature": 0.001}
    # The server checks the bounds of the model.
    assert read(temperature="700", top_k="-1") == {
        **expected,
        "temperature": 700,
        "topK": -1,
    }
    assert read(prompt="a\ud800b")["prompt"] == "a\ufffdb"  # a lone surrogate


@pytest.mark.parametrize(
    ("control", "value"),
    [
        ("temperature", ""),
        ("temperature", "hot"),
        ("top_k", "1.5"),
        ("length", "0"),
        ("length", "1001"),
        ("samples", "17"),
        ("seed", ""),
        ("seed", "0x10"),
        ("seed", "9007199254740991"),  # the seed of the second sample would lose digits
    ],
)
def test_a_value_that_cannot_be_sent_names_its_control(control: str, value: str) -> None:
    message, named = read(**{control: value})
    assert named == control
    assert message.endswith(f"Received: {value or 'nothing'}.")


def test_a_link_holds_all_values() -> None:
    raw = {**RAW, "prompt": 'ä & "=#%\n😀 +', "version": "9007199254740993"}
    code = f"const hash = m.toHash({json.dumps(raw)}); return [hash, m.fromHash('#' + hash)]"
    hash_, back = javascript("values.js", code)
    assert back == raw
    assert hash_.isascii()
    assert javascript("values.js", "return m.fromHash('#seed=5&evil=1')") == {"seed": "5"}
    assert javascript("values.js", "return m.fromHash('')") == {}
