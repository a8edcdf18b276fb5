"""The subjects of a run: what there is of each, and which of its rows are learned from and held out."""

from collections.abc import Sequence
from dataclasses import dataclass

from fusiform.errors import SettingsError
from fusiform.models.folds import Split
from fusiform.pairs import Pairs
from fusiform.recipes.steps import Material, folds_of

__all__ = ["Participant", "participants_of"]

ALONE = "encode one subject at a time"


@dataclass(frozen=True)
class Participant:
    """One subject.

    Args:
        found: what there is of it.
        splits: (training rows, held-out rows) each; as many as other subjects of the run have.
    """

    found: Material
    splits: list[Split]

    @property
    def subject(self) -> str:
        """Its name."""
        return self.found.subject

    @property
    def pairs(self) -> Pairs:
        """Its features and responses."""
        return self.found.pairs

    def stimuli(self, part: int) -> set[str]:
        """Those that are learned from (part 0) or held out (1) in any split."""
        return {str(stimulus) for split in self.splits for stimulus in self.pairs.samples["stimulus"].iloc[split[part]]}


def participants_of(found: Sequence[Material], folds: int, gap: int) -> list[Participant]:
    """Subjects with their splits: the test split of the data, or folds where there is one subject.

    Raises:
        SettingsError: of several subjects one has no test split, or learns from what is held out of another; they share
            a part of the network.
    """
    participants = [Participant(one, folds_of(one.pairs, folds, gap)) for one in found]
    if len(participants) > 1:
        _check_apart(participants)
    return participants


def _check_apart(participants: Sequence[Participant]) -> None:
    for one in participants:
        split = one.pairs.samples.get("split")
        if split is None or not (split == "test").any():
            raise SettingsError(
                f"{one.subject!r} has no samples of the split 'test'; wanted some of each of several subjects, for "
                f"folds of one would hold out what another learns from: {ALONE}"
            )
    learned, held = (set[str]().union(*(one.stimuli(part) for one in participants)) for part in (0, 1))
    if both := sorted(learned & held):
        raise SettingsError(
            f"{len(both)} stimuli, such as {both[0]!r}, are held out of one subject and learned from by another; "
            f"{ALONE}, or choose another split"
        )
