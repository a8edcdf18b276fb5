"""Checks for plug-in authors: the same that fusiform's own parts go through."""

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, get_args

import numpy as np
import pandas as pd
import torch

from fusiform.data import ArraySound, ArrayVideo, Kind, Recording, Stimuli
from fusiform.datasets.contract import examine
from fusiform.errors import DataError, FusiformError, SettingsError
from fusiform.features.blocks import Block
from fusiform.features.forward import Forward
from fusiform.features.hooks import weights_digest
from fusiform.features.loading import Loader
from fusiform.features.reduce import reduction
from fusiform.features.tokens import Backbone

__all__ = ["check_backbone", "check_dataset"]

_SAMPLES, _THREADS = 5, 4
_TOLERANCE = 1e-3  # of the norm: float32 noise of deep networks stays below, a wrong row does not


def check_backbone(backbone: Any, stimuli: Stimuli | None = None) -> None:
    """Check that a backbone keeps its contract; put this into the tests of a plug-in.

    Its names and kinds are known, its tokens have the right shapes and are finite, its layers are the same in every
    batch, and its numbers depend neither on the batch size, nor on the order, nor on what it saw before, nor on which
    threads make stimuli ready.

    Args:
        backbone: to be checked, as handed to `extract`.
        stimuli: of its kind, two at least. Pictures, texts and recordings (of words, video and sound) are made where
            none are given.

    Raises:
        DataError: all that is wrong, a sentence each.
        SettingsError: it needs stimuli of its own to be checked.
    """
    complaints = _form(backbone)
    if not complaints:
        complaints = _behaviour(backbone, stimuli or _samples(backbone))
    if complaints:
        listed = "; ".join(f"({number}) {complaint}" for number, complaint in enumerate(complaints, 1))
        raise DataError(f"backbone {getattr(backbone, 'name', backbone)!r} does not keep the contract: {listed}")


def check_dataset(
    dataset: Any, *, parts: Sequence[str] | None = None, subjects: Sequence[str] | None = None, most: int | None = None
) -> None:
    """Check that a dataset keeps its contract; put this into the tests of a plug-in.

    It has a name, a card, subjects and parts; ids are unique and all load, the same each time and in other processes;
    samples refer to known stimuli; values are finite and have a sample and a target each; splits are named as
    everywhere, and what the test split shows is in no other; a region is the columns that bear its name; unknown names
    are refused; reading again gives the same whatever was done to what was handed out before.

    Args:
        dataset: an instance.
        parts: to check (default: all).
        subjects: to check (default: all).
        most: stimuli to load and samples to compare, spread over all; None for every one.

    Raises:
        DataError: all that is wrong, a sentence each.
    """
    wrong = [finding for finding in examine(dataset, parts=parts, subjects=subjects, most=most) if not finding.ok]
    if wrong:
        listed = "; ".join(f"({number}) {one.about}: {one.said}" for number, one in enumerate(wrong, 1))
        raise DataError(f"dataset {getattr(dataset, 'name', dataset)!r} does not keep the contract: {listed}")


def _form(backbone: Any) -> list[str]:
    """What is wrong before anything is run."""
    name, kind, rate = (getattr(backbone, attribute, None) for attribute in ("name", "kind", "rate"))
    wrong = {
        f"`name` is {name!r}; wanted a string that is not empty": not (isinstance(name, str) and name),
        f"`kind` is {kind!r}; wanted one of {', '.join(get_args(Kind))}": kind not in get_args(Kind),
        "there is no method preprocess(stimulus)": not callable(getattr(backbone, "preprocess", None)),
        "there is no method get_tokens(x)": not callable(getattr(backbone, "get_tokens", None)),
        f"`rate` is {rate!r}; wanted rows per second above 0": rate is not None and not _is_positive(rate),
        "recordings need a `rate` (Hz)": kind == "recording" and rate is None,
        "it has neither `revision` nor `settings`, so that two versions of it would share one key in a store": not (
            getattr(backbone, "revision", "") or getattr(backbone, "settings", {})
        ),
        "its `settings` are not plain JSON values": not _is_json(getattr(backbone, "settings", {})),
    }
    return [sentence for sentence, is_wrong in wrong.items() if is_wrong]


def _is_positive(value: Any) -> bool:
    return isinstance(value, int | float) and 0 < value < float("inf")


def _is_json(value: Any) -> bool:
    try:
        json.dumps(dict(value), allow_nan=False)
    except (TypeError, ValueError):
        return False
    return True


