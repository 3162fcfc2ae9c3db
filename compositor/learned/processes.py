"""Training in several processes at a time: what ``torchrun`` starts, each with batches of its own and all with the same weights.

Steps here take several gradients and look at some of them, so nothing is wrapped around the networks as ``DistributedDataParallel`` would
be; a step averages its gradients itself, with one call, before it uses them. All processes then do the same to the same weights.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterable, Iterator
from itertools import chain

import torch
from torch import Tensor, distributed, nn

from compositor.errors import OptionError

__all__ = ["Processes", "average_gradients", "joined"]

MEETING = ("RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
"""What the environment tells beside the number of processes."""


@dataclasses.dataclass(frozen=True)
class Processes:
    """Which of how many processes this one is.

    Parameters
    ----------
    rank, count : int
    """

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the one that writes and tells."""
        return self.rank == 0

    def wait(self) -> None:
        """Go on when all have come here."""
        if self.count > 1:
            distributed.barrier()

    @torch.no_grad()
    def share(self, modules: Iterable[nn.Module]) -> None:
        """Let all have what the first one has: what devices that are not alike computed before differs in its last digits."""
        if self.count > 1:
            for tensor in chain.from_iterable(module.state_dict().values() for module in modules):
                sent = tensor.contiguous()  # a pixel's channels may lie together, which cannot be sent as it lies
                distributed.broadcast(sent, 0)
                tensor.copy_(sent)

    def agree(self, mine: bool) -> bool:
        """What the first one says: whether to go on, all must say alike, or they would wait for each other."""
        said = [mine]
        if self.count > 1:
            distributed.broadcast_object_list(said, 0)
        return said[0]


@contextlib.contextmanager
def joined(device: str) -> Iterator[Processes]:
    """Meet the other processes, where ``torchrun`` started several; each takes a GPU of its own.

    Raises
    ------
    OptionError
        The environment tells of several processes but not all that is needed to meet them, or there are fewer GPUs.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1 or distributed.is_initialized():
        yield Processes(distributed.get_rank(), distributed.get_world_size()) if count > 1 else Processes()
        return
    if missing := [name for name in MEETING if name not in os.environ]:
        raise OptionError(
            f"WORLD_SIZE is {count}, but {', '.join(missing)} is not set; start with torchrun, or unset WORLD_SIZE for one process"
        )
    if device == "cuda":
        if int(os.environ["LOCAL_RANK"]) >= (there := torch.cuda.device_count()):
            raise OptionError(f"process {int(os.environ['LOCAL_RANK']) + 1} of this machine needs a GPU of its own; there are {there}")
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    distributed.init_process_group("nccl" if device == "cuda" else "gloo")
    try:
        yield Processes(distributed.get_rank(), count)
    finally:
        distributed.destroy_process_group()


@torch.no_grad()
def average_gradients(parameters: Iterable[Tensor]) -> bool:
    """Put the mean over all processes into every gradient, before it is used.

    Each process must come here equally often, with or without gradients of its own: none counts as zero.

    Parameters
    ----------
    parameters : iterable of Tensor
        Of one type and device.

    Returns
    -------
    bool
        Whether any process had gradients.
    """
    parameters = [parameter for parameter in parameters if parameter.requires_grad]
    had = any(parameter.grad is not None for parameter in parameters)
    if not distributed.is_available() or not distributed.is_initialized():
        return had
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    gradients = [parameter.grad.flatten() for parameter in parameters if parameter.grad is not None]
    together = torch.cat([*gradients, gradients[0].new_tensor([float(had)])])
    distributed.all_reduce(together)
    together /= distributed.get_world_size()
    for parameter, mean in zip(parameters, together[:-1].split([gradient.numel() for gradient in gradients]), strict=True):
        parameter.grad = mean.view_as(parameter).clone()
    return bool(together[-1] > 0)
