"""A training of the refiner: its networks, what one step does to them, and how good they are on scenes that they never learn from.

The network learns from the truth all the time. Beside it the critic learns, from some time on, to tell the truth from hard seams, and once
it can, from what the classical stages leave and from what the network makes of it, too. In the last third, if it can tell hard seams, it
pulls at the network as well, by a fixed share of the truth's pull, both measured where they act: at the refined pixels.
"""

from __future__ import annotations

import copy
import dataclasses
from typing import Any, Self

import torch
from torch import Tensor

from compositor.learned.critic import Critic, critic_loss, separation
from compositor.learned.device import computing_in
from compositor.learned.examples import Examples, make_examples
from compositor.learned.learner import NetworkLearner, Results, seeded
from compositor.learned.losses import gradient_errors, local_loss, ring_errors, tone_loss
from compositor.learned.network import RefinerNetwork
from compositor.learned.photographs import Photographs
from compositor.learned.processes import average_gradients
from compositor.options import TrainOptions
from compositor.types import Progress

__all__ = ["Training"]

MEASURED_SEED = 2**64
"""Seed of the scenes that reports are measured on."""
CRITIC_FROM, PULLS_FROM, TELLS = 0.4, 0.67, 0.8
"""Shares of the training after which the critic learns and pulls; how well it must tell hard seams to pull (area under the ROC curve)."""


