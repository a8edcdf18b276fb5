"""NIfTI and MGH files, opened but not read."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["opened_image"]


@contextmanager
def opened_image(path: Path) -> Iterator[Any]:
    """The image, with `shape`, `affine` and `dataobj`, which reads the part it is asked for.

    Parts of a compressed file that are asked for in their order are read in one go. The file is closed at the end:
    nibabel alone leaves MGH files open.
    """
    import nibabel
    from nibabel.fileholders import FileHolder
    from nibabel.openers import ImageOpener

    if path.suffix not in (".mgh", ".mgz"):
        yield nibabel.load(path, keep_file_open=True)
        return
    read: Any = nibabel.MGHImage.from_file_map
    with ImageOpener(str(path)) as file:
        yield read({"image": FileHolder(str(path), file)})  # type: ignore[arg-type]  # wider in truth
