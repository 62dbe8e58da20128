"""A language model of Keras' GRU layers (`reset_after`) in NumPy and float64, with the roundings of `tests.numeric`.

It shares no code with the implementations under test. Rounding may change a sampled character where the random number
is at the boundary between two characters, or where two characters are equally likely: a text passes if rounding
explains it.
"""

import math
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from tests.numeric import DEVIATIONS, FUNCTION, UNIT, Array, Noise

UNICODE = 0x110000
GREEDY = 1e-6  # lower temperatures count as zero
LATELY = 200  # last characters of a prompt with roundings; those of earlier characters have faded
_MASK = 2**64 - 1


def weights_of(variables: Sequence[Any]) -> Any:
    """Return the weights for `Gru` from variables: embedding, three per layer, kernel and bias of the projection."""
    embedding, *stack, projection, bias = [variable.numpy() for variable in variables]
    layers = [stack[i : i + 3] for i in range(0, len(stack), 3)]
    return SimpleNamespace(embedding=embedding, layers=layers, projection=projection, projection_bias=bias)


class Gru:
    """Computes logits, losses, and samples; the first axis of all results counts the runs of its noise.

    Attributes:
      characters: characters with an id; all others share the last id.
    """

    def __init__(self, weights: Any, characters: str, noise: Noise | None = None) -> None:
        """Start from the zero state with the weights of `serving.graph.network.Weights` or `weights_of`."""
        self.characters, self._noise = characters, noise or Noise()
        self._layers, self._output = weights.layers, (weights.projection, weights.projection_bias)
        # The input product of the first layer is computed once per character, so that its roundings repeat.
        self._table = self._projected(self._noise.runs(weights.embedding), 0)
        self.hidden = [self._noise.runs(np.zeros((1, kernel.shape[0]))) for _, kernel, _ in weights.layers]

    def read(self, character: str) -> Array:
        """Read a character; return the logits (runs, ids) of the next one."""
        noise, place = self._noise, self.characters.find(character) % self._table.shape[1]
        projected = self._table[:, place : place + 1]
        for layer, (_, kernel, bias) in enumerate(self._layers):
            if layer:
                projected = self._projected(self.hidden[layer - 1], layer)
            h = self.hidden[layer]
            recurrent = noise(noise.product(h, kernel) + bias[1])
            (x_u, x_r, x_c), (r_u, r_r, r_c) = np.split(projected, 3, -1), np.split(recurrent, 3, -1)
            update, reset = self._sigmoid(noise(x_u + r_u)), self._sigmoid(noise(x_r + r_r))
            candidate = noise(np.tanh(noise(x_c + noise(reset * r_c))), FUNCTION)
            self.hidden[layer] = noise(candidate + noise(update * noise(h - candidate)))
        kernel, bias = self._output
        return np.asarray(noise(noise.product(self.hidden[-1], kernel) + bias)[:, 0])

    def nll(self, text: str) -> Array:
        """Return the nats (runs, characters) of every character but the first."""
        noise, nats = self._noise, []
        for before, character in zip(text, text[1:]):
            logits, place = self.read(before), self.characters.find(character)
            centered = noise(logits - logits.max(-1, keepdims=True))
            powers = noise(np.exp(centered), FUNCTION)
            total = self._sum(powers)
            surcharge = math.log(UNICODE - len(self.characters)) if place < 0 else 0.0
            nats.append(noise(noise(noise(np.log(total), FUNCTION) - centered[:, place]) + surcharge))
        return np.stack(nats, 1) if nats else self._noise.runs(np.zeros(0))

    def nll_sum(self, text: str) -> Array:
        """Return the nats (runs,) of a text."""
        return self._sum(self.nll(text))

    def choices(
        self,
        logits: Array,
        uniform: float,
        temperature: float,
        top_k: int,
        top_p: float = 1.0,
        penalty: float = 1.0,
        recent: str = "",
    ) -> set[str]:
        """Return the characters that the runs sample: more than one only where rounding decides."""
        known = logits[:, :-1].copy()
        repeated = [place for place, character in enumerate(self.characters) if character in recent]
        values = known[:, repeated]
        known[:, repeated] = self._noise(np.where(values > 0, values / penalty, values * penalty))
        # With top_k or top_p the order is by likelihood, otherwise that of the vocabulary.
        by_likelihood = top_k or top_p < 1
        order = np.argsort(-known if by_likelihood else np.zeros_like(known), 1, "stable")[:, : top_k or None]
        kept = np.take_along_axis(known, order, 1)
        scaled = self._noise(self._noise(kept - known.max(1, keepdims=True)) / max(temperature, GREEDY))
        powers = self._noise(np.exp(scaled), FUNCTION)
        if top_p < 1:
            before = self._noise(powers.cumsum(1) - powers, kept.shape[1] ** 0.5)
            powers = np.where((before < top_p * self._sum(powers)[:, None]) | (before == 0), powers, 0.0)
        cumulative = self._noise(powers.cumsum(1), kept.shape[1] ** 0.5)
        sampled = (cumulative <= self._noise(uniform * cumulative[:, -1:])).sum(1)
        # If rounding puts every value below, the last character with a probability above zero is sampled.
        sampled = np.minimum(sampled, cumulative.argmax(1))
        return {self.characters[order[run, place]] for run, place in enumerate(sampled)}

    def _projected(self, x: Array, layer: int) -> Array:
        kernel, _, bias = self._layers[layer]
        return np.asarray(self._noise(self._noise.product(x, kernel) + bias[0]))

    def _sigmoid(self, x: Array) -> Array:
        return np.asarray(self._noise(0.5 * self._noise(np.tanh(0.5 * x), FUNCTION) + 0.5))

    def _sum(self, x: Array) -> Array:
        size = math.sqrt(x.shape[1]) * self._noise.unit * np.abs(x).sum(1)
        return np.asarray(x.sum(1) + size * self._noise.signs(size.shape))


