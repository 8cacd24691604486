"""What a stream carries from one call to the next."""

from torch import Tensor

State = dict[str, Tensor]
"""Tensors by name, batch first; zeros before the first frame. A row is a stream."""
