"""What goes into the client's requests and comes out of the answers, checked on both ways."""

import math
import operator
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from serving.graph.generation_config import LARGEST_TEMPERATURE

NUM_CHARS, TEMPERATURE, TOP_K = 300, 0.8, 0  # the pipeline's defaults of `serving_default`
_INT32, _INT64 = 2**31, 2**63
_DRAWN_SEEDS = 2**31  # short enough to be typed again


class Generated(str):
    """Generated text, without its prompt; `seed` gives the same text again."""

    seed: int

    def __new__(cls, text: str, seed: int) -> "Generated":
        """Attach the seed to the text."""
        generated = super().__new__(cls, text)
        generated.seed = seed
        return generated

    def __getnewargs__(self) -> tuple[str, int]:  # type: ignore[override]  # str's has no seed
        """What copies and pickles are made of."""
        return str(self), self.seed


class Continuation(NamedTuple):
    """One row's answer of `generate_from_state`: new text, and the opaque state that continues after it."""

    text: Generated
    state: Sequence[float]


@dataclass(frozen=True)
class Score:
    """How well the model foresees each character of a text but the first, from a fresh start.

    Attributes:
      nll: nats of each of those characters.
      nll_sum: their sum.
      num_chars: how many they are.
    """

    nll: tuple[float, ...]
    nll_sum: float
    num_chars: int

    @property
    def perplexity(self) -> float:
        """The exponential of the mean nats; NaN for a text of fewer than two characters."""
        mean = self.nll_sum / self.num_chars if self.num_chars else math.nan
        return math.inf if mean > 709 else math.exp(mean)

    @property
    def bits_per_character(self) -> float:
        """Mean in bits; NaN for a text of fewer than two characters."""
        return self.nll_sum / self.num_chars / math.log(2) if self.num_chars else math.nan


@dataclass(frozen=True)
class VersionStatus:
    """A version that the server knows; `state` is START, LOADING, AVAILABLE, UNLOADING or END."""

    version: int
    state: str
    error_code: str
    error_message: str


@dataclass(frozen=True)
class Metadata:
    """The version that answers, and its signatures as TF Serving describes them, by name."""

    version: int
    signatures: Mapping[str, Any]

    @property
    def state_size(self) -> int:
        """Width of `generate_from_state`'s state.

        Raises:
          ValueError: the model has no such signature.
        """
        try:
            return int(self.signatures["generate_from_state"]["inputs"]["state"]["tensor_shape"]["dim"][1]["size"])
        except (LookupError, TypeError, ValueError):
            known = ", ".join(sorted(self.signatures))
            raise ValueError(
                f"The model cannot continue from a state, as this project's models can. Its signatures: {known}"
            ) from None


@dataclass(frozen=True)
class Controls:
    """How to generate: the same for all rows but for `seeds`, one a row."""

    num_chars: int
    temperature: float
    top_k: int
    seeds: tuple[int, ...]

    @classmethod
    def of(
        cls, rows: int, num_chars: int, temperature: float, top_k: int, seed: int | Sequence[int] | None
    ) -> "Controls":
        """Check the values; row i gets `seed` + i, or the seed of its own, or one drawn here.

        Raises:
          ValueError: a value that no server would take; the message names it.
        """
        num_chars, top_k = whole("num_chars", num_chars), whole("top_k", top_k)
        if not 0 <= num_chars < _INT32:
            raise ValueError(f"num_chars must be from 0 to {_INT32 - 1}. Received: num_chars={num_chars}")
        if not 0 <= top_k < _INT32:
            raise ValueError(f"top_k must be 0 (all characters) or more. Received: top_k={top_k}")
        if not 0 <= number("temperature", temperature) <= LARGEST_TEMPERATURE:
            raise ValueError(
                f"temperature must be from 0 to {LARGEST_TEMPERATURE:g}. Received: temperature={temperature}"
            )
        if seed is None:
            seed = secrets.randbelow(_DRAWN_SEEDS)
        if isinstance(seed, Sequence):
            seeds = tuple(whole("seed", one) for one in seed)
        else:
            seeds = tuple(whole("seed", seed) + row for row in range(rows))
        if len(seeds) != rows:
            raise ValueError(f"There must be one seed for each of the {rows} prompts. Received: {len(seeds)} seeds")
        if not all(-_INT64 <= one < _INT64 for one in seeds):
            raise ValueError(f"seed must fit into 64 bits with its sign. Received: seed={seed}")
        return cls(num_chars, float(temperature), top_k, seeds)

    def row(self, row: int, prompt: str) -> dict[str, Any]:
        """The request's object for a row."""
        return {
            "prompt": prompt,
            "num_chars": self.num_chars,
            "temperature": self.temperature,
            "top_k": self.top_k,
            "seed": self.seeds[row],
        }


def texts_of(values: str | Sequence[str], what: str) -> list[str]:
    """The texts as a list; raises `ValueError` for one that is not Unicode text."""
    if not isinstance(values, Iterable):
        raise ValueError(f"A {what} must be text. Received: {values!r}")
    texts = [values] if isinstance(values, str) else list(values)
    for text in texts:
        if not isinstance(text, str):
            raise ValueError(f"A {what} must be text. Received: {text!r}")
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise ValueError(
                f"A {what} holds half a character (a lone surrogate), which UTF-8 cannot carry. "
                f"Received: {text[error.start]!r} at character {error.start}"
            ) from None
    return texts


def number(name: str, value: Any) -> float:
    """The value as a number; raises `ValueError` with its name if it is none."""
    try:
        if not isinstance(value, (str, bytes)):
            return float(value)
    except (TypeError, OverflowError):
        pass
    raise ValueError(f"{name} must be a number. Received: {name}={value!r}")


def whole(name: str, value: Any) -> int:
    """The value as a whole number; raises `ValueError` with its name if it is none."""
    try:
        return operator.index(value)
    except TypeError:
        raise ValueError(f"{name} must be a whole number. Received: {name}={value!r}") from None
