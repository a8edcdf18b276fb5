"""Gathered rows against numpy's concatenation, in every precision, and what cannot be gathered."""

import numpy as np
import pytest
import torch
from torch import Tensor

from fusiform.errors import DataError
from fusiform.features.precision import PRECISIONS, Precision, rounded
from fusiform.features.rows import Rows, first_infinite


def parts(*counts: int, seed: int = 0) -> list[dict[str, Tensor]]:
    """Layers as networks leave them: maps with the channels last in memory, and vectors of double precision."""
    random = torch.Generator().manual_seed(seed)
    return [
        {
            "map": torch.randn(count, 3, 4, 5, generator=random).movedim(3, 1),
            "vector": 1e3 * torch.randn(count, 7, generator=random, dtype=torch.float64),
        }
        for count in counts
    ]


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("room", [0, 1, 9, 40])  # too little is enlarged, too much is not seen
def test_rows_are_those_of_all_parts_rounded_once(precision: Precision, room: int) -> None:
    rows, given = Rows(room, precision), parts(4, 1, 4)
    kept = [rows.add(part, "im0") for part in given]
    assert len(rows) == 9
    for layer, values in rows.arrays.items():
        wanted = rounded(np.concatenate([part[layer].float().numpy() for part in given]), precision)
        assert (values.dtype, values.flags.c_contiguous) == (wanted.dtype, True)
        np.testing.assert_array_equal(values, wanted)
        np.testing.assert_array_equal(kept[2][layer].numpy(), wanted[5:])


def test_bits_of_every_kind_of_number_are_numpys() -> None:
    values = np.concatenate(
        [np.float32(10) ** np.arange(-46, 39, dtype=np.float32), [0, -0.0, 1.00390625, 65504, 65520, np.inf, -np.inf]]
    ).astype(np.float32)
    for precision in PRECISIONS:
        rows = Rows(1, precision)
        rows.add({"a": torch.from_numpy(values[None])}, "im0")
        wanted = rounded(values[None], precision)
        np.testing.assert_array_equal(rows.arrays["a"].view(np.uint8), wanted.view(np.uint8))


def test_what_was_handed_in_is_neither_changed_nor_kept() -> None:
    rows, [part] = Rows(3, "float32"), parts(3)
    before = {layer: value.clone() for layer, value in part.items()}
    rows.add(part, "im0")["map"].zero_()
    for layer, value in part.items():
        assert torch.equal(value, before[layer])


def test_rows_that_are_forgotten_leave_no_trace() -> None:
    rows, [first, second, third] = Rows(2, "float32"), parts(2, 3, 2)
    for part in (first, second):
        rows.add(part, "im0")
    rows.forget(2)
    rows.add(third, "im5")
    np.testing.assert_array_equal(rows.arrays["map"], torch.cat([first["map"], third["map"]]))
    rows.forget(0)
    assert (len(rows), rows.arrays) == (0, {})
    rows.add({"other": torch.ones(1, 2)}, "im9")
    assert list(rows.arrays) == ["other"]


def test_no_rows_are_no_layers() -> None:
    assert Rows(5, "float32").arrays == {}


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (
            {"map": torch.ones(1, 5, 3, 4)},
            r"from stimulus 'im7' on, the layers have the shapes \{'map': \(5, 3, 4\)\};",
        ),
        ({"map": torch.ones(1, 5, 3, 4), "vector": torch.ones(1, 8)}, r"before they had .*'vector': \(7,\)"),
        ({"map": torch.ones(2, 5, 3, 4), "vector": torch.ones(1, 7)}, r"'im7' have \{'map': 2, 'vector': 1\} rows"),
    ],
)
def test_what_does_not_fit_is_refused(part: dict[str, Tensor], message: str) -> None:
    rows = Rows(2, "float32")
    rows.add(parts(1)[0], "im0")
    with pytest.raises(DataError, match=message):
        rows.add(part, "im7")
    assert len(rows) == 1


@pytest.mark.parametrize("odd", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_the_first_row_that_is_not_finite(odd: float, dtype: torch.dtype) -> None:
    values = torch.randn(50, 3, 400, generator=torch.Generator().manual_seed(0)).to(dtype)
    assert first_infinite(values) is None
    for place in (49, 17):
        values[place, 2, 399] = odd
        assert first_infinite(values) == place
    assert first_infinite(torch.tensor([[65504.0], [-65504.0]]).to(dtype)) is None
