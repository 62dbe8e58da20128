"""A character-level GPT in nanoGPT's published configuration for a CPU, implemented from its hyperparameters.

The configuration is that of the README of github.com/karpathy/nanoGPT under "I only have a macbook", over
`config/train_shakespeare_char.py` and the defaults of its `train.py`: a GPT-2 without biases, with the output layer
tied to the embedding. Needs torch and NumPy only.

The job: `arrays`, a file with the ids `train` and `evaluation`; `vocabulary_size`, `seed`, `threads`, `compile`. The
request: `iterations` or `cpu_seconds`, to which the schedule is stretched. The answer has the
fields of `benchmarks.implementations.our_fit`.
"""

import math
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from benchmarks.implementations import contexts
from benchmarks.implementations.protocol import Answer, Stopwatch, progress, serve

BLOCK, BATCH = 64, 12  # characters of context, and windows in an iteration
LAYERS, HEADS, WIDTH = 4, 4, 128
RATE, LEAST_RATE, WARM_UP = 1e-3, 1e-4, 100  # cosine from the first to the second, after a linear warm-up
BETAS, DECAY, CLIP = (0.9, 0.99), 0.1, 1.0  # weight decay on matrices and embeddings only
ITERATIONS = 2000  # as published
EVERY = 250  # iterations between evaluations
DEVIATION = 0.02  # of the initial weights; GPT-2 divides it by sqrt(2 * LAYERS) in the two products that end a block


class Block(nn.Module):
    """Attention and a two-layer perceptron, each with layer normalization before it and a residual connection."""

    def __init__(self) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH, bias=False) for _ in range(2))
        self.attend = nn.Linear(WIDTH, 3 * WIDTH, bias=False)
        self.attended = nn.Linear(WIDTH, WIDTH, bias=False)
        self.widen = nn.Linear(WIDTH, 4 * WIDTH, bias=False)
        self.narrow = nn.Linear(4 * WIDTH, WIDTH, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (batch, time, WIDTH) to the same shape."""
        batch, time, _ = x.shape
        parts = self.attend(self.norms[0](x)).view(batch, time, 3, HEADS, WIDTH // HEADS)
        query, key, value = parts.permute(2, 0, 3, 1, 4)  # (batch, HEADS, time, WIDTH / HEADS) each
        mixed = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.attended(mixed.transpose(1, 2).reshape(batch, time, WIDTH))
        return x + self.narrow(functional.gelu(self.widen(self.norms[1](x))))


class Gpt(nn.Module):
    """The language model."""

    def __init__(self, vocabulary_size: int) -> None:
        super().__init__()
        self.characters = nn.Embedding(vocabulary_size, WIDTH)
        self.places = nn.Embedding(BLOCK, WIDTH)
        self.blocks = nn.ModuleList(Block() for _ in range(LAYERS))
        self.norm = nn.LayerNorm(WIDTH, bias=False)
        for name, weight in self.named_parameters():
            if weight.dim() >= 2:
                ends = name.endswith(("attended.weight", "narrow.weight"))
                nn.init.normal_(weight, 0.0, DEVIATION / (math.sqrt(2 * LAYERS) if ends else 1.0))

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Return logits (batch, time, vocabulary_size) of ids (batch, time)."""
        x = self.characters(ids) + self.places.weight[: ids.shape[1]]
        for block in self.blocks:
            x = block(x)
        return functional.linear(self.norm(x), self.characters.weight)


def rate(iteration: int, progress: float) -> float:
    """Return the learning rate of an iteration; `progress` is 0 at the end of the warm-up and 1 at the end."""
    if iteration < WARM_UP:
        return RATE * (iteration + 1) / (WARM_UP + 1)
    return LEAST_RATE + 0.5 * (1.0 + math.cos(math.pi * progress)) * (RATE - LEAST_RATE)


def start(job: dict[str, Any]) -> tuple[dict[str, Any], Answer]:
    """Read the ids."""
    torch.set_num_threads(job["threads"])
    with np.load(job["arrays"]) as file:
        train, evaluation = torch.from_numpy(file["train"].astype(np.int64)), file["evaluation"]

    def answer(request: dict[str, Any]) -> dict[str, Any]:
        torch.manual_seed(job["seed"])
        watch, curve = Stopwatch(), list[dict[str, float]]()
        model = Gpt(job["vocabulary_size"])
        run: Any = torch.compile(model) if job["compile"] else model
        torch_optimizer = _optimizer(model)
        # Fraction of the training that is done, now and at the end of the warm-up.
        iteration, done, warm = 0, 0.0, 0.0
        while done < 1.0:
            if iteration and iteration % EVERY == 0:
                with watch.paused():
                    loss = nats(model, evaluation, BLOCK)
                curve.append({**watch.read(), "loss": loss})
                progress(curve)
            for group in torch_optimizer.param_groups:
                group["lr"] = rate(iteration, (done - warm) / (1.0 - warm))
            _one_step(run, torch_optimizer, train)
            iteration += 1
            if "cpu_seconds" in request:
                done = watch.read()["cpu"] / request["cpu_seconds"]
            else:
                done = iteration / request["iterations"]
            if iteration == WARM_UP:
                warm = done
        taken = watch.read()
        adjacent = nats(model, evaluation, BLOCK)
        return {
            **taken,
            "steps": iteration,
            "parameters": sum(weight.numel() for weight in model.parameters()),
            "curve": [*curve, {**taken, "loss": adjacent}],
            "nats": {f"windows of {BLOCK}": adjacent, f"sliding {BLOCK}": nats(model, evaluation, BLOCK // 2)},
        }

    return {"torch": torch.__version__}, answer


def _one_step(run: Any, torch_optimizer: torch.optim.Optimizer, train: torch.Tensor) -> None:
    begins = torch.randint(len(train) - BLOCK, (BATCH, 1))
    ids = train[begins + torch.arange(BLOCK + 1)]  # (BATCH, BLOCK + 1)
    logits = run(ids[:, :-1])
    loss = functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())
    torch_optimizer.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_([one for group in torch_optimizer.param_groups for one in group["params"]], CLIP)
    torch_optimizer.step()


def _optimizer(model: nn.Module) -> torch.optim.Optimizer:
    parameters = list(model.parameters())
    groups = [
        {"params": [one for one in parameters if one.dim() >= 2], "weight_decay": DECAY},
        {"params": [one for one in parameters if one.dim() < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=RATE, betas=BETAS, fused=True)


@torch.no_grad()
def nats(model: nn.Module, ids: Any, stride: int, rows: int = 256) -> float:
    """Return nats per character in windows of BLOCK characters; see `benchmarks.implementations.contexts`."""
    cut = contexts.windows(ids, BLOCK, stride)
    total = 0.0
    for at in range(0, len(cut.inputs), rows):
        inputs, targets, counts = (torch.from_numpy(part[at : at + rows]) for part in cut)
        losses = functional.cross_entropy(model(inputs).flatten(0, 1), targets.flatten(), reduction="none")
        total += float((losses * counts.flatten()).sum())
    return total / float(cut.counts.sum())


if __name__ == "__main__":
    serve(start)
