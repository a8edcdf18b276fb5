"""The clock of the scanner, and the window of film that the challenge's baseline reads for every volume."""

from fusiform.errors import SettingsError

__all__ = ["TR", "stimulus_window"]

TR = 1.49  # seconds


def stimulus_window(delay: int = 3, chunks: int = 5) -> tuple[float, ...]:
    """The lags, in seconds, at which `pair` reads what the challenge's baseline reads.

    The baseline cuts a film into chunks of one TR, and gives every volume the last `chunks` of them that end `delay`
    volumes before it (Gifford et al. 2025).

    Args:
        delay: of the haemodynamic response, in volumes.
        chunks: of the film, side by side.

    Returns:
        `chunks` lags, the shortest first.

    Raises:
        SettingsError: a number is too small.
    """
    if delay < 0 or chunks < 1:
        raise SettingsError(f"got delay {delay} and {chunks} chunks; wanted 0 volumes or more, and one chunk at least")
    return tuple(TR * (delay + chunk) for chunk in range(chunks))