def assert_generated(
    text: str,
    weights: Any,
    characters: str,
    prompt: str,
    temperature: float,
    top_k: int,
    seed: int,
    top_p: float = 1.0,
    penalty: float = 1.0,
) -> None:
    """Fail unless a model generates the text after the prompt with some rounding of its arithmetic."""
    before, prompt = prompt, prompt or "\n"
    early, late, last = prompt[: -LATELY - 1], prompt[-LATELY - 1 : -1], prompt[-1]
    exact = Gru(weights, characters, Noise(samples=0))
    for character in early:
        exact.read(character)
    noise = Noise(DEVIATIONS * UNIT["float32"])  # as large as all roundings together
    model = Gru(weights, characters, noise)
    model.hidden = [noise.runs(h[0]) for h in exact.hidden]
    for character in late:
        model.read(character)
    for i, (uniform, written) in enumerate(zip(uniforms(seed, len(text)), text)):
        recent = (before + text[:i])[-64:]
        choices = model.choices(model.read(last), uniform, temperature, top_k, top_p, penalty, recent)
        assert written in choices, f"character {i} after {prompt + text[:i]!r}: {written!r} instead of {choices}"
        last = written


def assert_same_text(one: str, other: str, *how: Any) -> None:
    """Fail if two texts differ, unless rounding of the model's arithmetic explains both."""
    assert len(one) == len(other)
    for text in () if one == other else (one, other):
        assert_generated(text, *how)


def uniforms(seed: int, count: int) -> list[float]:
    """Return random numbers of SplitMix64, in plain integers."""

    def mixed(z: int) -> int:
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
        return z ^ (z >> 31)

    gamma = 0x9E3779B97F4A7C15
    start = mixed((seed + gamma) & _MASK)
    return [(mixed((start + i * gamma) & _MASK) >> 40) / 2**24 for i in range(1, count + 1)]
