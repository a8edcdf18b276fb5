"""Samples one by one, for people who train with torch: the only part of the datasets that imports it."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from fusiform.data import Responses, Stimuli
from fusiform.errors import DataError

__all__ = ["TorchView"]


class TorchView(Dataset[tuple[Any, Tensor]]):
    """One subject's samples as a torch `Dataset`: item i is (what was shown, the response [V] in float32).

    Nothing is read before an item is asked for, and then only that item. The stimulus last read is kept, so that the
    volumes of one film in a row read it once.

    Args:
        stimuli: that the samples refer to.
        responses: [N, V].
        transform: stimulus -> what the item holds. By default a picture becomes a tensor [C, H, W] in [0, 1], and
            everything else stays as the dataset gives it.
    """

    def __init__(self, stimuli: Stimuli, responses: Responses, transform: Callable[[Any], Any] | None = None) -> None:
        self.stimuli, self.responses, self.transform = stimuli, responses, transform
        self._last: tuple[str, Any] | None = None

    @property
    def samples(self) -> pd.DataFrame:
        """N rows, as in `Responses`: what each item is, and for time series its `time`."""
        return self.responses.samples

    def __len__(self) -> int:
        return len(self.responses)

    def __getitem__(self, number: int) -> tuple[Any, Tensor]:
        shown, response = self.raw(number)
        change = picture_tensor if self.transform is None else self.transform
        return change(shown), torch.from_numpy(response.astype(np.float32))

    def raw(self, number: int) -> tuple[Any, "np.ndarray[Any, Any]"]:
        """Item `number` (from the end if negative) as the dataset has it: the stimulus, and a new array [V].

        Raises:
            IndexError: there is no such item.
        """
        count = len(self)
        if not -count <= number < count:
            raise IndexError(f"there is no sample {number}; wanted one from 0 to {count - 1}")
        row = int(number) % count
        return self._shown(str(self.samples["stimulus"].iloc[row])), np.array(self.responses.values[row])

    def _shown(self, id: str) -> Any:
        if self._last is None or self._last[0] != id:
            self._last = id, self.stimuli.load(id)
        return self._last[1]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_last": None}  # a worker need not be sent a film

    @staticmethod
    def collate(items: Sequence[tuple[Any, Tensor]]) -> tuple[Any, Tensor]:
        """A batch for `DataLoader(collate_fn=...)`: responses [B, V]; stimuli stacked where they are tensors of one
        shape, else as a list (texts, recordings, pictures of several sizes).

        Raises:
            DataError: there is no item.
        """
        if not items:
            raise DataError("got no items to put into a batch; wanted at least one")
        shown, responses = zip(*items, strict=True)
        alike = all(isinstance(one, Tensor) for one in shown) and len({one.shape for one in shown}) == 1
        return torch.stack(shown) if alike else list(shown), torch.stack(responses)


def picture_tensor(shown: Any) -> Any:
    """A picture as a tensor [C, H, W] in [0, 1]; anything else as it is."""
    if not isinstance(shown, Image.Image):
        return shown
    pixels = np.asarray(shown if shown.mode in ("L", "RGB") else shown.convert("RGB"), dtype=np.float32) / 255
    return torch.from_numpy(np.atleast_3d(pixels).transpose(2, 0, 1).copy())
