import time

from benchmarks.contenders.protocol import Stopwatch


def test_a_stopwatch_leaves_out_what_is_done_while_paused() -> None:
    watch = Stopwatch()
    with watch.paused():
        time.sleep(0.2)
        sum(range(10**6))
    assert watch.read()["wall"] < 0.15
    assert watch.read()["cpu"] < 0.01
    time.sleep(0.05)
    assert watch.read()["wall"] >= 0.05
