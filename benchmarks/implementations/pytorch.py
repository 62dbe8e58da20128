"""The same network in PyTorch: `nn.Embedding`, `nn.GRU` or `nn.LSTM`, `nn.Linear`, the same optimizer and clipping.

The job is that of `benchmarks.implementations.ours`, with `autocast` (bfloat16 where PyTorch's autocast chooses it),
`time_first` (the recurrent layer's data layout is (time, batch, units) instead of (batch, time, units)) and `compile`
(`torch.compile` of the model, recurrent layer included, which PyTorch does not compile by default: its steps are
unrolled, which takes minutes). Needs torch and NumPy only.
"""

from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.implementations import job as jobs
from benchmarks.implementations.protocol import Answer, Stopwatch, serve

_LAYERS = {"gru": nn.GRU, "lstm": nn.LSTM}


class Network(nn.Module):
    """Character-level recurrent network; weights are initialized like those of Keras' layers, biases with 0."""

    def __init__(self, model: dict[str, Any], vocabulary_size: int, time_first: bool = False) -> None:
        super().__init__()
        self.time_first = time_first
        units = model["units"]
        self.embedding = nn.Embedding(vocabulary_size, model["embedding"])
        self.before, self.after = nn.Dropout(model["input_dropout"]), nn.Dropout(model["output_dropout"])
        between = model["layer_dropout"] if model["layers"] > 1 else 0.0
        self.recurrent = _LAYERS[model["cell"]](
            model["embedding"], units, model["layers"], batch_first=not time_first, dropout=between
        )
        self.projection = nn.Linear(units, vocabulary_size)
        nn.init.uniform_(self.embedding.weight, -model["initial_embedding"], model["initial_embedding"])
        nn.init.xavier_uniform_(self.projection.weight)
        nn.init.zeros_(self.projection.bias)
        for name, weight in self.recurrent.named_parameters():
            if "bias" in name:
                nn.init.zeros_(weight)
            elif "weight_hh" in name:
                nn.init.orthogonal_(weight)
            else:
                nn.init.xavier_uniform_(weight)

    def forward(self, ids: torch.Tensor, state: Any) -> tuple[torch.Tensor, Any]:
        """Return logits (batch, time, vocabulary_size) and the state after the last character."""
        x = self.before(self.embedding(ids.t() if self.time_first else ids))
        outputs, state = self.recurrent(x, state)
        logits = self.projection(self.after(outputs))
        return logits.transpose(0, 1) if self.time_first else logits, state


def start(job: dict[str, Any]) -> tuple[dict[str, Any], Answer]:
    """Build the model and its optimizer."""
    torch.set_num_threads(job["threads"])
    torch.manual_seed(job["seed"])
    if job["compile"]:
        torch._dynamo.config.allow_rnn = True
    training, shown = job["training"], job["model"]
    arrays = jobs.read(job["arrays"])
    network = Network(shown, job["vocabulary_size"], job.get("time_first", False))
    run: Any = torch.compile(network) if job["compile"] else network
    torch_optimizer = _optimizer(network, training)
    inputs, targets = torch.from_numpy(arrays.inputs).long(), torch.from_numpy(arrays.targets).long()
    keep = torch.from_numpy(arrays.keep)[:, None]  # (steps, 1, batch, 1)
    zeros = torch.zeros(shown["layers"], inputs.shape[1], shown["units"])
    state: Any = (zeros, zeros) if shown["cell"] == "lstm" else zeros
    done = 0

    def one_step(step: int) -> float:
        nonlocal state
        for group in torch_optimizer.param_groups:
            group["lr"] = float(arrays.rates[step])
        with torch.autocast("cpu", torch.bfloat16, enabled=job["autocast"]):
            logits, after = run(inputs[step], state)
            loss = nn.functional.cross_entropy(logits.flatten(0, 1).float(), targets[step].flatten())
        torch_optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if training["clip_norm"]:
            nn.utils.clip_grad_norm_(network.parameters(), training["clip_norm"])
        torch_optimizer.step()
        # The next batch may start with a reset state; the last batch has no next one.
        kept = keep[min(step + 1, len(keep) - 1)]
        state = tuple(_carry(part, kept) for part in after) if isinstance(after, tuple) else _carry(after, kept)
        return float(loss.detach())

    def answer(request: dict[str, Any]) -> dict[str, Any]:
        nonlocal done
        watch = Stopwatch()
        losses = [one_step(step) for step in range(done, done + request["steps"])]
        done += request["steps"]
        if job["compile"] and not torch._dynamo.utils.counters["stats"]["unique_graphs"]:
            raise RuntimeError("torch.compile has compiled nothing")
        return {**watch.read(), "steps": request["steps"], "loss": float(np.mean(losses))}

    return {"precision": "bfloat16" if job["autocast"] else "float32"}, answer


def _carry(part: torch.Tensor, keep: torch.Tensor) -> torch.Tensor:
    return part.detach().float() * keep


def _optimizer(network: nn.Module, training: dict[str, Any]) -> torch.optim.Optimizer:
    """Create the fused optimizer, PyTorch's fastest, with weight decay on matrices only."""
    kind = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam}[training["optimizer"]]
    decay = training["weight_decay"] if training["optimizer"] == "adamw" else 0.0
    parameters = list(network.parameters())
    groups = [
        {"params": [one for one in parameters if one.dim() >= 2], "weight_decay": decay},
        {"params": [one for one in parameters if one.dim() < 2], "weight_decay": 0.0},
    ]
    settings = {"betas": (0.9, training["beta_2"]), "eps": training["epsilon"], "fused": True}
    return kind(groups, lr=training["learning_rate"], **settings)


if __name__ == "__main__":
    serve(start)
