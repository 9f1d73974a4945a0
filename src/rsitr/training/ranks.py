"""Several processes that train one model together, each on its share of every batch (torch.distributed).

Every rank encodes its share, gathers the features of all, and computes the loss of the whole batch from them. Of what
it gathered only its own part carries a gradient, so the sum of the ranks' gradients is that of the whole batch: R ranks
with B / R rows each do what one rank does with B.

    torchrun --nproc-per-node 2 -m rsitr train CONFIG ...
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import Tensor, distributed, nn

from rsitr.errors import ConfigError

__all__ = ["ALONE", "Ranks", "join_ranks"]

ENVIRONMENT = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
"""What torchrun sets."""

PATIENCE = timedelta(hours=6)
"""For the first rank's work while the others wait: the feature cache, a validation."""


@dataclass(frozen=True, slots=True)
class Ranks:
    """This process among those that train together.

    Attributes:
        rank: number of this process, from 0.
        size: how many there are.
    """

    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this is the process that validates, saves and reports."""
        return self.rank == 0

    def own(self, count: int) -> slice:
        """This rank's share of a batch of `count` rows, a multiple of `size`.

        >>> Ranks(rank=1, size=2).own(6)
        slice(3, 6, None)
        """
        share = count // self.size
        return slice(self.rank * share, (self.rank + 1) * share)

    def gather(self, part: Tensor) -> Tensor:
        """(B / size, ...) of each rank -> (B, ...), of which the own part carries a gradient."""
        if self.size == 1:
            return part
        parts = [torch.empty_like(part) for _ in range(self.size)]
        distributed.all_gather(parts, part.detach().contiguous())
        parts[self.rank] = part
        return torch.cat(parts)

    def total(self, value: Tensor) -> Tensor:
        """The sum of the ranks' values, without gradient."""
        total = value.detach().clone()
        if self.size > 1:
            distributed.all_reduce(total)
        return total

    def share(self, value: Tensor) -> Tensor:
        """A value that every rank computes alike; its gradient is divided, so that the ranks' sum is the whole."""
        if self.size == 1:
            return value
        part = value / self.size
        return part + (value - part).detach()

    def first(self, value: Tensor) -> Tensor:
        """The first rank's value on every rank, without gradient: what all decide by must be equal to the last bit."""
        if self.size == 1:
            return value.detach()
        agreed = value.detach().clone().contiguous()
        distributed.broadcast(agreed, src=0)
        return agreed

    def add_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace each gradient by its sum over the ranks, in one exchange for each kind of number."""
        if self.size == 1:
            return
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        for dtype in sorted({gradient.dtype for gradient in gradients}, key=str):
            alike = [gradient for gradient in gradients if gradient.dtype == dtype]
            flat = torch.cat([gradient.flatten() for gradient in alike])
            distributed.all_reduce(flat)
            for gradient, total in zip(alike, torch.split(flat, [entry.numel() for entry in alike]), strict=True):
                gradient.copy_(total.view_as(gradient))

    def agree(self, *modules: nn.Module) -> None:
        """Give every rank the first one's parameters and buffers."""
        if self.size == 1:
            return
        for module in modules:
            for value in module.state_dict().values():
                distributed.broadcast(value, src=0)

    def any(self, flag: bool, *, device: torch.device) -> bool:
        """Whether it is true on some rank."""
        if self.size == 1:
            return flag
        found = torch.tensor(float(flag), device=device)
        distributed.all_reduce(found, op=distributed.ReduceOp.MAX)
        return bool(found.item())

    def same(self, text: str, *, device: torch.device) -> bool:
        """Whether it is one text on all ranks."""
        own = torch.tensor(list(hashlib.sha256(text.encode()).digest()), device=device)
        return not self.any(not torch.equal(own, self.first(own)), device=device)

    def wait(self) -> None:
        """Until all ranks are here."""
        if self.size > 1:
            distributed.barrier()


ALONE = Ranks()
"""One process, as without torchrun."""


@contextmanager
def join_ranks(device: str) -> Iterator[tuple[Ranks, str]]:
    """Join the processes that torchrun started; alone if it did not.

    Args:
        device: `cpu`, or `cuda`, of which each rank takes the one of its number on its machine.

    Yields:
        The ranks, and the device of this one.

    Raises:
        ConfigError: a GPU is named by number, or there are fewer of them than processes.
    """
    # Some of them are set on clusters, too, for other programs.
    together = all(name in os.environ for name in ENVIRONMENT)
    size, local = (int(os.environ[name]) for name in ("WORLD_SIZE", "LOCAL_RANK")) if together else (1, 0)
    if size == 1:
        yield ALONE, device
        return
    kind = torch.device(device)
    if ":" in device:
        raise ConfigError(f"--device {device} is one device, and {size} processes train together: leave out its number")
    if kind.type == "cuda":
        if local >= torch.cuda.device_count():
            raise ConfigError(
                f"{local + 1} processes or more want a GPU each, and there are {torch.cuda.device_count()}: start fewer"
            )
        torch.cuda.set_device(local)
        device = f"cuda:{local}"
    distributed.init_process_group("nccl" if kind.type == "cuda" else "gloo", timeout=PATIENCE)
    try:
        yield Ranks(rank=distributed.get_rank(), size=distributed.get_world_size()), device
    finally:
        distributed.destroy_process_group()
