"""tensors.py: memory as tensors of torch, and their values as sequences."""

from dataclasses import dataclass
from math import prod

from ours import DTYPES


@dataclass(frozen=True)
class Flat:
    """The values of a tensor, or of an array, of one axis."""
    tensor: object

    def __getitem__(self, some):
        return self.tensor[some].tolist()


def tensor_of(torch, buffer, dtype, shape):
    kind = getattr(torch, DTYPES[dtype][0])
    return torch.frombuffer(buffer.pages, dtype=kind, count=prod(shape)).reshape(shape)
