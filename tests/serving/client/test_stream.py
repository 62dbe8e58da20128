"""Sizes of a stream's chunks, and streams whose version is unloaded."""

import pytest

from serving.client.errors import ModelUnavailable, ServerError
from serving.client.options import GenerateOptions
from serving.client.protocol import Protocol, Steps
from serving.client.stream import LARGEST_CHUNK, Progress
from serving.client.values import Continuation, Generated, Metadata


class Model(Protocol):
    """Protocol with built-in responses: version `served` generates its own letter, its state counts characters."""

    def __init__(self, version: int | None = None) -> None:
        super().__init__("http://x", "m", version)
        object.__setattr__(self, "served", 1)
        object.__setattr__(self, "requests", [])
        object.__setattr__(self, "max_chars", 100_000)

    def metadata(self, version: int | None = None) -> Steps[Metadata]:
        yield from ()
        state = {"tensor_shape": {"dim": [{}, {"size": "1"}]}}
        return Metadata(self.served, {"generate_from_state": {"inputs": {"state": state}}})  # type: ignore[attr-defined]

    def generate_from_state(self, prompts, states, options, version=None) -> Steps[list[Continuation]]:  # type: ignore[no-untyped-def, override]
        yield from ()
        self.requests.append((version, prompts[0], states[0], options.num_chars))  # type: ignore[attr-defined]
        if version != self.served:  # type: ignore[attr-defined]
            raise ModelUnavailable(404, "Servable not found", "http://x")
        if options.num_chars > self.max_chars:  # type: ignore[attr-defined]
            message = f"assertion failed: [num_chars must be from 0 to {self.max_chars}] [{options.num_chars}]"  # type: ignore[attr-defined]
            raise ServerError(400, message, "http://x")
        letter = "abc"[version - 1]
        return [Continuation(Generated(letter * options.num_chars, 1), [states[0][0] + options.num_chars])]


def chunk(progress: Progress) -> str | None:
    steps = progress.chunk()
    try:
        while True:
            next(steps)
    except StopIteration as end:
        text: str | None = end.value
        return text


def progress(model: Model, num_chars: int, chunk_chars: int = LARGEST_CHUNK) -> Progress:
    return Progress(model, "prompt ", GenerateOptions(num_chars, 0.8, 0, 1), chunk_chars)


def test_chunks_start_small_and_grow() -> None:
    stream = progress(Model(), 1_000)
    sizes = []
    while (text := chunk(stream)) is not None:
        sizes.append(len(text))
    assert sizes == [16, 64, 256, 512, 152]
    assert chunk(stream) is None


def test_chunk_chars_bounds_the_first_chunk_too() -> None:
    stream = progress(Model(), 10, chunk_chars=4)
    assert [chunk(stream) for _ in range(4)] == ["aaaa", "aaaa", "aa", None]


def sizes(model: Model) -> list[int]:
    return [requested for _, _, _, requested in model.requests]  # type: ignore[attr-defined]


def test_chunks_follow_the_limit_of_the_export() -> None:
    model = Model()
    object.__setattr__(model, "max_chars", 100)
    stream = progress(model, 300)
    chunks = [chunk(stream) for _ in range(6)]
    assert chunks == ["a" * 16, "a" * 64, "a" * 100, "a" * 100, "a" * 20, None]
    assert sizes(model) == [16, 64, 220, 100, 100, 20]  # one request to learn it
    assert [state[0] for _, _, state, _ in model.requests] == [0, 16, 80, 80, 180, 280]  # type: ignore[attr-defined]


def test_another_version_may_have_a_lower_limit() -> None:
    model = Model()
    stream = progress(model, 100)
    assert chunk(stream) == "a" * 16
    object.__setattr__(model, "served", 2)
    object.__setattr__(model, "max_chars", 60)
    assert [chunk(stream) for _ in range(3)] == ["b" * 60, "b" * 24, None]


@pytest.mark.parametrize("max_chars", [0, -1])
def test_export_that_rejects_every_size_is_an_error(max_chars: int) -> None:
    model = Model()
    object.__setattr__(model, "max_chars", max_chars)
    with pytest.raises(ServerError, match="num_chars must be"):
        chunk(progress(model, 10))
    assert sizes(model) == [10]


def test_another_version_reads_the_text_so_far_and_continues() -> None:
    model = Model()
    stream = progress(model, 100)
    assert chunk(stream) == "a" * 16
    object.__setattr__(model, "served", 2)
    assert chunk(stream) == "b" * 64
    assert chunk(stream) == "b" * 20
    assert stream.text == "a" * 16 + "b" * 84
    assert model.requests == [  # type: ignore[attr-defined]
        (1, "prompt ", [0.0], 16),
        (1, "", [16.0], 64),
        (2, "prompt " + "a" * 16, [0.0], 64),
        (2, "", [64.0], 20),
    ]


def test_explicit_version_is_not_replaced() -> None:
    model = Model(version=1)
    stream = progress(model, 64)
    assert chunk(stream) == "a" * 16
    object.__setattr__(model, "served", 2)
    with pytest.raises(ModelUnavailable):
        chunk(stream)
    object.__setattr__(model, "served", 1)
    assert chunk(stream) == "a" * 48
    assert stream.text == "a" * 64


def test_chunk_chars_must_be_positive() -> None:
    with pytest.raises(ValueError, match="chunk_chars=0"):
        progress(Model(), 10, chunk_chars=0)
