"""Numpy files: arrays are read without pickle, and pickled ones only on request and only for the plain data in them."""

import io
import pickle
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from fusiform.datasets.base import reading
from fusiform.errors import FusiformError, LayoutError, SettingsError

__all__ = ["read_array", "read_array_of", "read_mapping", "read_mapping_of", "write_mapping"]


def read_array(path: Path, *, mapped: bool = False) -> NDArray[Any]:
    """The array of a `.npy` file of numbers.

    Args:
        path: of the file.
        mapped: leave the numbers on disk until they are asked for.

    Raises:
        LayoutError: it is missing, truncated, no `.npy` file, or a pickle.
    """
    if not mapped:
        with reading(path), path.open("rb") as file:
            return read_array_of(file, str(path))
    with reading(path), path.open("rb") as file:
        _check_numbers(_dtype(file), str(path))
        found: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
        return found


def read_array_of(file: IO[bytes], name: str) -> NDArray[Any]:
    """The array of numbers in a file open for reading, such as a member of a zip; `name` is for errors.

    Raises:
        LayoutError: it is truncated, not of numpy's format, or a pickle.
    """
    with _naming(name):
        held = io.BytesIO(file.read())
        _check_numbers(_dtype(held), name)
        held.seek(0)
        found: NDArray[Any] = np.load(held, allow_pickle=False)
        return found


def read_mapping(path: Path, trust_pickle: bool) -> dict[Any, Any]:
    """The dict that `numpy.save` pickled into a `.npy` file.

    Even a trusted file may hold no more than numbers, texts, lists, dicts and numpy arrays: anything else that a pickle
    can name, and run, is refused.

    Args:
        path: of the file.
        trust_pickle: whether the user said to trust it.

    Raises:
        SettingsError: it is a pickle and not trusted.
        LayoutError: it is truncated, no pickled dict, or holds something else than plain data.
    """
    with reading(path), path.open("rb") as file:
        return read_mapping_of(file, trust_pickle, str(path))


def read_mapping_of(file: IO[bytes], trust_pickle: bool, name: str) -> dict[Any, Any]:
    """As `read_mapping`, of a file open for reading; `name` is for errors."""
    with _naming(name):
        dtype = _dtype(file)
        if not dtype.hasobject:
            raise LayoutError(f"{name} holds an array of {dtype}; wanted a dict, as numpy.save pickles it")
        if not trust_pickle:
            raise SettingsError(
                f"{name} is a pickle, and a pickle can run code when it is read; if you trust where it came from, give "
                "--trust-pickle (to a dataset in Python trust_pickle=True)"
            )
        held = _PlainUnpickler(file).load()
    held = np.asarray(held) if isinstance(held, np.ndarray) else held  # no _Stored
    found = held.item() if isinstance(held, np.ndarray) and held.ndim == 0 else held
    if not isinstance(found, dict):
        raise LayoutError(f"{name} holds a {type(found).__name__}; wanted a dict, as numpy.save pickles it")
    return found


def write_mapping(file: IO[bytes], mapping: Mapping[str, Any]) -> None:
    """Write what `numpy.save(file, dict)` would, so that any version of numpy reads it.

    Numpy 2 names its private module `numpy._core` in the pickles it writes, which numpy 1 does not have: servers that
    run it refuse such files. Here arrays are named by `numpy.ndarray` and `numpy.array` alone, which all versions have.

    Args:
        file: open for writing.
        mapping: of texts, numbers, dicts and arrays of numbers.
    """
    outer = np.empty((), dtype=object)
    outer[()] = dict(mapping)
    header = {"descr": "|O", "fortran_order": False, "shape": ()}
    np.lib.format.write_array_header_1_0(file, header)
    _PlainPickler(file, protocol=4).dump(outer)


class _PlainPickler(pickle.Pickler):
    def reducer_override(self, value: Any) -> Any:
        if type(value) is not np.ndarray:
            return NotImplemented
        if value.dtype.hasobject:
            return np.array, (value.item(), "O")
        return np.ndarray, (value.shape, value.dtype.str, value.tobytes())


class _PlainUnpickler(pickle.Unpickler):
    """Builds plain data and numpy arrays, whichever version of numpy wrote them."""

    def find_class(self, module: str, name: str, /) -> Any:
        if module.partition(".")[0] == "numpy" and name in _BUILDERS:
            return _BUILDERS[name]
        raise pickle.UnpicklingError(f"it names {module}.{name}; wanted plain data and numpy arrays only")


class _Stored(np.ndarray[Any, Any]):
    """An array of a pickle. Numpy would swap foreign bytes as it reads them, and nobody could tell that they were."""

    def __setstate__(self, state: Any, /) -> None:
        if state[2].byteorder == ">":
            raise pickle.UnpicklingError(f"it holds an array that is {state[2].str}; wanted little-endian numbers")
        super().__setstate__(state)


def _reconstruct(_: type, shape: tuple[int, ...], kind: bytes) -> Any:
    return _RECONSTRUCT(_Stored, shape, kind)


_RECONSTRUCT: Any = np.zeros(1).__reduce__()[0]
_BUILDERS = {
    "ndarray": np.ndarray,
    "array": np.array,
    "dtype": np.dtype,
    "_reconstruct": _reconstruct,
    "scalar": np.float64(1).__reduce__()[0],
    "_frombuffer": np.zeros(1).__reduce_ex__(5)[0],
}


def _dtype(file: IO[bytes]) -> np.dtype[Any]:
    """Type of the array of a `.npy` file; the file is left at its data."""
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    dtype: np.dtype[Any] = read(file)[2]
    return dtype


def _check_numbers(dtype: np.dtype[Any], name: str) -> None:
    if dtype.kind not in "biufc":
        held = "a pickled object" if dtype.hasobject else f"an array of {dtype}"
        raise LayoutError(f"{name} holds {held}; wanted an array of numbers")


@contextmanager
def _naming(name: str) -> Iterator[None]:
    try:
        yield
    except FusiformError:
        raise
    except Exception as reason:  # whatever a damaged file makes numpy, zipfile or pickle raise
        raise LayoutError(
            f"{name} cannot be read ({type(reason).__name__}: {reason}); it is damaged or foreign"
        ) from reason