def _behaviour(backbone: Backbone, stimuli: Stimuli) -> list[str]:
    """What is wrong when stimuli go through it: all at once, again, one by one, and backwards."""
    if len(stimuli) < 2:
        raise SettingsError(f"got {len(stimuli)} stimuli to check {backbone.name!r} with; wanted two at least")
    everything, cpu = reduction(None), torch.device("cpu")
    together = Forward(Loader(stimuli, backbone), None, everything, "float32", len(stimuli), cpu)
    one_by_one, ids = replace(together, batch_size=1), stimuli.ids
    try:
        first = together.block(ids)
        before = weights_digest(backbone)  # after one pass: a network may be made when first asked for
        others = {
            "a second pass gives other numbers; is it in evaluation mode?": together.block(ids),
            "the batch size changes its numbers": one_by_one.block(ids),
            "the order of stimuli changes their numbers": _turned(one_by_one.block(ids[::-1])),
        }
    except Exception as reason:  # whatever a plug-in raises is what its author must hear
        return [_said(reason)]
    complaints = [f"{sentence} ({place})" for sentence, other in others.items() if (place := _difference(first, other))]
    complaints += ["a pass changes its weights or buffers"] * (weights_digest(backbone) != before)
    return complaints or _threading(first, together)  # beside other faults it would say nothing new


class _BesideGpu(Forward):
    """What comes next is made ready in other threads while the network runs."""

    @property
    def works_ahead(self) -> bool:
        return True


def _threading(first: Block, forward: Forward) -> list[str]:
    """What is wrong when several threads make stimuli ready, and take turns as often as they can."""
    threads, seconds = torch.get_num_threads(), sys.getswitchinterval()
    torch.set_num_threads(_THREADS)
    sys.setswitchinterval(1e-6)
    beside = _BesideGpu(forward.loader, None, forward.reduction, forward.precision, 2, forward.device)
    try:
        place = _difference(first, beside.block(forward.stimuli.ids))
    except Exception as reason:
        return [f"where other threads make stimuli ready, as beside a GPU: {_said(reason)}"]
    finally:
        torch.set_num_threads(threads)
        sys.setswitchinterval(seconds)
    return [f"stimuli that other threads make ready, as beside a GPU, have other numbers ({place})"] if place else []


def _said(reason: Exception) -> str:
    return str(reason) if isinstance(reason, FusiformError) else f"it raises {type(reason).__name__}: {reason}"


def _turned(block: Block) -> Block:
    """A block with its stimuli the other way round."""
    edges = np.cumsum([0, *block.rows])
    order = np.concatenate([np.arange(start, stop) for start, stop in pairwise(edges)][::-1])
    arrays = {layer: values[order] for layer, values in block.arrays.items()}
    return Block(list(block.stimuli)[::-1], list(block.rows)[::-1], list(block.onsets)[::-1], arrays)


def _difference(first: Block, other: Block) -> str:
    """The first layer in which two blocks differ, in words; nothing where they agree."""
    if list(first.arrays) != list(other.arrays):
        return f"layers {', '.join(first.arrays)} against {', '.join(other.arrays)}"
    if list(first.rows) != list(other.rows) or list(first.onsets) != list(other.onsets):
        return f"rows {first.rows} from {first.onsets} s against {other.rows} from {other.onsets} s"
    for layer, values in first.arrays.items():
        gap = float(np.linalg.norm(values - other.arrays[layer]) / max(float(np.linalg.norm(values)), 1e-12))
        if gap > _TOLERANCE:
            return f"layer {layer!r}, by {gap:.2g} of its norm"
    return ""


def _samples(backbone: Backbone) -> Stimuli:
    kind: Kind = backbone.kind if getattr(backbone, "rate", None) is None else "recording"
    if kind not in _MAKERS:
        raise SettingsError(f"a backbone of kind {kind!r} is checked with stimuli of your own: give stimuli=")
    table = pd.DataFrame(index=[f"sample-{number}" for number in range(_SAMPLES)])
    return Stimuli("samples", kind, table, lambda id: _MAKERS[kind](np.random.default_rng(int(id.split("-")[1]))))


def _picture(random: np.random.Generator) -> Any:
    from PIL import Image

    return Image.fromarray(random.integers(0, 256, (80, 96, 3), dtype=np.uint8))


def _recording(random: np.random.Generator) -> Recording:
    start = np.sort(random.uniform(0, 29, 40))
    words = pd.DataFrame({"text": random.choice(_WORDS, 40), "start": start, "stop": start + 0.2})
    seconds = 30 + int(random.integers(5))
    video = ArrayVideo(random.integers(0, 256, (4 * seconds, 32, 48, 3), dtype=np.uint8), 4.0)
    sound = ArraySound(random.uniform(-0.5, 0.5, 16000 * seconds), 16000)
    return Recording(float(seconds), words=words, video=video, sound=sound)


def _text(random: np.random.Generator) -> str:
    return " ".join(random.choice(_WORDS, 12))


_WORDS = ("the", "rabbit", "was", "late", "and", "alice", "ran", "after", "it")
_MAKERS: dict[str, Callable[[np.random.Generator], Any]] = {"image": _picture, "recording": _recording, "text": _text}
