"""Several arrays as one tensor, for networks that read pictures, sounds and words of a recording together.

Extraction hands a backbone one tensor per stimulus; here it is bytes, and `unpack` gives views into it.
"""

import json
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["pack", "unpack"]

_EDGE = 8  # bytes: every array begins at a multiple, so that any type can be viewed in place


def pack(arrays: Mapping[str, NDArray[np.generic]]) -> Tensor:
    """Named arrays of numbers to [n] uint8; they may be empty."""
    found = {name: np.asarray(array) for name, array in arrays.items()}
    header = json.dumps({name: [str(array.dtype), list(array.shape)] for name, array in found.items()}).encode()
    parts = [np.array([len(header)], dtype="<i8").tobytes(), header, *(array.tobytes() for array in found.values())]
    return torch.frombuffer(
        bytearray(b"".join(part.ljust(_room(len(part)), b" ") for part in parts)), dtype=torch.uint8
    )


def unpack(x: Tensor) -> dict[str, Tensor]:
    """[n] uint8 to the named arrays, each a view where `x` is."""
    length = int(x[:_EDGE].view(torch.int64))
    header = json.loads(x[_EDGE : _EDGE + length].cpu().numpy().tobytes())
    place, found = _EDGE + _room(length), {}
    for name, (kind, shape) in header.items():
        bytes_ = int(np.prod(shape)) * np.dtype(kind).itemsize
        found[name] = x[place : place + bytes_].view(getattr(torch, kind)).reshape(shape)
        place += _room(bytes_)
    return found


def _room(length: int) -> int:
    return -(-length // _EDGE) * _EDGE
