"""Windows and batches of ids that equal their position plus one: the numbers show where each came from."""

import doctest
from collections.abc import Callable, Iterable
from itertools import accumulate

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.data import windows as windows_module
from trainer.data.windows import (
    MIN_WINDOWS_IN_A_STREAM,
    Batch,
    Windows,
    contiguous,
    contiguous_batches,
    independent,
    shuffle_documents,
    shuffled_batches,
    steps_per_epoch,
    stream_count,
)

LENGTHS = st.lists(st.integers(1, 40), min_size=1, max_size=6)
SIZES = st.integers(1, 12)
STREAMS = st.integers(1, 9)
CHECK = settings(max_examples=60)
SEEDS = st.integers(0, 2**31 - 1)


def cut(function: Callable[..., Windows], lengths: list[int], size: int) -> Windows:
    return function(np.arange(1, sum(lengths) + 1, dtype=np.uint16), np.array(lengths, np.int64), size)


def firsts(lengths: list[int]) -> set[int]:
    """The id of each document's first character."""
    return {begin + 1 for begin in accumulate([0, *lengths[:-1]])}


def counted(batches: Iterable[Batch]) -> list[tuple[int, int]]:
    """All (input, target) that count."""
    return [
        (int(x), int(y))
        for batch in batches
        for x, y, counts in zip(batch.inputs.flat, batch.targets.flat, batch.mask.flat)
        if counts
    ]


def assert_same(some: list[Batch], others: list[Batch]) -> None:
    assert len(some) == len(others)
    for one, other in zip(some, others):
        for field in ("inputs", "targets", "mask", "carry_mask"):
            np.testing.assert_array_equal(getattr(one, field), getattr(other, field))


def order(batches: Iterable[Batch]) -> list[int]:
    """The first input of every window, which names it."""
    return [int(x) for batch in batches for x in batch.inputs[:, 0]]


def test_worked_example() -> None:
    windows = cut(contiguous, [6, 1, 3], size=3)  # ids 1-6, 7, 8-10
    assert windows.starts.tolist() == [0, 3, 7]
    assert windows.lengths.tolist() == [3, 2, 2]
    assert windows.starts_document.tolist() == [True, False, True]
    assert windows.targets == 7
    first, second = contiguous_batches(windows, streams=2)
    assert first.inputs.tolist() == [[1, 2, 3], [8, 9, 0]]
    assert first.targets.tolist() == [[2, 3, 4], [9, 10, 0]]
    assert first.mask.tolist() == [[1, 1, 1], [1, 1, 0]]
    assert first.carry_mask.tolist() == [[0], [0]]
    assert second.inputs[0].tolist() == [4, 5, 0]
    assert second.mask.tolist() == [[1, 1, 0], [0, 0, 0]]
    assert second.carry_mask[0].tolist() == [1]


@CHECK
@given(LENGTHS, SIZES, STREAMS)
def test_every_character_but_each_documents_first_is_a_target_exactly_once(
    lengths: list[int], size: int, streams: int
) -> None:
    windows = cut(contiguous, lengths, size)
    pairs = counted(contiguous_batches(windows, streams))
    assert sorted(target for _, target in pairs) == sorted(set(range(1, sum(lengths) + 1)) - firsts(lengths))
    assert all(target == before + 1 for before, target in pairs)
    assert windows.targets == len(pairs)


@CHECK
@given(LENGTHS, SIZES, STREAMS)
def test_state_is_reset_at_stream_starts_and_document_starts_only(lengths: list[int], size: int, streams: int) -> None:
    memories: list[list[int]] = [[] for _ in range(streams)]
    for step, batch in enumerate(contiguous_batches(cut(contiguous, lengths, size), streams)):
        for row, memory in enumerate(memories):
            seen = [int(x) for x in batch.inputs[row][batch.mask[row] == 1]]
            if not seen:
                continue
            assert (batch.carry_mask[row, 0] == 0) == (step == 0 or seen[0] in firsts(lengths))
            if batch.carry_mask[row, 0] == 0:
                memory.clear()
            memory.extend(seen)
            # What is remembered is one unbroken stretch of one document.
            assert memory == list(range(memory[0], memory[-1] + 1))
            assert not firsts(lengths) & set(memory[1:])


