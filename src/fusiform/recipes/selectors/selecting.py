"""The recipe: train, train again with coordinates exchanged, compare with ridge, and keep what was chosen."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusiform.recipes.ceilings import ceiling_of
from fusiform.recipes.evaluate import Evaluation, evaluate
from fusiform.recipes.outcome import Stopwatch, headline, publish, save, score_within, shuffled_r
from fusiform.recipes.run import Run, open_run
from fusiform.recipes.sections import encoding_sections
from fusiform.recipes.selectors.keeping import keep_seen, keep_selection, keep_top_channels
from fusiform.recipes.selectors.learning import Chosen, arguments_of, learn
from fusiform.recipes.selectors.participants import Participant, participants_of
from fusiform.recipes.selectors.pictures import look, seen_section
from fusiform.recipes.selectors.quantities import measured
from fusiform.recipes.selectors.regions import top_channels
from fusiform.recipes.selectors.showing import selection_sections
from fusiform.recipes.selectors.truth import selector_truth
from fusiform.recipes.settings import Learning
from fusiform.recipes.steps import Material, regressor, repeated_stimuli
from fusiform.scores import Scores

__all__ = ["select"]


@dataclass(frozen=True)
class Judged:
    """What came out for one subject.

    Args:
        participant: the subject.
        chosen: what its targets read.
        within: [M] what to score within, as `outcome.score_within` gives it.
        scores: of the held-out samples.
        numbers: `scores`, `controls` and, where a truth is planted, `truth`, for `summary.json`.
    """

    participant: Participant
    chosen: Chosen
    within: NDArray[np.int64] | None
    scores: Scores
    numbers: dict[str, Any]


def select(
    run: Run,
    titles: Sequence[str],
    found: Sequence[Material],
    watch: Stopwatch,
    learning: Learning,
    *,
    metric: str,
    folds: int,
    gap: int,
    device: str,
) -> dict[str, Any]:
    """Train, train again with coordinates exchanged among targets, and compare with ridge from the best single layer.

    The run keeps the network, in `model/`, and of its subject what `keeping` writes. Several subjects learn together;
    each then has a folder of its name in the run's, which is a run by itself, with a report under its own title.
    """
    model, seed = learning.model, learning.seed
    arguments = arguments_of(model, learning.model_args, seed, device)
    participants = participants_of(found, folds, gap)
    checkpoints = run.folder / "checkpoints"
    chosen = learn(checkpoints, model, participants, arguments)
    watch.lap("fit")
    astray = learn(checkpoints / "shuffled", model, participants, arguments, shuffle=seed)
    watch.lap("shuffled control")
    single = [_best_layer(one, gap, device) for one in participants]
    watch.lap("ridge")
    shutil.rmtree(run.folder / "model", ignore_errors=True)  # of a run that was interrupted behind this line
    chosen[0].model.save(run.folder / "model")
    judged = [_judge(*one, seed) for one in zip(participants, chosen, astray, single, strict=True)]
    for title, one in zip(titles, judged, strict=True):
        (_tell if len(judged) == 1 else _tell_apart)(run, title, one, metric)
    shutil.rmtree(checkpoints)
    watch.lap("report")
    return {**_summary(judged), "seconds": watch.seconds}


def _best_layer(participant: Participant, gap: int, device: str) -> Evaluation:
    pairs, splits = participant.pairs, participant.splits
    ridge = regressor("ridge", pairs, gap=gap, device=device, model_args=None)
    return evaluate(pairs, "encode", ridge, splits, groups=repeated_stimuli(pairs), progress=True)


def _judge(participant: Participant, chosen: Chosen, astray: Chosen, single: Evaluation, seed: int) -> Judged:
    """Score the prediction and its controls, and compare both with the planted truth where there is one."""
    found, space = participant.found, participant.pairs.space
    tested = participant.pairs.samples.iloc[chosen.result.rows]
    within = score_within(tested, chosen.result.fold)
    ceiling = ceiling_of(found.trials, tested)
    scores, lost, plain = (
        result.score(groups=within, ceiling=ceiling, space=space) for result in (chosen.result, astray.result, single)
    )
    controls = {
        "shuffled_r": shuffled_r(chosen.result, scores, "time" in tested, within, seed),
        "shuffled_ratio": headline(lost).get("ratio_to_ceiling"),
        "best_single_layer_r": headline(plain).get("mean_r"),
        "best_single_layer_ratio": headline(plain).get("ratio_to_ceiling"),
    }
    numbers: dict[str, Any] = {"scores": headline(scores), "controls": controls}
    if (planted := found.truth) is not None and {"layer", "x", "y", "scale"} <= set(planted):
        numbers["truth"] = selector_truth(planted, chosen.table, scores)
        lost_truth = selector_truth(planted, astray.table, scores)
        controls |= {f"shuffled_{name}": value for name, value in lost_truth.items()}
    return Judged(participant, chosen, within, scores, numbers)


def _tell(run: Run, title: str, judged: Judged, metric: str) -> None:
    """Write the tables, maps, scores and the report of one subject."""
    chosen, scores, found = judged.chosen, judged.scores, judged.participant.found
    space, layers = found.pairs.space, list(chosen.model.net_.layers)
    table, tops = measured(chosen.table, scores), top_channels(chosen.weights, space)
    seen = look(chosen, found, tops)
    keep_selection(run.folder, table, space, layers)
    keep_top_channels(run.folder, chosen.weights, tops, space)
    keep_seen(run.folder, seen)
    save(run, chosen.result, scores, metric, judged.within)
    told = {**judged.numbers["controls"], **judged.numbers.get("truth", {})}
    sections = [
        encoding_sections(judged.numbers, chosen.result, scores)[0],
        *selection_sections(table, layers, space, told, tops),
        seen_section(seen),
    ]
    publish(run, title, sections)


def _tell_apart(run: Run, title: str, judged: Judged, metric: str) -> None:
    """The same for one of several subjects, as a run of its own."""
    found = judged.participant.found
    own = open_run(run.folder / found.subject, run.settings)
    _tell(own, title, judged, metric)
    about = {"dataset": run.settings["dataset"], "subject": found.subject, "features": found.features}
    own.finish({**about, **judged.numbers})


def _summary(judged: Sequence[Judged]) -> dict[str, Any]:
    """Numbers of one subject; of several the scores over the targets of all, and the numbers of each by name."""
    if len(judged) == 1:
        return judged[0].numbers
    ceilings = [one.scores.ceiling for one in judged if one.scores.ceiling is not None]
    whole = Scores(
        np.concatenate([one.scores.values for one in judged]),
        "pearson",
        ceiling=np.concatenate(ceilings) if len(ceilings) == len(judged) else None,
    )
    each = {one.participant.subject: one.numbers for one in judged}
    return {"subject": list(each), "scores": headline(whole), "subjects": each}
