"""A user's own data without writing Python: tables, arrays, images or fMRIPrep's derivatives, described by one YAML."""

from fusiform.datasets.folder.dataset import Folder
from fusiform.datasets.folder.description import Description, read_description

__all__ = ["Description", "Folder", "read_description"]