@CHECK
@given(LENGTHS, SIZES, STREAMS)
def test_all_batches_have_one_shape_and_zeros_where_the_mask_is_zero(
    lengths: list[int], size: int, streams: int
) -> None:
    windows = cut(contiguous, lengths, size)
    batches = list(contiguous_batches(windows, streams))
    assert len(batches) == steps_per_epoch(windows, streams)
    for batch in batches:
        assert batch.inputs.shape == batch.targets.shape == batch.mask.shape == (streams, size)
        assert batch.carry_mask.shape == (streams, 1)
        assert [array.dtype for array in (batch.inputs, batch.targets)] == [np.int32, np.int32]
        assert [array.dtype for array in (batch.mask, batch.carry_mask)] == [np.float32, np.float32]
        assert set(np.unique([*batch.mask.flat, *batch.carry_mask.flat])) <= {0.0, 1.0}
        assert not batch.inputs[batch.mask == 0].any()
        assert not batch.targets[batch.mask == 0].any()
        # What counts in a row comes first: the state after a window is that of its last character or is forgotten.
        assert (np.diff(batch.mask, axis=1) <= 0).all()


@pytest.mark.integration
@CHECK
@given(LENGTHS, SIZES, STREAMS, st.data())
def test_streams_resume_identically(lengths: list[int], size: int, streams: int, data: st.DataObject) -> None:
    windows = cut(contiguous, lengths, size)
    batches = list(contiguous_batches(windows, streams))
    done = data.draw(st.integers(0, len(batches)))
    assert_same(list(contiguous_batches(windows, streams, first=done)), batches[done:])


@CHECK
@given(st.integers(0, 500), st.integers(1, 64), st.integers(1, 8))
def test_small_split_has_fewer_streams_in_equal_parts_per_replica(count: int, batch_size: int, replicas: int) -> None:
    streams = stream_count(cut(contiguous, [2] * count, size=1), batch_size, replicas)
    assert streams % replicas == 0
    assert replicas <= streams <= max(batch_size, replicas)
    if streams > replicas:
        assert count >= streams * MIN_WINDOWS_IN_A_STREAM
    one_more_each = streams + replicas
    assert one_more_each > batch_size or count < one_more_each * MIN_WINDOWS_IN_A_STREAM


def test_large_split_has_as_many_streams_as_the_batch_size() -> None:
    windows = cut(contiguous, [10_001], size=100)
    assert stream_count(windows, 16) == 16
    assert stream_count(windows, 64) == 25
    assert stream_count(windows, 64, replicas=2) == 24
    assert stream_count(windows, 1, replicas=2) == 2


def test_windows_of_the_tutorial_are_101_apart() -> None:
    windows = cut(independent, [1000], size=100)
    assert windows.starts.tolist() == [0, 101, 202, 303, 404, 505, 606, 707, 808]  # 909 would need 101 characters more
    assert set(windows.lengths.tolist()) == {100}
    exact = cut(independent, [101 * 3], size=100)
    assert exact.starts.tolist() == [0, 101, 202]


END = 0
MANY_DOCUMENTS = st.lists(st.lists(st.integers(1, 30), min_size=1, max_size=8), min_size=1, max_size=3)  # by file


def cut_documents(function: Callable[..., Windows], files: list[list[int]], size: int) -> Windows:
    """Each document has characters from 1 on, and the symbol is before and after it."""
    texts = [[END, *(i for length in file for i in (*range(1, length + 1), END))] for file in files]
    return function(np.concatenate(texts).astype(np.uint8), np.array([*map(len, texts)]), size, END)


@CHECK
@given(MANY_DOCUMENTS, SIZES.filter(lambda size: size > 1), STREAMS, SEEDS)
def test_every_epoch_has_all_short_documents_in_another_order_and_resets_the_state_at_each(
    files: list[list[int]], size: int, streams: int, seed: int
) -> None:
    windows = cut_documents(contiguous, files, size)
    lengths = [length for file in files for length in file]
    shuffled = shuffle_documents(windows, [seed, 1])
    assert windows.size == min(size, max(max(lengths) + 1, 2))
    read, memories = [], [list[int]() for _ in range(streams)]
    for step, batch in enumerate(contiguous_batches(shuffled, streams)):
        for row, memory in enumerate(memories):
            seen = batch.inputs[row][batch.mask[row] == 1].tolist()
            if not seen:
                continue
            assert END not in seen[1:]
            assert (batch.carry_mask[row, 0] == 0) == (step == 0 or seen[0] == END)
            if seen[0] == END:
                memory.clear()
            memory += seen
            if batch.targets[row][len(seen) - 1] == END:
                read.append(memory[-1])
    assert sorted(read) == sorted(lengths)
    assert shuffled.targets == windows.targets == sum(lengths) + len(lengths)
    other = shuffle_documents(windows, [seed, 1])
    np.testing.assert_array_equal(other.starts, shuffled.starts)


