import json
import random

from scripts.traffic import mutations
from scripts.traffic.mutations import FRAMED, HEAD, WILD
from scripts.traffic.signatures import Input

KNOWN = {"serving_default": {"prompt": Input("DT_STRING", None)}, "step": {"state": Input("DT_FLOAT", 3)}}


def test_requests_repeat_with_the_seed() -> None:
    for make, kind in ((mutations.framed, FRAMED), (mutations.head, HEAD), (mutations.wild, WILD)):
        attempts = [make(random.Random(seed), KNOWN) for seed in range(50)]
        assert attempts == [make(random.Random(seed), KNOWN) for seed in range(50)]
        assert {attempt.kind for attempt in attempts} == {kind}
        assert len({attempt.data for attempt in attempts}) > 40


def test_framed_requests_end_where_their_headers_say() -> None:
    draw = random.Random(0)
    for _ in range(500):
        attempt = mutations.framed(draw, KNOWN)
        line, *headers = attempt.data.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
        content = attempt.data.partition(b"\r\n\r\n")[2]
        assert line == f"{attempt.method} {attempt.target} HTTP/1.1"
        fields = dict(header.split(": ", 1) for header in headers)
        if "Transfer-Encoding" in fields:
            assert content.endswith(b"0\r\n\r\n")
        else:
            assert int(fields.get("Content-Length", 0)) == len(content)


def test_bodies_are_valid_changed_in_structure_and_changed_in_bytes() -> None:
    draw, valid, changed, broken = random.Random(0), 0, 0, 0
    for _ in range(500):
        try:
            document = json.loads(mutations.body(draw, KNOWN))
        except ValueError:
            broken += 1
            continue
        rows = document.get("instances") if isinstance(document, dict) else None
        is_valid = isinstance(rows, list) and all(
            isinstance(row, dict) and row.keys() in ({"prompt"}, {"state"}) for row in rows
        )
        valid, changed = valid + is_valid, changed + (not is_valid)
    assert min(valid, changed, broken) > 50
