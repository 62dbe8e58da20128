import time

from benchmarks.implementations.protocol import Stopwatch


def test_stopwatch_excludes_paused_time() -> None:
    watch = Stopwatch()
    with watch.paused():
        time.sleep(0.2)
        sum(range(10**6))
    assert watch.read()["wall"] < 0.15
    assert watch.read()["cpu"] < 0.01
    time.sleep(0.05)
    assert watch.read()["wall"] >= 0.05
