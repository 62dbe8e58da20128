"""Progress of training: log lines and TensorBoard."""

import logging
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import tensorflow as tf

from components.evaluate import perplexity
from trainer.plan.choices import Choice

# A runner attaches a handler, which overwrites DEBUG lines and keeps INFO lines.
LOGGER = logging.getLogger("char_rnn.progress")
_DEBUG_SECONDS = 0.5
_INFO_SECONDS = 30.0


@dataclass
class Reporter:
    """Logs progress, and writes scalars and generated text for TensorBoard.

    Attributes:
      total_steps: of the complete run.
      log_every: steps between scalars.
      writer: a TensorBoard summary writer; None on workers that do not report.
      chosen: value and reason of each configuration value that was chosen, by key.
    """

    total_steps: int
    log_every: int
    writer: tf.summary.SummaryWriter | None
    chosen: dict[str, Any] = field(default_factory=dict)
    _characters: int = 0
    _steps: int = 0
    _started: float = field(default_factory=time.monotonic)
    _logged_debug: float = 0.0
    _logged_info: float = field(default_factory=time.monotonic)
    _smoothed: float | None = None

    def step(self, step: int, loss: float, characters: int) -> None:
        """Report a step; the speed excludes the first one, which includes tracing."""
        now = time.monotonic()
        if self._steps == 0:
            self._started = now
        else:
            self._characters += characters
        self._steps += 1
        if math.isfinite(loss):
            self._smoothed = loss if self._smoothed is None else 0.9 * self._smoothed + 0.1 * loss
        if self.writer and (step % self.log_every == 0 or step == 1):
            with self.writer.as_default(step):
                tf.summary.scalar("train/loss_nats", loss)
                tf.summary.scalar("train/perplexity", perplexity.from_nats(loss))
        if step == 1:
            LOGGER.info("first loss %.3f nats", loss)
        if now - self._logged_info >= _INFO_SECONDS:
            self._logged_info = self._logged_debug = now
            LOGGER.info(self.line(step))
        elif now - self._logged_debug >= _DEBUG_SECONDS:
            self._logged_debug = now
            LOGGER.debug(self.line(step))

    def line(self, step: int) -> str:
        """Format step, loss, perplexity, speed and remaining time."""
        loss = self._smoothed if self._smoothed is not None else math.nan
        text = f"step {step:,}/{self.total_steps:,}  loss {loss:.3f} nats  perplexity {perplexity.from_nats(loss):.2f}"
        elapsed = time.monotonic() - self._started
        if self._steps > 1 and elapsed > 0:
            left = elapsed / (self._steps - 1) * (self.total_steps - step)
            text += f"  {self._characters / elapsed:,.0f} characters/s  {duration(left)} left"
        return text

    def choices(self, choices: Sequence[Choice]) -> None:
        """Report values that were chosen, one line each."""
        for choice in choices:
            LOGGER.info("chosen: %s", choice)
            self.chosen[choice.key] = {"value": choice.value, "reason": choice.reason}

    def evaluation(self, step: int, loss: float, best: bool, sample: str | None) -> None:
        """Report an evaluation, and a text that the model generates at that step."""
        if self.writer:
            with self.writer.as_default(step):
                tf.summary.scalar("eval/loss_nats", loss)
                tf.summary.scalar("eval/perplexity", perplexity.from_nats(loss))
                if sample:
                    tf.summary.text("sample", f"```\n{sample}\n```")
            self.writer.flush()
        mark = "  best so far" if best else ""
        LOGGER.info(
            "step %s  eval loss %.4f nats  perplexity %.3f%s", f"{step:,}", loss, perplexity.from_nats(loss), mark
        )


def duration(seconds: float) -> str:
    """Format as minutes and seconds, or hours and minutes."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d} h" if hours else f"{minutes}:{rest:02d}"
