"""A device that is not there: its tensors hold their values on the CPU and refuse to meet tensors of the CPU."""

# ruff: noqa: TID251

from typing import Any, Self

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

DEVICE = torch.device("ipu:0")


class Pretended(Tensor):
    """A tensor on the pretended device."""

    held: Tensor

    @staticmethod
    def __new__(cls, held: Tensor) -> Self:
        made = Tensor._make_wrapper_subclass(cls, held.shape, strides=held.stride(), dtype=held.dtype)
        made.held = held
        return made

    @property
    def device(self) -> torch.device:
        """Where it says it is; to torch's own code, which wants a driver, it is on the CPU."""
        return DEVICE

    @classmethod
    def __torch_dispatch__(cls, call: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return on_device(call, args, kwargs or {})


class PretendedDevice(TorchDispatchMode):
    """While this lasts DEVICE can be asked for; reading one number from it is an error, since that would wait."""

    def __torch_dispatch__(self, call: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return on_device(call, args, kwargs or {})


def on_device(call: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """Run one operator as a device would: refuse tensors from both sides, but for plain numbers and copies."""
    tensors = [value for value in tree_flatten((args, kwargs))[0] if isinstance(value, Tensor)]
    inside = [value for value in tensors if isinstance(value, Pretended)]
    name = call.overloadpacket.__name__
    if inside and name == "_local_scalar_dense":
        raise RuntimeError("a number was read from the device: the program would wait for it")
    copies = name in ("_to_copy", "copy_")
    outside = [value for value in tensors if not isinstance(value, Pretended) and value.dim() > 0]
    if inside and outside and not copies:
        raise RuntimeError(f"{name}: tensors on {DEVICE} and on the CPU")
    asked = torch.device(kwargs["device"]) if kwargs.get("device") is not None else None
    goes_there = asked.type == DEVICE.type if asked is not None else bool(inside)
    if asked is not None:
        kwargs = kwargs | {"device": torch.device("cpu")}
    args, kwargs = tree_map(lambda value: value.held if isinstance(value, Pretended) else value, (args, kwargs))
    result = call(*args, **kwargs)
    if name.endswith("_") and inside:
        return tensors[0]
    if not goes_there:
        return result
    return tree_map(lambda value: Pretended(value) if isinstance(value, Tensor) else value, result)
