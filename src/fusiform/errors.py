"""Every error that fusiform raises on purpose.

FusiformError
├── DataError            values handed in are not what they should be (also a ValueError)
│   └── AlignmentError   stimuli, features and responses do not meet
├── LayoutError          a file or folder is missing, truncated or not as published (also an OSError)
│   └── MissingDataError nothing is there yet: it can be fetched, or done without
├── FetchError           a download failed or its checksum is wrong (also an OSError)
├── UnknownNameError     no such dataset, backbone, model, metric, preset, ... (also a LookupError)
├── MissingExtraError    an optional package is not installed (also an ImportError)
├── SettingsError        settings that cannot be used, or differ from those of a run (also a ValueError)
└── StoreError           a feature store that is damaged or does not match its key (also a ValueError)

Each message is one sentence that says what, got, wanted, next.
"""

__all__ = [
    "AlignmentError",
    "DataError",
    "FetchError",
    "FusiformError",
    "LayoutError",
    "MissingDataError",
    "MissingExtraError",
    "SettingsError",
    "StoreError",
    "UnknownNameError",
]


class FusiformError(Exception):
    """The root: catch it to catch everything that fusiform says to its user."""


class DataError(FusiformError, ValueError):
    """Values have the wrong shape, type or range."""


class AlignmentError(DataError):
    """Stimuli, features and responses do not meet."""


class LayoutError(FusiformError, OSError):
    """A file or folder is missing, truncated or not laid out as published."""


class MissingDataError(LayoutError):
    """The data are not there at all: they can be fetched, or done without."""


class FetchError(FusiformError, OSError):
    """A download failed, or what came has the wrong checksum."""


class UnknownNameError(FusiformError, LookupError):
    """Nothing is registered under that name."""


class MissingExtraError(FusiformError, ImportError):
    """An optional package is needed and not installed (or cannot be imported)."""


class SettingsError(FusiformError, ValueError):
    """Settings that are unknown, impossible, or differ from those of an existing run."""


class StoreError(FusiformError, ValueError):
    """A feature store is damaged, or was written under another key."""
