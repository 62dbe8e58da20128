"""Threads that take turns: a test chooses the order of their steps, instead of hoping for one."""

import random
import threading
from collections.abc import Callable, Iterator, Mapping


class Choices:
    """Chooses among options; `every_order` repeats a run with other choices."""

    def __init__(self, prefix: list[int]) -> None:
        self._prefix = prefix
        self.made: list[tuple[int, int]] = []  # index and number of options
        self.names: list[str] = []

    def __call__(self, options: list[str]) -> str:
        index = self._prefix[len(self.made)] if len(self.made) < len(self._prefix) else 0
        self.made.append((index, len(options)))
        self.names.append(options[index])
        return options[index]


def every_order() -> Iterator[Choices]:
    """Yield choices for one run after the other until every order was chosen."""
    prefix: list[int] = []
    while True:
        choices = Choices(prefix)
        yield choices
        made = choices.made
        while made and made[-1][0] + 1 == made[-1][1]:
            made.pop()
        if not made:
            return
        prefix = [index for index, _ in made[:-1]] + [made[-1][0] + 1]


def some_orders(count: int) -> Iterator[Callable[[list[str]], str]]:
    """Yield `count` reproducible choices: the first alternates, the others are random."""
    for seed in range(count):
        yield _alternating() if seed == 0 else random.Random(seed).choice


def _alternating() -> Callable[[list[str]], str]:
    last = ""

    def choose(options: list[str]) -> str:
        nonlocal last
        last = next((option for option in options if option > last), options[0])
        return last

    return choose


class Turns:
    """Runs functions in threads, one step at a time.

    Args:
      choose: returns the name of the function whose step is next, of the names of those that have not ended.
    """

    def __init__(self, choose: Callable[[list[str]], str]) -> None:
        self._choose = choose
        self._changed = threading.Condition()
        self._active: set[str] = set()
        self._waiting: set[str] = set()
        self._errors: list[BaseException] = []

    def step(self) -> None:
        """Wait until the step that follows is next. Other threads than those of `run` do not wait."""
        name = threading.current_thread().name
        with self._changed:
            if name not in self._active:
                return
            self._waiting.add(name)
            self._changed.notify_all()
            assert self._changed.wait_for(lambda: name not in self._waiting, timeout=60)

    def run(self, functions: Mapping[str, Callable[[], None]], check: Callable[[], None] = lambda: None) -> None:
        """Run the functions; call `check` before each step and at the end; raise what a function raises."""
        self._active = set(functions)
        threads = [threading.Thread(target=self._run, args=one, name=one[0], daemon=True) for one in functions.items()]
        for thread in threads:
            thread.start()
        with self._changed:
            while True:
                assert self._changed.wait_for(lambda: self._waiting == self._active, timeout=60)
                check()
                if not self._active:
                    break
                self._waiting.remove(self._choose(sorted(self._active)))
                self._changed.notify_all()
        for thread in threads:
            thread.join()
        if self._errors:
            raise self._errors[0]

    def _run(self, name: str, function: Callable[[], None]) -> None:
        try:
            function()
        except BaseException as error:
            self._errors.append(error)
        finally:
            with self._changed:
                self._active.discard(name)
                self._changed.notify_all()
