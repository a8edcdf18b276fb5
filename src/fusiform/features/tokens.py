"""Tokens and backbones: the one contract between fusiform and any network."""

from typing import Any, NamedTuple, Protocol, runtime_checkable

from torch import Tensor

from fusiform.data import Kind

__all__ = ["Backbone", "Tokens"]


class Tokens(NamedTuple):
    """What a network says of a batch; unpacks as the 2-tuple `(local, global_)`.

    Args:
        local: layer -> [B, C, *grid]; the grid is (H, W), (T, H, W), (T,) or nothing.
        global_: layer -> [B, C].
    """

    local: dict[str, Tensor]
    global_: dict[str, Tensor]


@runtime_checkable
class Backbone(Protocol):
    """Any network (or plain description) of stimuli.

    A backbone of recordings also has `rate` (Hz): its local tokens are [1, C, T], and row t begins at t / rate seconds
    of the recording.
    """

    name: str
    kind: Kind

    def preprocess(self, stimulus: Any) -> Tensor:
        """One stimulus, as loaded, to one item of a batch."""

    def get_tokens(self, x: Tensor) -> Tokens:
        """A batch [B, ...] to its tokens, every layer in one pass."""
