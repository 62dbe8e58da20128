"""Values that the client returns, and the checks of its arguments."""

import math
import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple


class Generated(str):
    """Generated text without its prompt; the same request with `seed` generates the same text.

    Attributes:
      seed: of this text.
      stopped: whether the option `stop` ended it, and not `num_chars`.

    Example:
      >>> text = Generated("abc", seed=7)
      >>> text + "d", text.seed, text.stopped
      ('abcd', 7, False)
    """

    seed: int
    stopped: bool

    def __new__(cls, text: str, seed: int, stopped: bool = False) -> "Generated":
        """Attach the seed, and how it ended, to the text."""
        generated = super().__new__(cls, text)
        generated.seed, generated.stopped = seed, stopped
        return generated

    def __getnewargs__(self) -> tuple[str, int, bool]:  # type: ignore[override]  # str's has no further arguments
        """Support copy and pickle."""
        return str(self), self.seed, self.stopped


class Continuation(NamedTuple):
    """One row of `generate_from_state`: the new text, and the opaque state after it, from which to continue.

    A text that `stop` ended includes the stop string, unlike that of `generate`, because an earlier call may have
    returned the beginning of the stop string.

    Example: `test_steps_with_explicit_state_join_to_one_text` in tests/serving/client/test_blocking.py.
    """

    text: Generated
    state: Sequence[float]


@dataclass(frozen=True)
class Score:
    """Log-likelihood of a text under the model, read from the initial state.

    Attributes:
      nll: negative log-likelihood, in nats, of each character but the first.
      nll_sum: sum of `nll`.
      num_chars: number of characters predicted.

    Example:
      >>> Score(nll=(0.5, 1.5), nll_sum=2.0, num_chars=2).perplexity == math.e
      True
    """

    nll: tuple[float, ...]
    nll_sum: float
    num_chars: int

    @property
    def perplexity(self) -> float:
        """The exponential of the mean nats; NaN for a text of fewer than two characters."""
        mean = self.nll_sum / self.num_chars if self.num_chars else math.nan
        return math.inf if mean > 709 else math.exp(mean)  # exp overflows float64 above 709

    @property
    def bits_per_character(self) -> float:
        """The mean in bits; NaN for a text of fewer than two characters."""
        return self.nll_sum / self.num_chars / math.log(2) if self.num_chars else math.nan


class Alternative(NamedTuple):
    """A character that a text could have at some place.

    Attributes:
      probability: given the text before, from 0 to 1, at temperature 1.

    Example:
      >>> character, probability = Alternative("e", 0.25)
    """

    character: str
    probability: float


@dataclass(frozen=True)
class Metadata:
    """The version that responds, and its signatures as TF Serving describes them, by name.

    Example: `test_status_and_metadata` in tests/serving/client/test_blocking.py.
    """

    version: int
    signatures: Mapping[str, Any]

    @property
    def state_size(self) -> int:
        """Width of `generate_from_state`'s state.

        Raises:
          ValueError: the model has no such signature.
        """
        return self.state_size_of("generate_from_state")

    def state_size_of(self, signature: str) -> int:
        """Width of the state of `generate_from_state` or `sample_from_state`, as `state_size` returns it."""
        try:
            return int(self.signatures[signature]["inputs"]["state"]["tensor_shape"]["dim"][1]["size"])
        except (LookupError, TypeError, ValueError, OverflowError):
            known = ", ".join(sorted(self.signatures))
            raise ValueError(
                f"The model cannot continue from a state, as this project's models can. Its signatures: {known}"
            ) from None


def as_texts(values: str | Sequence[str], what: str) -> list[str]:
    """Return the texts as a list; raise `ValueError` for one that is not valid Unicode."""
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
                f"A {what} contains half a character (a lone surrogate), which UTF-8 cannot encode. "
                f"Received: {text[error.start]!r} at character {error.start}"
            ) from None
    return texts


def as_top_n(value: Any) -> int:
    """Return how many alternatives are wanted; raise `ValueError` if no model can have so many."""
    if not 1 <= as_integer("top_n", value) < 2**31:
        raise ValueError(f"top_n must be at least 1 and fit into 32 bits. Received: top_n={value}")
    return int(value)


def as_number(name: str, value: Any) -> float:
    """Return the value as a float; raise `ValueError` with its name if it is not a number."""
    try:
        if not isinstance(value, (str, bytes)):
            return float(value)
    except (TypeError, OverflowError):
        pass
    raise ValueError(f"{name} must be a number. Received: {name}={value!r}")


def as_integer(name: str, value: Any) -> int:
    """Return the value as an int; raise `ValueError` with its name if it is not an integer."""
    try:
        return operator.index(value)
    except TypeError:
        raise ValueError(f"{name} must be an integer. Received: {name}={value!r}") from None
