"""The options of `generate`, `generate_from_state` and `stream`: defined, documented and validated here."""

import math
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

from .values import as_integer, as_number

_INT32, _INT64 = 2**31, 2**63
_SEED_RANGE = 2**31  # of random seeds: short enough to type


class GenerateArguments(TypedDict, total=False):
    """Keyword arguments that make a `GenerateOptions`."""

    num_chars: int
    temperature: float
    top_k: int
    seed: int | Sequence[int] | None


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

    Raises:
      ValueError: an option is out of range; the message names it.
    """

    num_chars: int = 300
    temperature: float = 0.8
    top_k: int = 0
    seed: int | Sequence[int] | None = None

    def __post_init__(self) -> None:
        if not 0 <= as_integer("num_chars", self.num_chars) < _INT32:
            raise ValueError(f"num_chars must be from 0 to {_INT32 - 1}. Received: num_chars={self.num_chars}")
        if not 0 <= as_integer("top_k", self.top_k) < _INT32:
            raise ValueError(f"top_k must be 0 (all characters) or more. Received: top_k={self.top_k}")
        if not 0 <= as_number("temperature", self.temperature) < math.inf:
            raise ValueError(f"temperature must be a finite number from 0. Received: temperature={self.temperature}")
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

    def rows(self, prompts: Sequence[str]) -> list[dict[str, Any]]:
        """Return the instances of a request, one for each prompt."""
        same = {"num_chars": int(self.num_chars), "temperature": float(self.temperature), "top_k": int(self.top_k)}
        return [{"prompt": prompt, **same, "seed": seed} for prompt, seed in zip(prompts, self.seeds(len(prompts)))]
