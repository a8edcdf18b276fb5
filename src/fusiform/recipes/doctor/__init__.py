"""The doctor: is everything here that is needed, are the data as they should be, and do the parts work together."""

from fusiform.recipes.doctor.checkup import Checkup, doctor

__all__ = ["Checkup", "doctor"]