def test_orders_of_documents_differ_from_epoch_to_epoch() -> None:
    windows = cut_documents(contiguous, [[3] * 50], 2)
    orders = {tuple(shuffle_documents(windows, [1, epoch]).starts.tolist()) for epoch in range(3)}
    assert len(orders | {tuple(windows.starts.tolist())}) == 4
    one = cut(contiguous, [50], 2)
    assert shuffle_documents(one, 1) is one


def test_independent_windows_of_short_documents_leave_none_out() -> None:
    windows = cut_documents(independent, [[1, 9, 4]], 4)
    assert windows.starts_document.tolist() == [True, True, False, False, True, False]
    assert windows.targets == 17


@CHECK
@given(LENGTHS, SIZES)
def test_independent_windows_are_full_and_within_documents(lengths: list[int], size: int) -> None:
    chunks = []
    begin = 1
    for length in lengths:
        document = list(range(begin, begin + length))
        chunks += [document[at : at + size + 1] for at in range(0, length, size + 1)]
        begin += length
    whole = [chunk for chunk in chunks if len(chunk) == size + 1]
    expected = whole or [chunk for chunk in chunks if len(chunk) >= 2]
    windows = cut(independent, lengths, size)
    assert [
        windows.ids[start : start + length + 1].tolist() for start, length in zip(windows.starts, windows.lengths)
    ] == expected


@CHECK
@given(LENGTHS, SIZES, st.integers(1, 60), SEEDS)
def test_shuffled_epoch_is_a_permutation_without_state(lengths: list[int], size: int, buffer: int, seed: int) -> None:
    windows = cut(independent, lengths, size)
    if not len(windows):
        return
    batches = list(shuffled_batches(windows, 1, buffer, seed))
    assert sorted(order(batches)) == (windows.starts + 1).tolist()
    assert not any(batch.carry_mask.any() for batch in batches)
    assert len(counted(batches)) == windows.targets


@pytest.mark.integration
@CHECK
@given(st.integers(1, 60), st.integers(1, 70), st.integers(1, 10), SEEDS, st.data())
def test_shuffled_epoch_resumes_identically(
    count: int, buffer: int, batch_size: int, seed: int, data: st.DataObject
) -> None:
    windows = cut(independent, [3 * count], size=2)
    batches = list(shuffled_batches(windows, batch_size, buffer, [seed, 1]))
    done = data.draw(st.integers(0, len(batches)))
    assert_same(list(shuffled_batches(windows, batch_size, buffer, [seed, 1], first=done)), batches[done:])


@CHECK
@given(st.integers(1, 60), st.integers(1, 70), SEEDS)
def test_window_leaves_the_buffer_only_after_it_has_entered(count: int, buffer: int, seed: int) -> None:
    windows = cut(independent, [3 * count], size=2)
    for place, name in enumerate(order(shuffled_batches(windows, 1, buffer, seed))):
        assert (name - 1) // 3 < place + buffer


@pytest.mark.parametrize("buffer", [20, 1000])
def test_seed_and_epoch_decide_the_order(buffer: int) -> None:
    windows = cut(independent, [3 * 200], size=2)
    orders = [order(shuffled_batches(windows, 8, buffer, seed)) for seed in ([1, 0], [1, 1], [2, 0], [1, 0])]
    assert orders[0] == orders[3]
    assert len({tuple(each) for each in orders}) == 3
    assert sorted(orders[0]) != orders[0]


@CHECK
@given(st.integers(1, 60), st.integers(1, 10), SEEDS)
def test_incomplete_last_batch_is_dropped_unless_it_is_the_only_one(count: int, batch_size: int, seed: int) -> None:
    windows = cut(independent, [3 * count], size=2)
    batches = list(shuffled_batches(windows, batch_size, 1000, seed))
    assert len(batches) == max(1, count // batch_size)
    assert {batch.inputs.shape for batch in batches} == {(batch_size, 2)}
    names = [target for _, target in counted(batches)]
    assert len(names) == len(set(names)) == 2 * min(count, len(batches) * batch_size)


@CHECK
@given(LENGTHS, SIZES, STREAMS)
def test_steps_per_epoch(lengths: list[int], size: int, rows: int) -> None:
    windows = cut(contiguous, lengths, size)
    steps, whole = steps_per_epoch(windows, rows), steps_per_epoch(windows, rows, drop_remainder=True)
    assert (steps - 1) * rows < len(windows) <= steps * rows or (steps, len(windows)) == (0, 0)
    assert whole == max(1, len(windows) // rows)


def test_docstring_examples() -> None:
    outcome = doctest.testmod(windows_module)
    assert outcome.attempted
    assert not outcome.failed
