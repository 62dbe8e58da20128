"""The page's modules without a browser, in the Node.js of playwright's wheel: JSON, chunks, shades, values.

`fetch` is a stand-in here; `test_page.py` runs the page against a real server.
"""

import json
import math
import subprocess
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import playwright
import pytest

from components.ingest.text import normalize
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
            const wider = { state: { tensor_shape: { dim: [{ size: "-1" }, { size: "5" }] } } };
            const signature_def = { generate_from_state: { inputs }, sample_from_state: { inputs: wider } };
            if (path.startsWith("old")) delete signature_def.sample_from_state;
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
    Object.assign(values, { topP: 1, repetitionPenalty: 1, stop: "" });
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
            assert not {"top_p", "repetition_penalty", "stop"} & set(instance)  # old exports do not know them
            state = instance["state"]
            if number:
                assert state[0] == sum(counts[:number])
                assert math.copysign(1.0, state[1]) == -1.0
                assert math.isnan(state[2])
                assert state[3] == 0.1
            else:
                assert state == [0, 0, 0, 0]


def test_other_controls_are_sent_to_the_signature_that_has_them() -> None:
    changed = {"topP": 0.9, "repetitionPenalty": 1.2, "stop": '"\n'}
    code = (
        SERVER
        + f"""
        for (const [key, value] of Object.entries({json.dumps(changed)})) {{
            const one = {{ ...values, length: 1, samples: 1, [key]: value }};
            await m.generateChunks("new", one, undefined).next();
        }}
        const one = {{ ...values, length: 1, topP: 0.9 }};
        try {{ await m.generateChunks("old/versions/3", one, undefined).next(); }}
        catch (error) {{ return [asked, error.message]; }}
    """
    )
    asked, refused = javascript("model.js", code)
    bodies = [json.loads(body) for _, body in asked]
    assert {body["signature_name"] for body in bodies} == {"sample_from_state"}
    sent = [
        {key: row[key] for key in ("top_p", "repetition_penalty", "stop")}
        for (row,) in (b["instances"] for b in bodies)
    ]
    off = {"top_p": 1, "repetition_penalty": 1, "stop": ""}
    assert sent == [{**off, "top_p": 0.9}, {**off, "repetition_penalty": 1.2}, {**off, "stop": '"\n'}]
    assert bodies[0]["instances"][0]["state"] == [0] * 5  # the width of this signature's state
    assert refused.startswith("Version 3 has no top-p, repetition penalty and stop text")


def test_rows_end_at_the_stop_text_which_is_never_shown() -> None:
    code = """
        const dim = [{ size: "-1" }, { size: "1" }];
        const signature_def = { sample_from_state: { inputs: { state: { tensor_shape: { dim } } } } };
        const asked = [];
        globalThis.performance = { now: () => 0 };
        globalThis.fetch = async (path, options) => {
            if (path.endsWith("/metadata")) return Response.json({ metadata: { signature_def: { signature_def } } });
            const { instances } = JSON.parse(options.body);
            asked.push(instances.map((row) => [row.seed, row.num_chars]));
            const chunk = { 1: [["abEN", false], ["D", true]], 2: [["cdEN", false], ["xEN", false], ["end", true]] };
            const number = asked.length - 1;
            const predictions = instances.map(({ seed }) => {
                const [text, stopped] = chunk[seed][number];
                return { text, stopped, state: [0] };
            });
            return Response.json({ predictions });
        };
        const values = { prompt: "", temperature: 1, topK: 0, topP: 1, repetitionPenalty: 1, stop: "END", seed: 1 };
        const shown = [];
        for await (const texts of m.generateChunks("a", { ...values, samples: 2, length: 200 })) shown.push(texts);
        return [asked, shown];
    """
    asked, shown = javascript("model.js", code)
    assert asked == [[[1, 16], [2, 16]], [[1, 64], [2, 64]], [[2, 120]]]
    # Another form of the stop text stays, because the page does not know how long it is.
    assert shown == [["ab", "cd"], ["", "ENx"], ["", "ENend"]]


def test_alternatives_are_characters_with_probabilities() -> None:
    code = """
        globalThis.fetch = async (path, { body }) => new Response(JSON.stringify({ predictions: [{
            characters: [["a", "😀"], ["b", ""]], probabilities: [[0.5, 0.25], [1, 0]], num_chars: 2 }] }));
        return await m.alternatives("a", "xy", 2);
    """
    first = [{"character": "a", "probability": 0.5}, {"character": "😀", "probability": 0.25}]
    assert javascript("model.js", code) == [first, [{"character": "b", "probability": 1}]]


