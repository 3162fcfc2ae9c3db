"""A training that is over in no time; run as a program, «trainings.py OUTPUT BATCH», by as many processes as ``torchrun`` starts."""

from __future__ import annotations

import os
import sys

import torch

from compositor.learned.learner import Learner, Results
from compositor.learned.loop import Trainer
from compositor.learned.photographs import Photographs
from compositor.learned.processes import average_gradients
from compositor.options import LearnOptions

SHORT = {"iterations": 6, "report_every": 2, "device": "cpu", "threads": 1}


class Line(Learner[torch.Tensor]):
    """A line through points, as a training."""

    def __init__(self, batch: int, stop_at: int | None = None, enough: int | None = None, first: int = 0) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(first)
            self.network = torch.nn.Linear(2, 1)
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=0.1)
        self.batch, self.stop_at, self.enough, self.seen = batch, stop_at, enough, 0

    def modules(self):
        return {"network": self.network}

    def optimizers(self):
        return {"optimizer": self.optimizer}

    def state(self):
        return {"seen": self.seen}

    def restore(self, state):
        self.seen = state.get("seen", 0)

    def finished(self):
        return self.enough is not None and self.seen >= self.enough

    def step(self, iteration, batch):
        if iteration == self.stop_at:
            raise KeyboardInterrupt
        self.seen += len(batch)
        loss = (self.network(batch) - batch.sum(1, keepdim=True)).square().mean()
        self.optimizer.zero_grad()
        loss.backward()
        average_gradients(self.network.parameters())
        self.optimizer.step()
        return {"loss": float(loss.detach())}

    def measure(self):
        return {"seen": self.seen}

    def make(self, number):
        """Points: those of batch 0 are the first ones, those of batch 1 the next ones."""
        numbers = range(number * self.batch, (number + 1) * self.batch)
        return torch.stack([torch.randn(2, generator=torch.Generator().manual_seed(k)) for k in numbers])

    def results(self):
        return Results({".safetensors": ("a line", self.network.state_dict())})


def fit_line(
    output, *, batch: int = 4, stop_at: int | None = None, enough: int | None = None, first: int = 0, overwrite=False, inputs=(), **options
):
    """Train, as every training here is written down."""
    nobody = Photographs([])
    trainer = Trainer(
        name="line",
        options=LearnOptions,
        read=lambda *_: (nobody, nobody),
        learner=lambda *_: Line(batch, stop_at, enough, first),
        called="a line",
        meant="Nothing.",
        measured="nothing",
    )
    return trainer(inputs, output, overwrite=overwrite, **{**SHORT, **options})


if __name__ == "__main__":
    # Only the first knows how to begin and when to end.
    other = os.environ["RANK"] != "0"
    fit_line(sys.argv[1], batch=int(sys.argv[2]), first=int(other), enough=1 if other else None)
