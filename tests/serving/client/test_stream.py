"""Sizes of a stream's chunks, and streams whose version is unloaded."""

from typing import Any

import pytest

from serving.client.errors import ModelUnavailable, ServerError, Unsupported
from serving.client.options import GenerateOptions
from serving.client.protocol import Protocol, Steps
from serving.client.stream import LARGEST_CHUNK, Progress
from serving.client.values import Continuation, Generated, Metadata


class Model(Protocol):
    """Protocol with built-in responses: version `served` generates its own letter, its state counts characters.

    With `texts`, the versions generate these instead. Versions up to `newest_old` are of exports without `sample`.
    """

    def __init__(self, version: int | None = None) -> None:
        super().__init__("http://x", "m", version)
        object.__setattr__(self, "served", 1)
        object.__setattr__(self, "requests", [])
        object.__setattr__(self, "max_chars", 100_000)
        object.__setattr__(self, "newest_old", 9)
        object.__setattr__(self, "texts", [])

    def metadata(self, version: int | None = None) -> Steps[Metadata]:
        yield from ()
        names = ["generate_from_state", "sample_from_state"]
        if self.served <= self.newest_old:  # type: ignore[attr-defined]
            names.pop()
        states = {name: {"tensor_shape": {"dim": [{}, {"size": str(size)}]}} for size, name in enumerate(names, 1)}
        return Metadata(self.served, {name: {"inputs": {"state": state}} for name, state in states.items()})

    def generate_from_state(self, prompts, states, options, version=None) -> Steps[list[Continuation]]:
        yield from ()
        self.requests.append((version, prompts[0], states[0], options.num_chars))  # type: ignore[attr-defined]
        if version != self.served:  # type: ignore[attr-defined]
            raise ModelUnavailable(404, "Servable not found", "http://x")
        if options.num_chars > self.max_chars:  # type: ignore[attr-defined]
            message = f"assertion failed: [num_chars must be from 0 to {self.max_chars}] [{options.num_chars}]"
            raise ServerError(400, message, "http://x")
        text = self.texts.pop(0) if self.texts else "abc"[version - 1] * options.num_chars  # type: ignore[attr-defined]
        return [Continuation(Generated(text, 1), [count + options.num_chars for count in states[0]])]


def chunk(progress: Progress) -> str | None:
    steps = progress.chunk()
    try:
        while True:
            next(steps)
    except StopIteration as end:
        text: str | None = end.value
        return text


def progress(model: Model, num_chars: int, chunk_chars: int = LARGEST_CHUNK, **controls: Any) -> Progress:
    return Progress(model, "prompt ", GenerateOptions(num_chars, 0.8, 0, 1, **controls), chunk_chars)


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


def with_texts(*texts: str, newest_old: int = 0) -> Model:
    model = Model()
    object.__setattr__(model, "texts", list(texts))
    object.__setattr__(model, "newest_old", newest_old)
    return model


def replace_version(model: Model) -> None:
    object.__setattr__(model, "served", model.served + 1)  # type: ignore[attr-defined]


def chunks(stream: Progress) -> list[str]:
    return list(iter(lambda: chunk(stream), None))  # type: ignore[arg-type]


@pytest.mark.parametrize(("newest_old", "width"), [(0, 2), (9, 1)])
def test_text_ends_before_the_stop_string_with_old_and_new_exports(newest_old: int, width: int) -> None:
    end = "\nxyz" if newest_old else "\n"  # a new export does not generate more
    model = with_texts("one\n", "two\n", end, newest_old=newest_old)
    stream = progress(model, 100, chunk_chars=4, stop="\n\n")
    assert chunks(stream) == ["one", "\ntwo"]
    assert (stream.text, stream.stopped) == ("one\ntwo", True)
    assert [len(state) for _, _, state, _ in model.requests] == [width] * 3  # type: ignore[attr-defined]
    assert chunk(stream) is None


def test_chunk_that_may_be_the_stop_string_is_held_back() -> None:
    stream = progress(with_texts("\n", "\n", "a", "\n", "\n", "\n"), 6, chunk_chars=1, stop="\n\n\n")
    assert chunk(stream) == "\n\na"
    assert stream.text == "\n\na"
    assert chunk(stream) is None
    assert (stream.text, stream.stopped) == ("\n\na", True)


def test_text_that_ends_within_a_stop_string_is_complete() -> None:
    stream = progress(with_texts("ab", "cd"), 4, chunk_chars=2, stop="bcde")
    assert chunks(stream) == ["a", "bcd"]
    assert not stream.stopped


@pytest.mark.parametrize(("before", "after"), [(0, 0), (0, 9), (9, 0), (9, 9)])
def test_stop_string_across_a_change_of_the_version_ends_the_text(before: int, after: int) -> None:
    model = with_texts("abc.", ".def", newest_old=before)
    stream = progress(model, 100, chunk_chars=4, stop="..")
    assert chunk(stream) == "abc"
    replace_version(model)
    object.__setattr__(model, "newest_old", after)
    assert chunk(stream) is None
    assert (stream.text, stream.stopped) == ("abc", True)
    width = 2 if after == 0 else 1
    assert model.requests[-1][:3] == (2, "prompt abc.", [0.0] * width)  # type: ignore[attr-defined]


def test_version_without_the_options_is_an_error_after_which_the_stream_resumes() -> None:
    model = with_texts("abcd", "efgh")
    stream = progress(model, 8, chunk_chars=4, top_p=0.5, stop="x")
    assert chunk(stream) == "abcd"
    replace_version(model)
    object.__setattr__(model, "newest_old", 2)
    for _ in range(2):
        with pytest.raises(Unsupported, match="Version 2 of m was exported before top_p and stop existed"):
            chunk(stream)
    replace_version(model)
    assert chunks(stream) == ["efgh"]
    assert stream.text == "abcdefgh"
    assert [request[:3] for request in model.requests] == [  # type: ignore[attr-defined]
        (1, "prompt ", [0.0, 0.0]),
        (1, "", [4.0, 4.0]),
        (3, "prompt abcd", [0.0, 0.0]),
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