class Training(NetworkLearner[Examples]):
    """What changes while the refiner is trained.

    Parameters
    ----------
    options : TrainOptions
    device : str
    learned : Photographs
    measured : Examples, optional
        Of scenes that are never learned from.
    """

    longest = 1.0

    def __init__(self, options: TrainOptions, device: str, learned: Photographs, measured: Examples | None = None) -> None:
        self.options, self.device, self.learned, self.measured = options, device, learned, measured
        with seeded(options.seed):
            self.network, self.critic = RefinerNetwork().to(device), Critic().to(device)
        self.average = copy.deepcopy(self.network).requires_grad_(False)
        self.optimizer = torch.optim.AdamW(self.network.parameters(), lr=options.rate, weight_decay=1e-3, betas=(0.9, 0.99))
        self.critic_optimizer = torch.optim.AdamW(self.critic.parameters(), lr=1e-3, weight_decay=1e-3, betas=(0.5, 0.99))
        self.pulls = False

    @classmethod
    def prepared(cls, options: TrainOptions, device: str, learned: Photographs, held_out: Photographs, _: Progress | None) -> Self:
        """A training that has not begun."""
        measured = make_examples(held_out, list(range(options.measured)), seed=MEASURED_SEED, tiles=4, device=device)
        return cls(options, device, learned, measured)

    def modules(self) -> dict[str, torch.nn.Module]:
        """Everything that has weights, by name."""
        return super().modules() | {"critic": self.critic}

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """What remembers earlier steps, by name."""
        return super().optimizers() | {"critic_optimizer": self.critic_optimizer}

    def state(self) -> dict[str, Any]:
        """What else changes: whether the critic may pull."""
        return {"pulls": self.pulls}

    def restore(self, state: dict[str, Any]) -> None:
        """Take up what ``state`` told before."""
        self.pulls = state.get("pulls", False)

    def make(self, number: int) -> Examples:
        """The examples of a step."""
        options = self.options
        scenes = list(range(number * options.scenes, (number + 1) * options.scenes))
        return make_examples(self.learned, scenes, seed=options.seed, tiles=options.tiles, device=self.device)

    def step(self, iteration: int, examples: Examples) -> dict[str, float]:
        """Learn from examples; the losses."""
        options = self.options
        self.optimizer.zero_grad()
        with computing_in(self.options.precision, self.device):
            refined, correction = self.network.local(examples.strip), self.network.tone(*examples.low)
        refined = refined.float()
        seen = refined.detach().requires_grad_()
        local, tone = local_loss(seen, examples), tone_loss(correction.float(), examples)
        (pull,) = torch.autograd.grad(local, seen)
        losses = {"local": float(local.detach()), "tone": float(tone.detach())}
        if options.adversarial and iteration >= CRITIC_FROM * options.iterations:
            losses["critic"] = self._teach_critic(examples, refined.detach())
            if self.pulls and iteration >= PULLS_FROM * options.iterations:
                pull = pull + self._critics_pull(examples, pull, seen)
        refined.backward(pull)
        tone.backward()
        self.descend(iteration)
        return losses

    def results(self) -> Results:
        """The averaged network and the critic."""
        refiner, critic = ("a seam refiner", self.average.state_dict()), ("a seam critic", self.critic.state_dict())
        weights = {".safetensors": refiner, ".critic.safetensors": critic}
        return Results(weights, {"shape": dataclasses.asdict(self.network.shape)})

    def _teach_critic(self, examples: Examples, refined: Tensor) -> float:
        """One step of the critic: the truth is real, hard seams are not; once it tells these, nor are classical and refined results.

        Faint seams alone teach it nothing: it would stay at chance. Nor do layers that were equal, which show no seam.
        """
        distance, rows = examples.strip.distance, ~_by_tile(examples.clean, examples)
        fake, kind = examples.hard, torch.arange(len(distance), device=distance.device)[:, None, None, None] % 3
        if self.pulls:
            fake = torch.where(kind == 0, fake, torch.where(kind == 1, examples.strip.pixels, refined))
        self.critic_optimizer.zero_grad()
        loss = torch.zeros(())
        if rows.any():
            with computing_in(self.options.precision, self.device):
                real, made = (self.critic(pixels[rows], distance[rows]) for pixels in (examples.truth, fake))
            loss = critic_loss(real.float(), made.float())
            loss.backward()
        if average_gradients(self.critic.parameters()):
            self.critic_optimizer.step()
        return float(loss.detach())

    def _critics_pull(self, examples: Examples, pull: Tensor, seen: Tensor) -> Tensor:
        """The gradient of the critic's score at the refined pixels, scaled to its share of the truth's."""
        self.critic.requires_grad_(False)
        with computing_in(self.options.precision, self.device):
            scores = self.critic(seen, examples.strip.distance)
        (own,) = torch.autograd.grad(-scores.float().mean(), seen)
        self.critic.requires_grad_(True)
        own = own * (examples.strip.window > 0)
        return own * (self.options.adversarial * pull.norm() / own.norm().clamp(min=1e-12))

    @torch.no_grad()
    def measure(self) -> dict[str, Any]:
        """How good the averaged network is: means over tiles, with and without it, and what the critic tells."""
        if self.measured is None:
            return {}
        examples = self.measured
        refined, floor, clean = self.average.local(examples.strip), examples.strip.pixels, _by_tile(examples.clean, examples)
        moved = _by_tile(examples.moved, examples)
        figures: dict[str, Any] = {}
        for group, rows in (("still", ~clean & ~moved), ("moved", moved)):
            if rows.any():
                for name, pixels in (("floor", floor), ("refined", refined)):
                    figures[f"{group}_{name}_db"] = float((-10 * torch.log10(ring_errors(pixels, examples) + 1e-8))[rows].mean())
                    figures[f"{group}_{name}_gradient"] = float(gradient_errors(pixels, examples)[rows].mean() * 255)
        if clean.any():
            figures["clean_largest_change"] = float((refined - floor).abs()[clean].max() * 255)
        correction = self.average.tone(*examples.low)
        figures["tone_loss"], figures["tone_loss_floor"] = (
            float(tone_loss(c, examples)) for c in (correction, torch.zeros_like(correction))
        )
        rows = ~clean
        if self.options.adversarial and rows.any():
            real = self.critic(examples.truth, examples.strip.distance)[rows]
            for name, pixels in (("hard", examples.hard), ("floor", floor), ("refined", refined)):
                figures[f"critic_tells_{name}"] = separation(real, self.critic(pixels, examples.strip.distance)[rows])
            self.pulls = figures["critic_tells_hard"] > TELLS
        return figures


def _by_tile(by_scene: Tensor, examples: Examples) -> Tensor:
    """What is true of a scene, for every tile of it."""
    return by_scene.repeat_interleave(len(examples.strip) // len(by_scene))
