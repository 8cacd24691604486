"""One training in several processes under `torchrun`: who does what, and what they tell each other.

Every process mixes segments of its own and holds the same weights. After each backward pass gradients are averaged
in one exchange. With fewer than a million weights that is faster than overlapping it with the backward pass in
buckets, as torch's DistributedDataParallel does, and the order of summation never depends on when a run was resumed.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from earshot_node.errors import OperatorError

PATIENCE = timedelta(hours=6)
"""How long a process waits for another: the first one on a host decodes the corpus while the others wait."""


@dataclass(frozen=True)
class Processes:
    """This process among those of one training; alone by default.

    Attributes:
        rank: its number, from 0.
        count: of processes on all hosts.
        local_rank: its number on this host; on CUDA that of its device.
    """

    rank: int = 0
    count: int = 1
    local_rank: int = 0

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Processes":
        """What `torchrun` says in RANK, WORLD_SIZE and LOCAL_RANK; alone if it did not start this process."""
        if "RANK" not in environment or "WORLD_SIZE" not in environment:
            return cls()
        rank = int(environment["RANK"])
        return cls(rank, int(environment["WORLD_SIZE"]), int(environment.get("LOCAL_RANK", rank)))

    @property
    def leads(self) -> bool:
        """Whether this process is the one that writes and reports."""
        return self.rank == 0

    def share(self, batch_size: int, setting: str = "training.batch_size") -> int:
        """This process' part of a batch; `setting` is the recipe's name for its size.

        Raises:
            OperatorError: the batch cannot be divided evenly.
        """
        if batch_size % self.count:
            raise OperatorError(
                f"{setting} {batch_size} cannot be divided among {self.count} processes; "
                f"try --set {setting}={max(1, round(batch_size / self.count)) * self.count}"
            )
        return batch_size // self.count

    def rows(self, batch_size: int) -> slice:
        """Which rows of a batch are this process'."""
        share = self.share(batch_size)
        return slice(self.rank * share, (self.rank + 1) * share)

    @torch.no_grad()
    def average(self, tensors: Sequence[Tensor]) -> None:
        """Replace float32 tensors on one device by their mean over all processes, bit for bit the same in each."""
        if self.count == 1:
            return
        together = torch.cat([tensor.reshape(-1) for tensor in tensors])
        dist.all_reduce(together)
        together /= self.count
        parts = torch.split(together, [tensor.numel() for tensor in tensors])
        for tensor, part in zip(tensors, parts, strict=True):
            tensor.copy_(part.reshape(tensor.shape))

    def gather(self, tensor: Tensor) -> Tensor:
        """The tensors of all processes, of one shape, stacked in the order of ranks."""
        if self.count == 1:
            return tensor[None]
        parts = [torch.empty_like(tensor) for _ in range(self.count)]
        dist.all_gather(parts, tensor.contiguous())
        return torch.stack(parts)

    def from_first(self, value: Any) -> Any:
        """What the first process holds: tensors on the CPU and plain values."""
        if self.count == 1:
            return value
        holder = [value if self.leads else None]
        dist.broadcast_object_list(holder, src=0)
        return holder[0]

    @contextmanager
    def first_on_host(self) -> Iterator[None]:
        """The first process on each host goes through alone; the others follow and find its work in the cache."""
        if self.count > 1 and self.local_rank > 0:
            dist.barrier()
        yield
        if self.count > 1 and self.local_rank == 0:
            dist.barrier()


ALONE = Processes()


@contextmanager
def joined(processes: Processes, device: torch.device) -> Iterator[None]:
    """Talk to the other processes while this lasts: NCCL between CUDA devices, Gloo between CPUs."""
    if processes.count == 1:
        yield
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE)
    try:
        yield
    finally:
        dist.destroy_process_group()
