"""Runs side by side: the numbers are those of the runs, colours are shared, and what does not match is refused."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from matplotlib import colormaps

from fusiform.cli import main
from fusiform.data import Space
from fusiform.datasets.simulated.cortex import places
from fusiform.errors import FusiformError, LayoutError, SettingsError
from fusiform.features.store import FeatureStore
from fusiform.plots.meshes import flat_pixels
from fusiform.plots.tints import retinotopy
from fusiform.recipes.compare import compare
from fusiform.recipes.compare import report as report_module
from fusiform.recipes.compare.matching import read_networks
from fusiform.recipes.compare.network import Network
from fusiform.recipes.compare.numbers import depth_bins, depth_shares, depths, headlines, neighbourhoods, paired
from fusiform.recipes.compare.sections import comparison_sections
from fusiform.recipes.encode import encode
from fusiform.recipes.evaluate import Evaluation
from fusiform.recipes.outcome import headline, save, scores_of
from fusiform.recipes.run import Run, open_run
from fusiform.recipes.steps import store_folder

VERTEX = np.arange(0, 3000, 20)
ROWS = np.concatenate([VERTEX, VERTEX + 10242])
VERTICES = Space("fsaverage5", places().iloc[ROWS].reset_index(drop=True), "fsaverage5")
NOWHERE = Space.numbered("mask", 300)
VOXELS = Space.voxels("voxels", np.ones((6, 5, 4), dtype=bool), np.diag([2.0, 2.0, 3.0, 1.0]))
TOLD = {
    "recipe": "encode",
    "dataset": "simulated",
    "part": None,
    "backbone": "planted",
    "backbone_args": None,
    "single_trials": False,
    "model": "ridge",
    "model_args": None,
    "metric": "pearson",
    "dataset_args": {"pictures": 100},
}


def write(folder, *, space=VERTICES, layers=3, strength=1.0, seed=0, subject="sim01", ceiling=0.8, **told):
    """A run folder as `encode` leaves it, of made-up predictions."""
    settings = {**TOLD, **told}
    run = open_run(folder, settings)
    random, true = np.random.default_rng(seed), np.random.default_rng(99).normal(size=(40, space.size))
    pred = {f"layer{n}": strength * true + random.normal(size=true.shape) for n in range(layers)}
    fit = {name: random.normal(size=space.size) for name in pred}
    result = Evaluation(np.arange(40), np.zeros(40, int), true, np.zeros_like(true), pred, fit, pred["layer0"])
    ceilings = None if ceiling is None else np.where(np.arange(space.size) % 5, ceiling, 0.1)
    scores = result.score(ceiling=ceilings, space=space)
    save(run, result, scores, settings["metric"], None)
    found = {"scores": headline(scores), "controls": {"shuffled_r": 0.01}, "seconds": {"features": 1.0, "fit": 2.5}}
    run.finish({"dataset": settings["dataset"], "subject": subject, "features": f"planted-{seed}", **found})
    return folder


def write_selection(folder, layers, seed=0):
    """What a selector leaves beside, for a network of so many layers."""
    size, random = len(pd.read_parquet(folder / "scores.parquet")), np.random.default_rng(seed)
    share = random.dirichlet(np.ones(layers), size)
    table = pd.DataFrame({"layer": [f"block{n}" for n in share.argmax(1)], "mean_layer": share @ np.arange(layers)})
    table[["center_x", "center_y"]] = random.uniform(-1, 1, (size, 2))
    table = table.assign(scale=random.uniform(size=size), **{f"share:block{n}": share[:, n] for n in range(layers)})
    table.to_parquet(folder / "selection.parquet")
    return table


@pytest.fixture
def runs(tmp_path):
    return two(tmp_path, VERTICES)


@pytest.fixture
def quick(tmp_path):
    """Runs whose report has no maps, which take time."""
    return two(tmp_path, NOWHERE)


def two(folder, space):
    told = {"backbone": "hf:facebook/dinov2-base", "layers": 5, "strength": 2.0, "seed": 1}
    return [write(folder / "worse", space=space), write(folder / "better", space=space, **told)]


def network(table, label="net", selection=None, metric="pearson"):
    """One that was never on a disk."""
    summary = {"subject": "sim01", "scores": {"targets": len(table), "targets_reliable": len(table)}}
    return Network(label, Run(label), {**TOLD, "metric": metric}, summary, table, selection)


def scored(space, r, layer="a", ceiling=None):
    table = space.targets.assign(r=r, layer=layer, **{"r a": 0.0, "r b": 0.0, "r c": 0.0})
    table.attrs["space"] = {"name": space.name, "mesh": space.mesh, "grid": None}
    return table if ceiling is None else table.assign(ceiling=ceiling)


def pictures(networks):
    """Name -> picture of all sections."""
    return {one.name: one for part in comparison_sections(networks, paired(networks)) for one in part.pictures}


# the folder


def test_the_report_is_a_folder_of_its_own(runs, tmp_path):
    made = compare(runs, out=tmp_path / "both")
    files = {"settings.yaml", "environment.json", "log.jsonl", "summary.json", "report.html", "figures"}
    assert {path.name for path in made.folder.iterdir()} == files | {"comparison.parquet"}
    figures = {path.stem for path in (made.folder / "figures").iterdir()}
    assert figures == {"r", "depth", "depths", "scatter_0", "difference"}
    page = (made.folder / "report.html").read_text()
    assert page.count("<img") == len(figures)
    assert "simulated, sim01: 2 networks side by side" in page
    assert "hf:facebook/dinov2-base" in page
    assert "planted-1" in page  # the key of its features
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_the_numbers_are_those_of_the_runs(quick, tmp_path):
    summary = compare(quick, out=tmp_path / "both").summary
    tables = [pd.read_parquet(run / "scores.parquet") for run in quick]
    told = list(summary["runs"].values())
    assert list(summary["runs"]) == ["planted", "hf:facebook/dinov2-base"]
    assert [one["scores"] for one in told] == [Run(run).summary["scores"] for run in quick]
    assert [one["layers"] for one in told] == [3, 5]
    assert [one["features"] for one in told] == ["planted-0", "planted-1"]
    among = tables[0]["ceiling"] > 0.3
    assert summary["targets_compared"] == among.sum() < summary["targets"] == 300
    difference = (tables[0]["r"] - tables[1]["r"])[among]
    [pair] = summary["pairs"]
    assert pair["mean_difference"] == pytest.approx(difference.mean())
    assert pair["low"] < difference.mean() < pair["high"] < 0
    assert pair["a_better"] == pytest.approx((difference > 0).mean())
    assert pair["b_better"] == pytest.approx((difference < 0).mean())
    assert all(sum(shares.values()) == pytest.approx(1) for shares in summary["depth_shares"].values())


def test_every_target_has_a_row(runs, tmp_path):
    selection = write_selection(runs[1], 5)
    table = pd.read_parquet(compare(runs, out=tmp_path / "both").folder / "comparison.parquet")
    first, second = (pd.read_parquet(run / "scores.parquet") for run in runs)
    assert {"hemisphere", "vertex", "ceiling"} <= set(table)
    name = "hf:facebook/dinov2-base"
    assert table["r planted"].tolist() == first["r"].tolist()
    assert table[f"r {name}"].tolist() == second["r"].tolist()
    assert table["layer planted"].tolist() == first["layer"].tolist()
    np.testing.assert_allclose(table[f"depth {name}"], selection["mean_layer"] / 4)
    np.testing.assert_allclose(table[f"center_x {name}"], selection["center_x"])
    np.testing.assert_allclose(table[f"scale {name}"], selection["scale"])
    assert "scale planted" not in table  # ridge says nothing of scale
    assert table.attrs["space"]["mesh"] == "fsaverage5"  # so that it can be drawn again


def test_one_run_alone_is_the_same_page_with_one_column(quick, tmp_path):
    made = compare(quick[:1], out=tmp_path / "alone")
    assert made.summary["pairs"] == []
    assert list(made.summary["runs"]) == ["planted"]
    assert {path.stem for path in (made.folder / "figures").iterdir()} == {"distribution", "depths"}
    page = (made.folder / "report.html").read_text()
    assert "simulated, sim01: planted" in page
    assert "Target by target" not in page


def test_the_same_runs_give_the_report_that_is_there(quick, tmp_path, monkeypatch):
    first = compare(quick, out=tmp_path / "both")
    with monkeypatch.context() as patch:
        patch.setattr(report_module, "_write", None)  # not reached
        assert compare(quick, out=tmp_path / "both").summary == first.summary
    with pytest.raises(SettingsError, match=r"run with other settings \(runs: .*give --overwrite"):
        compare(quick[:1], out=tmp_path / "both")
    compare(quick[:1], out=tmp_path / "both", overwrite=True)
    [aside] = [path for path in tmp_path.iterdir() if path.name.startswith("both.")]
    assert len(Run(aside).summary["runs"]) == 2


def test_a_run_that_was_made_anew_is_noticed(quick, tmp_path):
    compare(quick, out=tmp_path / "both")
    Run(quick[0]).log("finished")
    with pytest.raises(SettingsError, match=r"finished: \[.* there, \[.* now"):
        compare(quick, out=tmp_path / "both")


def test_an_interrupted_report_is_finished_later(quick, tmp_path, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(report_module, "publish", stop)
        with pytest.raises(KeyboardInterrupt):
            compare(quick, out=tmp_path / "both")
    folder = tmp_path / "both"
    assert not Run(folder).finished
    for scratch in (folder / ".report.html.4194305.x", folder / "figures" / ".r.png.4194305.x"):
        scratch.mkdir(parents=True)  # of a process that was killed; no process has that number
    assert compare(quick, out=folder).finished
    assert not list(folder.rglob(".*"))


def test_a_failure_leaves_no_folder(quick, tmp_path, monkeypatch):
    monkeypatch.setattr(report_module, "paired", lambda networks: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        compare(quick, out=tmp_path / "both")
    assert not (tmp_path / "both").exists()


def test_names_are_looked_for_under_the_folder_of_runs(quick, tmp_path, monkeypatch):
    monkeypatch.setenv("FUSIFORM_RUNS", str(tmp_path))
    made = compare(["worse", "better"], name="both")
    assert made.folder == tmp_path / "both"
    assert len(made.summary["runs"]) == 2
    assert compare(["worse"]).folder == tmp_path / "report"


# which runs


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"dataset": "alice"}, "it has dataset 'alice' and not 'simulated'; give runs of one dataset"),
        ({"subject": "sim02"}, "it has subject 'sim02' and not 'sim01'"),
        ({"metric": "r2"}, "it has metric 'r2' and not 'pearson'"),
        ({"dataset_args": {"seed": 3}}, r"dataset_args \{'seed': 3\} and not \{'pictures': 100\}"),
        ({"single_trials": True}, "single_trials True and not False"),
        ({"space": VERTICES.select(np.arange(200))}, "number of targets 200 and not 300"),
        ({"space": Space.vertices("fsaverage5", range(150), range(150), "fsaverage5")}, "hemisphere and vertex"),
        ({"ceiling": 0.7}, "other noise ceilings"),
        ({"ceiling": None}, "a noise ceiling in one run only"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_runs_that_do_not_match_are_refused(tmp_path, other, said):
    runs = [write(tmp_path / "one"), write(tmp_path / "two", **other)]
    with pytest.raises(SettingsError, match=f"two cannot stand beside .*one, .*{said}") as caught:
        compare(runs, out=tmp_path / "both")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "both").exists()


def test_a_part_that_one_run_leaves_to_the_default_is_no_difference(tmp_path):
    runs = [write(tmp_path / "one"), write(tmp_path / "two", part="images"), write(tmp_path / "three", part="movie")]
    assert len(read_networks(runs[:2])) == 2
    with pytest.raises(SettingsError, match="part 'movie' and not 'images'"):
        read_networks(runs[1:])


def broken(folder, how):
    if how == "nothing":
        shutil.rmtree(folder)
    elif how == "decode":
        text = (folder / "settings.yaml").read_text()
        (folder / "settings.yaml").write_text(text.replace("recipe: encode", "recipe: decode"))
    elif how.startswith("no "):
        (folder / how.removeprefix("no ")).unlink()
    elif how == "r":
        pd.read_parquet(folder / "scores.parquet").drop(columns="r").to_parquet(folder / "scores.parquet")
    elif how == "short selection":
        write_selection(folder, 3).iloc[:7].to_parquet(folder / "selection.parquet")
    else:
        (folder / how).write_text("{[")


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("nothing", "there is no run .*one, nor one of that name in .*; give folders that 'encode' wrote"),
        ("no settings.yaml", r"holds no run \(no settings.yaml\); give folders"),
        ("decode", "is a run of 'decode'; a report compares runs of 'encode'"),
        ("no summary.json", "has not finished; run its 'fusiform encode' line again, which resumes it"),
        ("summary.json", "summary.json cannot be read .* again with --overwrite"),
        ("settings.yaml", "settings.yaml cannot be read .* again with --overwrite"),
        ("no scores.parquet", "scores.parquet cannot be read .* again with --overwrite"),
        ("scores.parquet", "scores.parquet cannot be read .* again with --overwrite"),
        ("r", "it has no column 'r'"),
        ("short selection", "300 targets in scores.parquet and 7 in selection.parquet"),
    ],
)
def test_what_is_no_finished_run_is_refused(tmp_path, how, said):
    broken(write(tmp_path / "one"), how)
    with pytest.raises(FusiformError, match=said) as caught:
        compare([tmp_path / "one"], out=tmp_path / "report")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "report").exists()


def test_a_run_counts_once_and_is_never_written_over(quick, tmp_path):
    with pytest.raises(SettingsError, match="was given twice"):
        compare([quick[0], quick[1], tmp_path / "better" / ".." / "worse"], out=tmp_path / "both")
    with pytest.raises(SettingsError, match="no run to report"):
        compare([], out=tmp_path / "both")
    for out in (quick[0], tmp_path):
        with pytest.raises(SettingsError, match="is or holds the run"):
            compare(quick, out=out, overwrite=True)
    assert all(Run(run).finished for run in quick)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").touch()
    with pytest.raises(SettingsError, match="not empty and holds no run"):
        compare(quick, out=tmp_path / "mine", overwrite=True)


def test_labels_tell_runs_apart(tmp_path):
    folders = [tmp_path / "x" / "a", tmp_path / "x" / "b", tmp_path / "y" / "b", tmp_path / "z"]
    for number, folder in enumerate(folders):
        folder.parent.mkdir(exist_ok=True)
        write(folder, backbone="hf:/models/tiny-vit" if number == 3 else "planted")
    labels = [one.label for one in read_networks(folders)]
    assert labels == ["planted (a)", f"planted ({folders[1]})", f"planted ({folders[2]})", "tiny-vit"]


# what is shown


def test_the_same_value_has_the_same_colour_in_every_network():
    low, high = (network(scored(VERTICES, r), name) for name, r in (("low", 0.2), ("high", 0.8)))
    figure = pictures([low, high])["r"].figure
    inside = flat_pixels("left")[0] >= 0
    seen = {ax.get_title(): np.asarray(ax.images[0].get_array()) for ax in figure.axes if ax.images}
    assert (seen["low, left"][inside] == colormaps["magma"](0.0)).all()
    assert (seen["high, left"][inside] == colormaps["magma"](1.0)).all()


def test_the_difference_is_symmetrical_around_no_difference():
    a, b = (network(scored(VERTICES, r), name) for name, r in (("a", 0.5), ("b", np.linspace(0.4, 0.9, 300))))
    figure = pictures([a, b])["difference"].figure
    low, high = figure.axes[-1].get_ylim()
    assert low == -high
    assert high == pytest.approx(0.4, abs=0.01)
    assert figure.axes[0].get_title() == "b less a, left"


def test_networks_of_different_depth_compare():
    shallow, deep = (
        network(scored(VERTICES, 0.5), name, pd.DataFrame({"layer": "x", "mean_layer": mean, **shares(count)}))
        for name, count, mean in (("shallow", 3, 1.0), ("deep", 9, 4.0))
    )
    assert set(shallow.depth) == set(deep.depth) == {0.5}
    chosen = network(scored(VERTICES, 0.5, layer=np.repeat(["a", "b", "c"], 100)))
    assert chosen.layers == ["a", "b", "c"]
    np.testing.assert_array_equal(chosen.depth, np.repeat([0.0, 0.5, 1.0], 100))
    assert depth_bins([shallow, deep]) == ["0%", "50%", "100%"]
    assert depth_bins([deep]) == ["0%", "20%", "40%", "60%", "80%", "100%"]


def shares(count):
    return {f"share:{number}": np.full(300, 1 / count) for number in range(count)}


def test_a_network_of_one_layer_has_no_depth():
    table = scored(VERTICES, 0.5).drop(columns=["r b", "r c"])
    alone, other = network(table, "alone"), network(scored(VERTICES, 0.6), "other")
    assert alone.depth is None
    assert list(depths([alone, other])) == ["other"]
    [section] = [one for one in comparison_sections([alone, other], []) if "depth" in one.title]
    assert "without depth: alone" in section.paragraphs[-1]
    assert "depth" not in pictures([alone])


def test_shares_of_depth_are_of_the_nearest_step():
    depth = np.array([0.0, 0.24, 0.26, 0.5, 0.74, 0.76, 1.0, 0.1])
    among = np.arange(8) < 7
    np.testing.assert_allclose(depth_shares(depth, among, 3), [2 / 7, 3 / 7, 2 / 7])
    assert np.isnan(depth_shares(depth, ~among & among, 3)).all()


def test_depths_are_told_by_region():
    regions = Space("fsaverage5", VERTICES.targets.assign(roi=np.repeat(["V1", "FFA", ""], 100)), "fsaverage5")
    one = network(scored(regions, 0.5, layer=np.repeat(["a", "c", "b"], 100)), "one")
    two = network(scored(regions, np.repeat([0.2, 0.4, 0.6], 100), layer="b"), "two")
    found = pictures([one, two])
    ax = found["depths_by_region"].figure.axes[0]
    names = ["V1: one", "V1: two", "FFA: one", "FFA: two", "none: one", "none: two"]
    assert [tick.get_text() for tick in ax.get_yticklabels()] == names
    first, middle, last = np.eye(3)
    np.testing.assert_allclose(ax.images[0].get_array(), [first, middle, last, middle, middle, middle])
    heights = [bar.get_height() for bar in found["regions"].figure.axes[0].patches]
    np.testing.assert_allclose(heights, [0.5, 0.5, 0.5, 0.2, 0.4, 0.6])


def test_what_selectors_read_is_shown_of_those_that_say_it():
    random = np.random.default_rng(0)
    read = pd.DataFrame({"layer": "x", "mean_layer": 1.0, **shares(3), "scale": random.uniform(size=300)})
    read[["center_x", "center_y"]] = random.uniform(-1, 1, (300, 2))
    found = pictures([network(scored(VERTICES, 0.5), "ridge"), network(scored(VERTICES, 0.6), "selector", read)])
    titles = [[ax.get_title() for ax in found[name].figure.axes if ax.images] for name in ("scale", "centre")]
    assert titles[0] == ["selector, left", "selector, right"] == titles[1][:2]
    assert titles[1][2] == "place in the picture"
    assert found["scale"].figure.axes[-1].get_ylim() == (0, 1)
    centre = read[["center_x", "center_y"]].to_numpy()
    vertex = VERTICES.targets["vertex"].to_numpy()[7]
    shown = np.asarray(found["centre"].figure.axes[0].images[0].get_array())[flat_pixels("left")[0] == vertex]
    assert len(shown)
    np.testing.assert_allclose(shown[:, :3] - retinotopy(*centre[7, :, None]).colours, 0, atol=1e-6)


def test_networks_stand_side_by_side_up_to_four():
    def places_of(count):
        names = [f"n{number}" for number in range(count)]
        figure = pictures([network(scored(VERTICES, 0.5), name) for name in names])["r"].figure
        return [ax.get_title() for ax in figure.axes if ax.images], figure.get_size_inches()

    titles, size = places_of(3)
    assert titles == ["n0, left", "n1, left", "n2, left", "n0, right", "n1, right", "n2, right"]
    assert size[0] > size[1]
    titles, size = places_of(5)
    assert titles[:3] == ["n0, left", "n0, right", "n1, left"]
    assert size[1] > size[0]


def test_only_reliable_targets_with_a_score_are_compared():
    ceiling = np.where(np.arange(300) < 100, 0.2, 0.9)
    r = np.where(np.arange(300) < 200, 0.5, np.nan)
    a, b = (network(scored(VERTICES, values, ceiling=ceiling), name) for name, values in (("a", r), ("b", 0.1)))
    [pair] = paired([a, b])
    assert (pair["targets"], pair["a_better"]) == (100, 1.0)
    assert pair["mean_difference"] == pytest.approx(0.4)
    nothing = network(scored(VERTICES, 0.5, ceiling=0.1), "c")
    [pair] = paired([nothing, nothing])
    assert pair["mean_difference"] is None
    assert comparison_sections([nothing, nothing], [pair])[-1].table["A better"].tolist() == [None]


def test_blocks_are_of_neighbours_and_make_intervals_honest():
    blocks = neighbourhoods(VERTICES)
    assert np.bincount(blocks).tolist() == pytest.approx([300 / 64] * 64, abs=1)
    places = VERTICES.coordinates()
    within = np.mean([places[blocks == block].std(0).mean() for block in range(64)])
    assert within < 0.25 * places.std(0).mean()
    smooth = places[:, 1] / 100  # differs from back to front: neighbours differ alike
    a, b = network(scored(VERTICES, smooth / 10), "a"), network(scored(VERTICES, 0.0), "b")
    [pair] = paired([a, b])
    alone = 2 * 1.96 * smooth.std() / 10 / np.sqrt(300)
    assert pair["high"] - pair["low"] > 1.5 * alone
    assert len(np.unique(neighbourhoods(NOWHERE))) == 300
    assert len(np.unique(neighbourhoods(VERTICES.select(np.arange(100))))) == 100


@pytest.mark.parametrize(
    ("space", "names"),
    [
        (VOXELS, {"r_0", "r_1", "depth_0", "depth_1", "depths", "scatter_0", "difference_0"}),
        (Space.numbered("mask", 100), {"distribution", "depths", "scatter_0"}),
        (Space.named("regions", ["V1", "V2"]), {"targets", "depths", "scatter_0"}),
    ],
    ids=["voxels", "mask", "regions"],
)
def test_every_space_has_its_figures(tmp_path, space, names):
    networks = read_networks([write(tmp_path / "a", space=space), write(tmp_path / "b", space=space, backbone="other")])
    found = pictures(networks)
    assert set(found) == names
    assert all(one.png for one in found.values())
    if space.grid is not None:
        limits = [found[f"r_{number}"].figure.axes[-1].get_ylim() for number in (0, 1)]
        assert limits[0] == limits[1]


@pytest.mark.parametrize(
    ("space", "ceiling"),
    [(NOWHERE, 0.1), (NOWHERE, None), (Space.named("one", ["V1"]), None)],
    ids=["none", "all", "one"],
)
def test_reports_of_no_reliable_target_of_all_and_of_one(tmp_path, space, ceiling):
    told = {"space": space, "ceiling": ceiling}
    runs = [write(tmp_path / "a", **told), write(tmp_path / "b", backbone="other", seed=1, **told)]
    summary = compare(runs, out=tmp_path / "both").summary
    assert summary["targets_compared"] == summary["pairs"][0]["targets"] == (0 if ceiling else space.size)
    assert ("depth_shares" in summary) == (ceiling is None)


def test_another_metric_is_shown_too(tmp_path):
    runs = [write(tmp_path / "a", metric="r2"), write(tmp_path / "b", metric="r2", backbone="other", seed=1)]
    made = compare(runs, out=tmp_path / "both")
    table = pd.read_parquet(made.folder / "comparison.parquet")
    assert table["r2 other"].tolist() == pd.read_parquet(runs[1] / "scores.parquet")["r2"].tolist()
    assert (made.folder / "figures" / "r2.png").is_file()


def test_headlines_have_a_dash_where_a_run_has_no_number(tmp_path):
    one, two = write(tmp_path / "one"), write(tmp_path / "two", backbone="other")
    summary = json.loads((two / "summary.json").read_text())
    summary["truth"] = {"layer_exact": 0.75}
    (two / "summary.json").write_text(json.dumps(summary))
    table = headlines(read_networks([one, two])).set_index("")
    assert table.loc["truth: layer exact", "other"] == 0.75
    assert np.isnan(table.loc["truth: layer exact", "planted"])
    assert table.loc["seconds", "planted"] == 3.5
    assert table.loc["control: shuffled r", "planted"] == 0.01
    assert not {"arguments of the backbone", "arguments of the model"} & set(table.index)  # they do not differ
    three = write(tmp_path / "three", backbone_args={"seed": 5}, layers=1)
    table = headlines(read_networks([one, three])).set_index("")
    assert table.loc["arguments of the backbone"].tolist() == [None, "seed=5"]
    assert "mean depth" in table.index
    assert "mean depth" not in headlines(read_networks([three]))[""].tolist()


@pytest.mark.parametrize("space", [VERTICES, VOXELS, Space.named("regions", ["V1", "V2"])], ids=lambda one: one.name)
def test_a_run_knows_where_its_targets_live(tmp_path, space):
    found = scores_of(pd.read_parquet(write(tmp_path / "run", space=space) / "scores.parquet"))
    assert (found.space.name, found.space.mesh) == (space.name, space.mesh)
    pd.testing.assert_frame_equal(found.space.targets, space.targets)
    assert (found.space.grid is None) == (space.grid is None)
    if space.grid is not None:
        assert found.space.grid.shape == space.grid.shape
        np.testing.assert_array_equal(found.space.grid.affine, space.grid.affine)


# through the recipe and the command line


@pytest.mark.slow
def test_real_runs_from_the_command_line(tmp_path, capsys):
    brain = {"dataset": "simulated", "dataset_args": {"pictures": 100, "vertices": 80, "subjects": 1, "layers": 2}}
    brain["dataset_args"]["patches"] = 8
    encode(**brain, backbone="pixels", backbone_args={"size": 8}, out=tmp_path / "pixels")
    net = {"backbone": "planted", "backbone_args": {"layers": 2}}
    tiny = {"epochs": 1, "width": 4, "batch_size": 16, "net_args": {"hidden": 8, "octaves": 2}}
    encode(**brain, **net, model="selector", model_args=tiny, device="cpu", out=tmp_path / "selector")
    capsys.readouterr()
    argv = ["report", str(tmp_path / "pixels"), str(tmp_path / "selector"), "--out", str(tmp_path / "both")]
    assert main([*argv, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["report"] == str(tmp_path / "both" / "report.html")
    assert list(told["runs"]) == ["pixels", "planted"]
    selector = told["runs"]["planted"]
    assert [one["features"] for one in told["runs"].values()] == FeatureStore(store_folder()).names()
    assert selector["features"].startswith("planted-")
    assert {"layer_exact", "scale_auc"} <= set(selector["truth"])
    assert set(told["depth_shares"]) == {"planted"}
    assert len(told["pairs"]) == 1
    assert main(argv) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"run: {tmp_path / 'both'}"
    assert any("mean_difference" in line for line in lines)
    assert (tmp_path / "both" / "figures" / "scale.png").is_file()


def test_mistakes_on_the_command_line_get_one_sentence(tmp_path, capsys):
    assert main(["report", str(tmp_path / "nowhere")]) == 2
    said = capsys.readouterr().err
    assert said.startswith("fusiform: there is no run")
    assert said.count("\n") == 1
    assert main(["report"]) == 2
    assert "--help" in capsys.readouterr().err
    with pytest.raises(LayoutError):
        main(["report", str(tmp_path / "nowhere"), "--debug"])
