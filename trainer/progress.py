"""Tell people and TensorBoard how training goes."""

import logging
import math
import time
from dataclasses import dataclass, field

import tensorflow as tf

LOGGER = logging.getLogger("char_rnn.progress")  # a runner attaches a handler; DEBUG: passing lines, INFO: lasting ones
_PASSING_SECONDS = 0.5
_LASTING_SECONDS = 30.0


@dataclass
class Reporter:
    """Writes a progress line now and then, and scalars and generated text for TensorBoard.

    Attributes:
      total_steps: of the whole run.
      log_every: steps between scalars.
      writer: a TensorBoard summary writer; None on workers that do not report.
    """

    total_steps: int
    log_every: int
    writer: tf.summary.SummaryWriter | None
    _characters: int = 0
    _steps: int = 0
    _began: float = field(default_factory=time.monotonic)
    _passing: float = 0.0
    _lasting: float = field(default_factory=time.monotonic)
    _smooth: float | None = None

    def step(self, step: int, loss: float, characters: int) -> None:
        """Take note of a finished step; the first one's time is left out of the speed, because it holds the tracing."""
        now = time.monotonic()
        if self._steps == 0:
            self._began = now
        else:
            self._characters += characters
        self._steps += 1
        if math.isfinite(loss):
            self._smooth = loss if self._smooth is None else 0.9 * self._smooth + 0.1 * loss
        if self.writer and (step % self.log_every == 0 or step == 1):
            with self.writer.as_default(step):
                tf.summary.scalar("train/loss_nats", loss)
                tf.summary.scalar("train/perplexity", perplexity(loss))
        if step == 1:
            LOGGER.info("first loss %.3f nats", loss)
        if now - self._lasting >= _LASTING_SECONDS:
            self._lasting = self._passing = now
            LOGGER.info(self.line(step))
        elif now - self._passing >= _PASSING_SECONDS:
            self._passing = now
            LOGGER.debug(self.line(step))

    def line(self, step: int) -> str:
        """Step, loss, perplexity, speed and time left."""
        loss = self._smooth if self._smooth is not None else math.nan
        text = f"step {step:,}/{self.total_steps:,}  loss {loss:.3f} nats  perplexity {perplexity(loss):.2f}"
        elapsed = time.monotonic() - self._began
        if self._steps > 1 and elapsed > 0:
            left = elapsed / (self._steps - 1) * (self.total_steps - step)
            text += f"  {self._characters / elapsed:,.0f} characters/s  {duration(left)} left"
        return text

    def evaluation(self, step: int, loss: float, best: bool, sample: str | None) -> None:
        """Take note of an evaluation and of what the model writes by now."""
        if self.writer:
            with self.writer.as_default(step):
                tf.summary.scalar("eval/loss_nats", loss)
                tf.summary.scalar("eval/perplexity", perplexity(loss))
                if sample:
                    tf.summary.text("sample", f"```\n{sample}\n```")
            self.writer.flush()
        mark = "  best so far" if best else ""
        LOGGER.info("step %s  eval loss %.4f nats  perplexity %.3f%s", f"{step:,}", loss, perplexity(loss), mark)


def perplexity(nats: float) -> float:
    """Exp of nats per character, infinite where that overflows."""
    return math.exp(nats) if nats < 700 else math.inf


def duration(seconds: float) -> str:
    """Minutes and seconds, or hours and minutes."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d} h" if hours else f"{minutes}:{rest:02d}"