def test_a_chunk_takes_a_fifth_of_a_second_within_bounds() -> None:
    code = "return [[16, 1], [16, 100], [100, 200], [100, 2000], [900, 10]].map(([size, ms]) => m.nextChunk(size, ms))"
    assert javascript("model.js", code) == [64, 32, 100, 16, 1000]


def test_a_model_of_another_kind_is_rejected() -> None:
    code = """
        const signature_def = { classify: {} };
        globalThis.fetch = async () => Response.json({ metadata: { signature_def: { signature_def } } });
        const values = { topP: 1, repetitionPenalty: 1, stop: "", samples: 1, length: 1 };
        try { await m.generateChunks("a", values).next(); } catch (error) { return error.message; }
    """
    assert "no signature generate_from_state" in javascript("model.js", code)


def test_scores_are_truncated_to_each_text() -> None:
    code = """
        globalThis.fetch = async () => new Response('{"predictions": [{"nll": [0.5, Infinity], "num_chars": 2}, '
            + '{"nll": [0.5, 0.0], "num_chars": 1}]}');
        return (await m.score("a", ["abc", "ab"])).map((row) => row.map(String));
    """
    assert javascript("model.js", code) == [["0.5", "Infinity"], ["0.5"]]


def test_probabilities_of_other_characters_than_the_shown_ones_are_refused() -> None:
    code = """
        const row = { nll: [0.5], characters: [["a"], ["b"]], probabilities: [[1], [1]] };
        globalThis.fetch = async (path, { body }) => {
            const num_chars = JSON.parse(body).signature_name === "score" ? 1 : 2;
            return Response.json({ predictions: [{ ...row, num_chars }] });
        };
        const refused = [];
        for (const ask of [() => m.score("a", ["e\\u0301a"]), () => m.alternatives("a", "e\\u0301a", 1)]) {
            await ask().catch((error) => refused.push(error.message));
        }
        return [refused, (await m.score("a", ["\\u00e9a"])).length];
    """
    refused, rows = javascript("model.js", code)
    assert ["2 characters, not as the 3 that" in message for message in refused] == [True] * 2
    assert rows == 1


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


def test_an_unscored_characters_probability_is_that_of_the_list_or_below_its_last() -> None:
    entries = [{"character": "a", "probability": 0.5}, {"character": "b", "probability": 0.25}]
    code = f"return ['b', '\\n'].map((c) => m.rank(c, {json.dumps(entries)}))"
    assert javascript("shade.js", code) == ["“b”: 25% likely", "line end: at most 25% likely"]


def test_the_arrow_keys_find_the_character_above_and_below() -> None:
    # Three lines of five, two and four characters of 10 pixels; from the last line's third, ...
    places = [(x, y) for y, length in enumerate((5, 2, 4)) for x in range(length)]
    spans = json.dumps([{"offsetLeft": 10 * x, "offsetTop": 20 * y} for x, y in places])
    code = (
        f"return [[9, -1], [6, -1], [3, 1], [5, 1], [2, -1], [9, 1]].map(([i, step]) => m.vertical({spans}, i, step))"
    )
    assert javascript("inspect.js", code) == [6, 1, 6, 7, 2, 9]


# Values and links

RAW = {
    "prompt": "a\nb",
    "temperature": "0.8",
    "top_k": "0",
    "top_p": "1",
    "repetition_penalty": "1",
    "stop_text": "",
    "length": "300",
    "samples": "2",
    "seed": "7",
    "version": "",
    "compare": "",
    "compare_value": "",
    "compare_version": "",
}


def read(**changed: str) -> Any:
    code = f"""
        try {{ return m.read({json.dumps({**RAW, **changed})}, {{ max_chars: 1000 }}); }}
        catch (error) {{ return [error.message, error.control]; }}
    """
    return javascript("values.js", code)


