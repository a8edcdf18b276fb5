"""What a dataset promises, checked: for plug-in authors (`testing.check_dataset`) and for `fusiform doctor`."""

from fusiform.datasets.contract.examine import examine
from fusiform.datasets.contract.finding import Finding

__all__ = ["Finding", "examine"]
