"""The options of `generate`, `generate_from_state` and `stream`: defined, documented and validated here."""

import math
import secrets
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypedDict

from .errors import Unsupported
from .values import as_integer, as_number, as_texts

_INT32, _INT64 = 2**31, 2**63
_SEED_RANGE = 2**31  # of random seeds: short enough to type
_MAX_PENALTY = 10.0
_MAX_STOP = 64  # characters: the graph compares the stop string with the last 64 of the text


class GenerateArguments(TypedDict, total=False):
    """Keyword arguments that make a `GenerateOptions`."""

    num_chars: int
    temperature: float
    top_k: int
    seed: int | Sequence[int] | None
    top_p: float
    repetition_penalty: float
    stop: str


@dataclass(frozen=True)
class GenerateOptions:
    """How to generate text. The limits of a model are enforced by its server; only impossible values fail here.

    Example:
      >>> GenerateOptions(num_chars=5, seed=7).rows(["A", "B"])[1]
      {'prompt': 'B', 'num_chars': 5, 'temperature': 0.8, 'top_k': 0, 'seed': 8}

    Attributes:
      num_chars: characters to generate.
      temperature: 0 always takes the most likely character (greedy); 1 samples from the model's distribution.
      top_k: sample among this many of the most likely characters; 0: among all.
      seed: of the first prompt; the next prompts use seed + 1, seed + 2, ... A sequence: one seed for each prompt.
        None: a random seed, which is then the value of this attribute.
      top_p: nucleus sampling, after temperature and top_k: sample among the smallest set of the most likely characters
        whose probabilities add up to this; 1: among all.
      repetition_penalty: above 1 makes characters that are among the last 64 of the text less likely, below 1 more; 1:
        off, at most 10.
      stop: ends a text before its first occurrence, which is not returned; at most 64 characters, empty: off. Only new
        text is compared, not the prompt.

    Raises:
      ValueError: an option is out of range; the message names it.
    """

    num_chars: int = 300
    temperature: float = 0.8
    top_k: int = 0
    seed: int | Sequence[int] | None = None
    top_p: float = 1.0
    repetition_penalty: float = 1.0
    stop: str = ""

    def __post_init__(self) -> None:
        if not 0 <= as_integer("num_chars", self.num_chars) < _INT32:
            raise ValueError(f"num_chars must be from 0 to {_INT32 - 1}. Received: num_chars={self.num_chars}")
        if not 0 <= as_integer("top_k", self.top_k) < _INT32:
            raise ValueError(f"top_k must be 0 (all characters) or more. Received: top_k={self.top_k}")
        if not 0 <= as_number("temperature", self.temperature) < math.inf:
            raise ValueError(f"temperature must be a finite number from 0. Received: temperature={self.temperature}")
        if not 0 < as_number("top_p", self.top_p) <= 1:
            raise ValueError(f"top_p must be above 0 and at most 1 (off). Received: top_p={self.top_p}")
        if not 0 < as_number("repetition_penalty", self.repetition_penalty) <= _MAX_PENALTY:
            raise ValueError(
                f"repetition_penalty must be above 0 and at most {_MAX_PENALTY:g}; 1 is off. "
                f"Received: repetition_penalty={self.repetition_penalty}"
            )
        if len(as_texts([self.stop], "stop string")[0]) > _MAX_STOP:
            raise ValueError(f"stop must have at most {_MAX_STOP} characters. Received: {len(self.stop)} characters")
        if self.seed is None:
            object.__setattr__(self, "seed", secrets.randbelow(_SEED_RANGE))

    def seeds(self, prompts: int) -> tuple[int, ...]:
        """Return one seed for each of this many prompts.

        Raises:
          ValueError: there is another number of seeds, or one that does not fit into 64 bits.
        """
        if isinstance(self.seed, Sequence):
            seeds = tuple(as_integer("seed", seed) for seed in self.seed)
        else:
            seeds = tuple(as_integer("seed", self.seed) + row for row in range(prompts))
        if len(seeds) != prompts:
            raise ValueError(f"There must be one seed for each of the {prompts} prompts. Received: {len(seeds)} seeds")
        if not all(-_INT64 <= seed < _INT64 for seed in seeds):
            raise ValueError(f"seed must be a signed 64-bit integer. Received: seed={self.seed}")
        return seeds

    @property
    def controls(self) -> dict[str, Any]:
        """The options that only `sample` and `sample_from_state` take, as far as they differ from their defaults."""
        own = {"top_p": self.top_p, "repetition_penalty": self.repetition_penalty, "stop": self.stop}
        return {name: value for name, value in own.items() if value != getattr(GenerateOptions, name)}

    @property
    def signature(self) -> str:
        """The signature that takes these options: `generate`, which every export has, or `sample`."""
        return "sample" if self.controls else "generate"

    @property
    def state_signature(self) -> str:
        """The same for a continuation: `generate_from_state` or `sample_from_state`."""
        return f"{self.signature}_from_state"

    def adapted(self, signatures: Container[str], model: str) -> "GenerateOptions":
        """Return the options for an export with these signatures: without `stop` if the caller must apply it.

        Raises:
          Unsupported: the export cannot sample with the other options; the message names them and `model`.
        """
        if not self.controls or self.state_signature in signatures:
            return self
        plain = replace(self, stop="")
        if plain.controls:
            raise unsupported(model, self.controls)
        return plain

    def rows(self, prompts: Sequence[str]) -> list[dict[str, Any]]:
        """Return the instances of a request to `signature`, one for each prompt."""
        same: dict[str, Any] = {
            "num_chars": int(self.num_chars),
            "temperature": float(self.temperature),
            "top_k": int(self.top_k),
        }
        if self.controls:
            penalty = float(self.repetition_penalty)
            same |= {"top_p": float(self.top_p), "repetition_penalty": penalty, "stop": self.stop}
        return [{"prompt": prompt, **same, "seed": seed} for prompt, seed in zip(prompts, self.seeds(len(prompts)))]


def unsupported(model: str, wanted: Mapping[str, Any]) -> Unsupported:
    """The error of a model whose export is older than what is wanted: options or arguments with their values."""
    return Unsupported(
        f"{model} was exported before {' and '.join(wanted)} existed. Run the pipeline, which exports and pushes a "
        "new version, choose another version, or do without. "
        f"Received: {', '.join(f'{name}={value!r}' for name, value in wanted.items())}"
    )