def test_values_are_parsed() -> None:
    expected = {"prompt": "a\nb", "temperature": 0.8, "topK": 0, "length": 300, "samples": 2, "seed": 7}
    expected |= {"topP": 1, "repetitionPenalty": 1, "stop": ""}
    assert read() == expected
    assert read(seed="-5", temperature="1e-3") == {**expected, "seed": -5, "temperature": 0.001}
    # The server checks the bounds of the model.
    assert read(temperature="700", top_k="-1") == {
        **expected,
        "temperature": 700,
        "topK": -1,
    }
    assert read(top_p=".5", repetition_penalty="1.2", stop_text=r"\n\\n\x")["stop"] == "\n\\n\\x"
    assert read(prompt="a\ud800b")["prompt"] == "a\ufffdb"  # a lone surrogate


@pytest.mark.parametrize(("form", "folds"), [("nfc", False), (None, True), ("nfc", True)])
def test_prompt_and_stop_text_are_those_that_the_model_reads(form: str | None, folds: bool) -> None:
    """Their characters are the ones that stop a text, have probabilities and are compared with alternatives."""
    texts = ["ROMEO: Stra\u00dfe", "Cafe\u0301", "\u03b1\u0345\u0301", "a\u0301\u0316"]
    limits = {"max_chars": 1000, "normalization": form, "fold_case": folds}
    code = f"""
        const limits = {json.dumps(limits)};
        const single = [...Array(0x20000).keys()].map((point) => String.fromCodePoint(point));
        const changes = (text) => text.isWellFormed() && m.asRead(text, limits) !== text;
        return [...{json.dumps(texts)}, ...single.filter(changes)].map((text) => [text, m.asRead(text, limits)]);
    """
    found = dict(javascript("values.js", code))
    points = map(chr, [*range(0xD800), *range(0xE000, 0x20000)])
    known = [one for one in points if unicodedata.category(one) != "Cn"]  # to Python; the page may know more
    assert len(found) > 500
    assert {text: found.get(text, text) for text in [*texts, *known]} == {
        text: normalize(text, form, folds) for text in [*texts, *known]
    }
    raw = {**RAW, "prompt": texts[1], "stop_text": "E\u0301\\n"}
    values = javascript("values.js", f"return m.read({json.dumps(raw)}, {json.dumps(limits)})")
    assert (values["prompt"], values["stop"]) == (normalize(texts[1], form, folds), normalize("E\u0301\n", form, folds))


@pytest.mark.parametrize(
    ("control", "value"),
    [
        ("temperature", ""),
        ("temperature", "hot"),
        ("top_k", "1.5"),
        ("top_p", "half"),
        ("repetition_penalty", ""),
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


def test_a_comparison_changes_one_control_of_its_second_column() -> None:
    def columns(**changed: str) -> Any:
        return javascript("values.js", f"return m.columns({json.dumps({**RAW, **changed})})")

    (only,) = columns(compare_value="2")
    assert (only["raw"]["temperature"], only["title"], only["controls"]) == ("0.8", "", {})
    first, second = columns(compare="temperature", compare_value="1.4")
    assert [first["title"], second["title"]] == ["temperature 0.8", "temperature 1.4"]
    assert {key for key in RAW if first["raw"][key] != second["raw"][key]} == {"temperature"}
    assert second["controls"] == {"temperature": "compare_value"}
    first, second = columns(compare="version", version="7", compare_version="6")
    assert [first["raw"]["version"], second["raw"]["version"]] == ["7", "6"]


def test_a_problem_of_the_second_column_names_the_control_that_it_reads() -> None:
    code = """
        const { Problem } = await import(new URL("wire.js", "PAGE"));
        const [, second] = m.columns({ compare: "top_k", compare_value: "-1" });
        const fail = (control) => async () => { throw new Problem("x", { control }); };
        const names = [];
        for (const control of ["top_k", "seed", null]) {
            await m.inColumn(second, fail(control)).catch((error) => names.push(error.control));
        }
        return names;
    """.replace("PAGE", f"{PAGE.as_uri()}/")
    assert javascript("values.js", code) == ["compare_value", "seed", None]


def test_a_link_holds_all_values() -> None:
    raw = {**RAW, "prompt": 'ä & "=#%\n😀 +', "version": "9007199254740993"}
    code = f"const hash = m.toHash({json.dumps(raw)}); return [hash, m.fromHash('#' + hash)]"
    hash_, back = javascript("values.js", code)
    assert back == {key: value for key, value in raw.items() if value}
    assert hash_.isascii()
    assert javascript("values.js", "return m.fromHash('#seed=5&evil=1')") == {"seed": "5"}
    assert javascript("values.js", "return m.fromHash('')") == {}
