"""A training that is over in no time; run as a program, «trainings.py OUTPUT BATCH», by as many processes as ``torchrun`` starts."""

from __future__ import annotations

import sys

import torch

from compositor.learned.card import card
from compositor.learned.loop import begin, finish, run
from compositor.learned.photographs import Photographs
from compositor.learned.processes import average_gradients
from compositor.options import LearnOptions

SHORT = {"iterations": 6, "report_every": 2, "device": "cpu", "threads": 1}


class Line:
    """A line through points, as a training."""

    def __init__(self, stop_at: int | None = None, enough: int | None = None) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.network = torch.nn.Linear(2, 1)
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=0.1)
        self.stop_at, self.enough, self.seen = stop_at, enough, 0

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


def make(number: int, batch: int) -> torch.Tensor:
    """Points: those of batch 0 are the first ones, those of batch 1 the next ones."""
    points = [torch.randn(2, generator=torch.Generator().manual_seed(k)) for k in range(number * batch, (number + 1) * batch)]
    return torch.stack(points)


def fit_line(output, *, batch: int = 4, stop_at: int | None = None, enough: int | None = None, overwrite=False, inputs=(), **options):
    """Train, as every training here is written down."""
    with begin(output, LearnOptions.of({**SHORT, **options}), overwrite=overwrite, inputs=inputs) as course:
        nobody, line = Photographs([]), Line(stop_at, enough)
        record = run(line, lambda number: make(number, batch), course, course.asked(nobody, nobody))
        told = {"called": "a line", "command": "train line", "meant": "Nothing.", "measured": "nothing"}
        return finish(
            course, record, {".safetensors": ("a line", line.network.state_dict())}, lambda name, record: card(name, record, **told)
        )


if __name__ == "__main__":
    fit_line(sys.argv[1], batch=int(sys.argv[2]))
