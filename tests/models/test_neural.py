"""`NeuralEncoder` and what it shows: forms of input, edges, resuming, saving, a planted truth recovered."""

import json
import socket
import subprocess
import sys
import tracemalloc
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
import zarr
from sklearn.base import clone
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV

from fusiform.data import Features, Responses, Space
from fusiform.data.meshes import on_spheres, sphere_of
from fusiform.errors import DataError, LayoutError, SettingsError, UnknownNameError
from fusiform.models import encoding, measured, neural, subjects
from fusiform.models.neural import NeuralEncoder
from fusiform.models.selection import channel_clusters, channel_weights, selection
from fusiform.models.subjects import places_of
from fusiform.nets.selector import Selector, TokenShape
from fusiform.pairs import Pairs, pair

QUICK = {"width": 4, "epochs": 2, "batch_size": 8, "device": "cpu", "net_args": {"hidden": 8, "octaves": 2}}


def brain(n=30, v=12, seed=0):
    """Features of two layers and responses that follow one channel of the first."""
    random = np.random.default_rng(seed)
    X = {
        "low": random.standard_normal((n, 5, 4, 4), dtype=np.float32),
        "low/global": random.standard_normal((n, 5), dtype=np.float32),
        "high": random.standard_normal((n, 3, 3, 3), dtype=np.float32),
    }
    Y = X["low/global"][:, :1] + 0.5 * random.standard_normal((n, v)) * np.arange(1, v + 1) + 40
    return X, Y, random.standard_normal((v, 3)) * 30


def encoder(places, **arguments):
    return NeuralEncoder(coordinates=places, **{**QUICK, **arguments})


def same(first, second):
    return all(
        torch.equal(x, y)
        for x, y in zip(first.net_.state_dict().values(), second.net_.state_dict().values(), strict=True)
    )


def test_learns_and_predicts_in_the_units_of_the_responses():
    X, Y, places = brain(200)
    model = encoder(places, epochs=12, learning_rate=0.02).fit(X, Y)
    pred = model.predict(X)
    assert pred.shape == Y.shape
    assert pred.dtype == np.float32
    assert abs(pred.mean() - 40) < 0.5
    assert np.corrcoef(pred[:, 0], Y[:, 0])[0, 1] > 0.7
    assert model.score(X, Y) > 0.05
    assert model.history_.steps == 12 * 25


def test_the_same_seed_gives_the_same_bits():
    X, Y, places = brain()
    first, second, other = (encoder(places, seed=seed).fit(X, Y) for seed in (0, 0, 1))
    assert same(first, second)
    np.testing.assert_array_equal(first.predict(X), second.predict(X))
    assert not same(first, other)


def test_random_numbers_of_gpus_are_left_alone(monkeypatch):
    X, Y, places = brain()
    seeded = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeded.append)
    before = torch.random.get_rng_state()
    encoder(places).fit(X, Y)
    assert seeded == []
    assert torch.equal(torch.random.get_rng_state(), before)


def test_predictions_do_not_depend_on_who_else_is_predicted(monkeypatch):
    X, Y, places = brain()
    model = encoder(places).fit(X, Y)
    whole = model.predict(X)
    monkeypatch.setattr(neural, "TOGETHER", 7)
    np.testing.assert_allclose(model.predict(X), whole, rtol=1e-5)
    np.testing.assert_allclose(model.predict({name: x[11:12] for name, x in X.items()}), whole[11:12], rtol=1e-5)
    assert model.predict({name: x[:0] for name, x in X.items()}).shape == (0, 12)


def test_features_on_disk_of_any_type_give_the_same(tmp_path):
    X, Y, places = brain()
    X = {name: x.astype(np.float16) for name, x in X.items()}
    stored = {}
    for name, x in X.items():
        stored[name] = zarr.create_array(str(tmp_path / name.replace("/", ".")), data=x, chunks=(4, *x.shape[1:]))
    kept = zarr.create_array(str(tmp_path / "Y"), data=Y, chunks=(7, 5))
    reference = encoder(places).fit(X, Y)
    assert same(encoder(places).fit(stored, kept), reference)
    assert same(encoder(places).fit({name: x.astype(np.float64) for name, x in X.items()}, Y), reference)
    np.testing.assert_array_equal(reference.predict(stored), reference.predict(X))


def test_nothing_handed_in_is_changed():
    X, Y, places = brain()
    Y[3, 2] = np.nan
    before = {name: x.copy() for name, x in X.items()}, Y.copy(), places.copy()
    encoder(places).fit(X, Y).predict(X)
    for name, x in X.items():
        np.testing.assert_array_equal(x, before[0][name])
    np.testing.assert_array_equal(Y, before[1])
    np.testing.assert_array_equal(places, before[2])


def test_what_was_not_measured_teaches_nothing():
    """A target with NaN is trained as if those samples did not have it: their other values may be anything."""
    X, Y, places = brain()
    Y[5:9, 2] = np.nan
    with_nan = encoder(places).fit(X, Y)
    assert np.isfinite(with_nan.predict(X)).all()
    assert with_nan.units_[0].mean[2].item() == pytest.approx(np.nanmean(Y[:, 2]))
    assert with_nan.units_[0].deviation[2].item() == pytest.approx(np.nanstd(Y[:, 2]))
    zeros = encoder(places).fit(X, np.where(np.isnan(Y), 0, Y))
    assert not same(with_nan, zeros)


def test_a_target_that_was_never_measured_is_said_and_predicted_as_nan():
    X, Y, places = brain()
    clean = encoder(places).fit(X, Y)
    Y[:, 4] = np.nan
    with pytest.warns(UserWarning, match="1 targets hold nothing but NaN"):
        model = encoder(places).fit(X, Y)
    pred = model.predict(X)
    assert np.isnan(pred[:, 4]).all()
    assert np.isfinite(np.delete(pred, 4, axis=1)).all()
    assert np.isfinite(clean.predict(X)).all()


def test_a_constant_target_is_predicted_as_its_constant():
    X, Y, places = brain()
    Y[:, 3] = np.float32(0.1) * 7
    pred = encoder(places).fit(X, Y).predict(X)
    np.testing.assert_allclose(pred[:, 3], 0.7, rtol=1e-5)


def test_one_sample_one_target_one_layer_and_a_ragged_batch():
    X, Y, places = brain(n=9, v=1)
    assert encoder(places).fit(X, Y).predict(X).shape == (9, 1)
    assert encoder(places).fit(X, Y[:, 0]).predict(X).shape == (9,)
    single = encoder(places).fit({name: x[:1] for name, x in X.items()}, Y[:1])
    np.testing.assert_allclose(single.predict({name: x[:1] for name, x in X.items()}), Y[:1], rtol=1e-5)
    alone = encoder(places).fit(X["low"], Y)
    assert selection(alone)["confidence"].tolist() == [1]
    assert encoder(places).fit({"vector": X["low/global"]}, Y).predict({"vector": X["low/global"]}).shape == (9, 1)


def test_validation_rows_are_not_learned_from_and_choose_the_epoch():
    X, Y, places = brain(60)
    held = np.arange(40, 60)
    changed = Y.copy()
    changed[held] = np.random.default_rng(1).standard_normal((20, 12)) * 100
    mask = np.isin(np.arange(60), held)
    first = encoder(places, epochs=3).fit(X, Y, validation=held)
    assert {"validation"} < set(first.history_.epochs[0])
    assert same(first, encoder(places, epochs=3).fit(X, Y, validation=mask))
    train = {name: x[:40] for name, x in X.items()}, Y[:40]
    apart = encoder(places, epochs=3).fit(*train, validation=({name: x[40:] for name, x in X.items()}, Y[40:]))
    assert same(first, apart)
    one = encoder(places, epochs=1).fit(X, Y, validation=held)
    assert same(one, encoder(places, epochs=1).fit(X, changed, validation=held))
    best = first.history_.epochs[first.history_.best]["validation"]
    assert best == min(epoch["validation"] for epoch in first.history_.epochs)


def test_patience_ends_the_training():
    X, Y, places = brain(60)
    noise = np.random.default_rng(1).standard_normal(Y.shape)
    model = encoder(places, epochs=40, patience=2, learning_rate=0.05).fit(X, noise, validation=np.arange(30))
    assert len(model.history_.epochs) < 40
    assert len(model.history_.epochs) - 1 - model.history_.best == 2


def pairs_of(n=40, v=10, seed=0, subject="s1"):
    X, Y, places = brain(n, v, seed)
    stimuli = [f"picture{number}" for number in range(n)]
    features = Features(pd.DataFrame({"stimulus": stimuli}), X)
    split = np.array([*["train"] * 6, "val", "test"])[np.arange(n) % 8]
    space = Space("somewhere", pd.DataFrame(places, columns=list("xyz")))
    return pair(features, Responses(Y, pd.DataFrame({"stimulus": stimuli, "split": split, "subject": subject}), space))


def test_pairs_bring_coordinates_and_their_split():
    pairs = pairs_of()
    X, Y, places = brain(40, 10)
    split = pairs.samples["split"].to_numpy()
    model = NeuralEncoder(**QUICK).fit(pairs)
    rest = split != "test"
    plain = encoder(places).fit({name: x[rest] for name, x in X.items()}, Y[rest], validation=split[rest] == "val")
    np.testing.assert_allclose(model.predict(pairs), plain.predict(X), rtol=1e-4)
    np.testing.assert_allclose(model.predict(pairs), model.predict(pairs.features), rtol=0)
    assert isinstance(pairs, Pairs)


def with_responses(pairs, split, value):
    """The same with other responses to one split."""
    rows = (pairs.samples["split"] == split).to_numpy()
    return replace(pairs, responses=np.where(rows[:, None], value, pairs.responses))


@pytest.mark.parametrize("deciding", ["val", "train"])
def test_of_pairs_for_validation_the_test_split_decides_nothing(deciding):
    """`val` decides where there is one, and else all samples but those of `test`."""
    pairs, other = pairs_of(), pairs_of(seed=1)
    other = replace(other, samples=other.samples.replace({"split": {"val": deciding}}))

    def history(validation):
        return NeuralEncoder(**QUICK).fit(pairs, validation=validation).history_

    usual = history(other)
    assert history(with_responses(other, "test", 1e4)) == usual
    assert history((other, other.responses)) == usual
    assert history(with_responses(other, deciding, 1e4)) != usual
    if deciding == "val":
        assert history(with_responses(other, "train", 1e4)) == usual


def test_the_test_split_cannot_be_given_for_validation():
    pairs = pairs_of()
    model, tested = NeuralEncoder(**QUICK), (pairs.samples["split"] == "test").to_numpy()
    for validation in (tested, np.flatnonzero(tested)[:1], np.arange(20)):
        with pytest.raises(DataError, match="samples of validation are of the split 'test'"):
            model.fit(pairs, validation=validation)
    with pytest.raises(DataError, match="5 samples of validation are of the split 'test'"):
        model.fit(pairs, validation=pairs.split("test"))


def test_pairs_that_validate_themselves_do_so_on_their_own_split():
    pairs = pairs_of()
    assert same(NeuralEncoder(**QUICK).fit(pairs, validation=pairs), NeuralEncoder(**QUICK).fit(pairs))


class Noted(np.ndarray):
    """An array that notes how many rows are read at once."""

    reads: list = []  # noqa: RUF012 (one list for all)

    def __getitem__(self, rows):
        Noted.reads.append(len(rows))
        return np.asarray(super().__getitem__(rows))


def problem_of(monkeypatch, X, Y, places, **arguments):
    """What would be trained."""
    problems = []
    with monkeypatch.context() as patch:
        patch.setattr(neural, "fit", lambda problem, *_, **__: problems.append(problem))
        encoder(places, **arguments).fit(X, Y)
    return problems[0]


def test_a_step_reads_every_layer_once(monkeypatch):
    X, Y, places = brain()
    problem = problem_of(monkeypatch, {name: x.view(Noted) for name, x in X.items()}, Y, places)
    Noted.reads.clear()
    problem.read((0, np.arange(8)))
    assert Noted.reads == [8, 8, 8]


def test_a_gpu_copies_batches_by_itself(monkeypatch):
    """From memory that stays in its place, in which the reading threads leave them."""
    X, Y, places = brain()
    problem, pinned = problem_of(monkeypatch, X, Y, places), []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda x: pinned.append(tuple(x.shape)) or x)
    problem.read((0, np.arange(8)))
    assert pinned == []
    monkeypatch.setattr(encoding.Encoding, "_device", torch.device("cuda"))
    problem.read((0, np.arange(8)))
    assert sorted(pinned) == [(8, 3, 3, 3), (8, 5), (8, 5, 4, 4), (8, 12)]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_learns_the_same():
    X, Y, places = brain(60)
    settings = {"precision": "float32", "epochs": 3}
    here, there = (
        encoder(places, device=device, **settings).fit(X, Y, validation=np.arange(20)) for device in ("cpu", "cuda")
    )
    np.testing.assert_allclose(there.predict(X), here.predict(X), atol=0.02 * Y.std())
    assert np.isfinite(encoder(places, device="cuda").fit(X, Y).predict(X)).all()


def test_nothing_that_targets_read_is_kept_for_the_backward_pass():
    """The plain formula keeps what every target samples of every layer, [N, B, D] each."""
    targets, batch, width = 1500, 16, 64
    torch.manual_seed(0)
    shapes = {name: TokenShape(5, (8, 8), 5) for name in "abcd"}
    net = Selector(shapes, [torch.randn(targets, 3)], width=width, hidden=16, octaves=3)
    torch.nn.init.normal_(net.targets[0].place[-1].weight, std=3)  # they look all over the picture
    local = {name: torch.randn(batch, 5, 8, 8) for name in shapes}
    kept = {}

    def note(tensor):
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        pred, _ = net(local, {name: x.mean((2, 3)) for name, x in local.items()})
    pred.sum().backward()
    assert 4 * targets * width < sum(kept.values()) < 2 * 4 * targets * batch * width  # the plain formula: 7.5 of them


def test_the_loss_is_a_mean_and_leaves_its_batch_alone(monkeypatch):
    X, Y, places = brain()
    Y[1, 2] = np.nan
    problem = problem_of(monkeypatch, X, Y, places, penalty=0.0)
    once, twice = (problem.read((0, rows)) for rows in (np.arange(8), np.tile(np.arange(8), 2)))
    before = deepcopy(once)
    with torch.no_grad():
        found, doubled = (float(problem.loss(data, 0)) for data in (once, twice))
        pred, _ = problem.net(*once[1])
    assert found == pytest.approx(float((pred - once[2]).square().nanmean()), rel=1e-5)
    assert doubled == pytest.approx(found, rel=1e-5)
    torch.testing.assert_close(once, before, rtol=0, atol=0, equal_nan=True)


def test_responses_on_disk_are_read_a_batch_at_a_time(tmp_path, monkeypatch):
    """Doubles on disk, of which memory never holds more than a block."""
    for module in (measured, subjects):
        monkeypatch.setattr(module, "READ", 1 << 14)
    random = np.random.default_rng(0)
    X, places = {"vector": random.standard_normal((400, 4), dtype=np.float32)}, random.standard_normal((2000, 3))
    np.save(tmp_path / "Y.npy", random.standard_normal((400, 2000)))
    Y = np.load(tmp_path / "Y.npy", mmap_mode="r")
    model = encoder(places, epochs=1, batch_size=16).fit(X, Y)  # imports
    tracemalloc.start()
    model.fit(X, Y)
    held = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert held < Y.nbytes / 4


def test_importing_it_imports_neither_plots_nor_networks():
    code = "import sys, fusiform.models.neural; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"cortex", "matplotlib", "nilearn", "transformers", "timm", "open_clip"} & set(done.stdout.split())


def test_no_server_is_asked(tmp_path, monkeypatch):
    def refused(*_, **__):
        raise AssertionError("asked a server")

    for owner, name in ((socket, "getaddrinfo"), (socket, "create_connection"), (socket.socket, "connect")):
        monkeypatch.setattr(owner, name, refused)
    pairs = pairs_of()
    model = NeuralEncoder(**QUICK).fit(pairs)
    model.save(tmp_path / "model")
    np.testing.assert_array_equal(NeuralEncoder.load(tmp_path / "model").predict(pairs), model.predict(pairs))
    assert len(selection(model)) == 10
    sphere_of.cache_clear()
    assert list(on_spheres("fsaverage6", ["left", "right"], [7, 40_000])) == ["x", "y", "z"]


def test_layers_count_from_the_first_and_beyond_ten(tmp_path):
    """As text, '10' comes before '2'."""
    random = np.random.default_rng(0)
    X = {str(number): random.standard_normal((16, 3, 2, 2), dtype=np.float32) for number in range(12)}
    model = encoder(random.standard_normal((5, 3))).fit(X, random.standard_normal((16, 5)))
    model.save(tmp_path / "model")
    for one in (model, NeuralEncoder.load(tmp_path / "model", device="cpu")):
        table = selection(one)
        assert [column for column in table if column.startswith("share:")] == [f"share:{layer}" for layer in X]
        shares = table[[f"share:{layer}" for layer in X]].to_numpy()
        np.testing.assert_allclose(table["mean_layer"], shares @ np.arange(12), rtol=1e-6)
        np.testing.assert_array_equal(one.predict(dict(reversed(X.items()))), model.predict(X))


def test_hemispheres_on_one_sphere_are_laid_side_by_side():
    sphere = np.random.default_rng(0).standard_normal((50, 3))
    sphere *= 100 / np.linalg.norm(sphere, axis=1, keepdims=True)

    def placed(right_from):
        both = np.concatenate([sphere, sphere + np.array([right_from, 0, 0])])
        sides = np.repeat(["left", "right"], 50)
        return both, places_of(Space("s", pd.DataFrame(both, columns=list("xyz")).assign(hemisphere=sides)))

    given, found = placed(0)
    np.testing.assert_array_equal(found[:50], given[:50])
    np.testing.assert_allclose(np.diff(found[50:] - given[50:], axis=0), 0, atol=1e-12)
    assert 15 < found[50:, 0].min() - found[:50, 0].max() < 25
    for apart in (150, 240):  # a brain's halves, which touch; spheres that were laid apart before
        given, found = placed(apart)
        np.testing.assert_array_equal(found, given)
    np.testing.assert_array_equal(places_of(Space("s", pd.DataFrame(sphere, columns=list("xyz")))), sphere)


def test_several_subjects_share_the_trunk_and_are_predicted_by_name():
    both = {"s1": pairs_of(), "s2": pairs_of(24, 7, seed=1, subject="s2")}
    model = NeuralEncoder(**QUICK).fit(both)
    pred = model.predict(both)
    assert {name: one.shape for name, one in pred.items()} == {"s1": (40, 10), "s2": (24, 7)}
    np.testing.assert_array_equal(model.predict({"s2": both["s2"]})["s2"], pred["s2"])
    assert len(model.net_.bottlenecks) == 2
    assert [len(selection(model, name)) for name in ("s1", "s2")] == [10, 7]
    assert model.history_.steps == 2 * (4 + 3)
    with pytest.raises(DataError, match="there are: s1, s2"):
        selection(model)
    with pytest.raises(DataError, match="s1, s2"):
        model.predict(both["s1"])
    both["s2"].features.pop("high")
    with pytest.raises(DataError, match="'high'"):
        NeuralEncoder(**QUICK).fit(both)


def test_the_name_of_the_only_subject_may_be_left_out():
    pairs = pairs_of()
    model = NeuralEncoder(**QUICK).fit({"s1": pairs})
    named = model.predict({"s1": pairs})["s1"]
    np.testing.assert_array_equal(model.predict(pairs), named)
    np.testing.assert_array_equal(model.predict(dict(pairs.features)), named)
    with pytest.raises(DataError, match="s1"):
        model.predict({"s2": pairs})


def test_the_name_of_a_single_subject_may_be_left_out():
    pairs = pairs_of()
    model = NeuralEncoder(**QUICK).fit({"s1": pairs})
    np.testing.assert_array_equal(model.predict(pairs), model.predict({"s1": pairs})["s1"])
    np.testing.assert_array_equal(model.predict(pairs.features), model.predict(pairs))
    with pytest.raises(DataError, match="s1"):
        model.predict({"s2": pairs})


def test_score_is_the_mean_r2_of_what_was_measured():
    X, Y, places = brain(40, 6)
    model = encoder(places, epochs=6, learning_rate=0.02).fit(X, Y)
    pred = model.predict(X)
    assert model.score(X, Y) == pytest.approx(r2_score(Y, pred))
    gaps = Y.copy()
    gaps[3:9, 1], gaps[:, 4] = np.nan, np.nan  # some samples of one target, all of another
    rows = np.delete(np.arange(40), np.arange(3, 9))
    parts = [r2_score(Y[:, [0, 2, 3, 5]], pred[:, [0, 2, 3, 5]])] * 4 + [r2_score(Y[rows, 1], pred[rows, 1])]
    assert model.score(X, gaps) == pytest.approx(np.mean(parts))
    with pytest.warns(UserWarning, match="nothing but NaN"):
        never = encoder(places).fit(X, gaps)
    assert never.score(X, Y) == pytest.approx(r2_score(np.delete(Y, 4, 1), np.delete(never.predict(X), 4, 1)))
    single = encoder(places[:1]).fit(X, Y[:, 0])
    assert single.score(X, Y[:, 0]) == pytest.approx(r2_score(Y[:, 0], single.predict(X)))
    Y[2, 3] = np.nan
    search = GridSearchCV(encoder(places), {"width": [2, 3]}, cv=2).fit(X["low/global"], Y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_score_of_several_subjects_is_over_all_of_their_targets():
    both = {"s1": pairs_of(), "s2": pairs_of(24, 7, seed=1, subject="s2")}
    model = NeuralEncoder(**QUICK).fit(both)
    pred = model.predict(both)
    parts = [r2_score(both[name].responses, pred[name], multioutput="raw_values") for name in both]
    assert model.score(both) == pytest.approx(np.concatenate(parts).mean())
    with pytest.raises(DataError, match="leave it out"):
        model.score(both, both["s1"].responses)


def test_a_score_that_cannot_be_is_refused_in_words():
    X, Y, places = brain()
    model = encoder(places).fit(X, Y)
    for responses, message in ((None, "score needs responses"), (Y[:, :3], "wanted"), (Y * np.nan, "no target was")):
        with pytest.raises(DataError, match=message):
            model.score(X, responses)


def test_saved_and_loaded_it_is_the_same(tmp_path):
    both = {"s1": pairs_of(), "s2": pairs_of(24, 7, seed=1, subject="s2")}
    model = NeuralEncoder(**QUICK).fit(both)
    model.save(tmp_path / "model")
    again = NeuralEncoder.load(tmp_path / "model")
    assert same(model, again)
    for name, pred in model.predict(both).items():
        np.testing.assert_array_equal(again.predict(both)[name], pred)
    pd.testing.assert_frame_equal(selection(again, "s2"), selection(model, "s2"))
    assert again.history_ == model.history_
    assert again.get_params()["width"] == 4
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == ["model.json", "model.safetensors"]
    with pytest.raises(SettingsError, match="not empty"):
        model.save(tmp_path / "model")
    with pytest.raises(LayoutError, match=r"model\.json is missing"):
        NeuralEncoder.load(tmp_path)
    (tmp_path / "model" / "model.safetensors").write_bytes(b"{}")
    with pytest.raises(LayoutError, match="cannot be read"):
        NeuralEncoder.load(tmp_path / "model")


def test_a_network_that_was_trained_elsewhere_is_loaded_here(tmp_path):
    X, Y, places = brain()
    model = encoder(places).fit(X, Y)
    model.save(tmp_path / "model")
    file = tmp_path / "model" / "model.json"
    state = json.loads(file.read_text())
    file.write_text(json.dumps({**state, "settings": {**state["settings"], "device": "cuda:7"}}))
    again = NeuralEncoder.load(tmp_path / "model", device="cpu")
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    assert again.get_params()["device"] == "cpu"


def test_interrupted_it_goes_on_and_another_fit_is_refused(tmp_path, monkeypatch):
    X, Y, places = brain()
    whole = encoder(places).fit(X, Y)
    loss, seen = neural.Encoding.loss, []

    def dying(self, data, step):
        seen.append(step)
        if step == 5:
            raise KeyboardInterrupt
        return loss(self, data, step)

    arguments = {"folder": tmp_path / "fit", "save_steps": 1}
    with monkeypatch.context() as patch:
        patch.setattr(neural.Encoding, "loss", dying)
        with pytest.raises(KeyboardInterrupt):
            encoder(places, **arguments).fit(X, Y)
    assert max(seen) == 5
    assert same(encoder(places, **arguments).fit(X, Y), whole)
    with pytest.raises(SettingsError, match="differs in width"):
        encoder(places, **arguments, width=5).fit(X, Y)
    Y[0, 0] += 1
    with pytest.raises(SettingsError, match="differs in data"):
        encoder(places, **arguments).fit(X, Y)


def test_it_does_not_go_on_in_another_precision(tmp_path):
    """`auto` is bfloat16 on a GPU and float32 on a CPU: begun there, it does not go on here."""
    X, Y, places = brain()
    encoder(places, precision="auto", folder=tmp_path / "whole").fit(X, Y)
    encoder(places, precision="float32", folder=tmp_path / "whole").fit(X, Y)
    encoder(places, precision="bfloat16", folder=tmp_path / "half").fit(X, Y)
    with pytest.raises(SettingsError, match=r"differs in precision \(there 'bfloat16', now 'float32'\)"):
        encoder(places, precision="auto", folder=tmp_path / "half").fit(X, Y)


@pytest.mark.parametrize(
    "other",
    [{"loss": "smooth_l1"}, {"penalty": 5.0}, {"decay_steps": 1}, {"width": 5}, {"ema": 0.9},
     {"net_args": {"hidden": 9, "octaves": 2}}, {"precision": "bfloat16"}, {"weight_decay": 0.5}, {"clip": 1e-4},
     {"learning_rate": 0.1}, {"schedule": "constant"}, {"warmup": 0.5}, {"batch_size": 5}],
)  # fmt: skip
def test_every_setting_does_something(other):
    X, Y, places = brain()
    usual, changed = encoder(places).fit(X, Y), encoder(places, **other).fit(X, Y)
    assert not np.allclose(usual.predict(X), changed.predict(X), rtol=1e-6)


def test_penalty_decays_over_its_steps(monkeypatch):
    X, Y, places = brain()
    problems = []

    class Watched(neural.Encoding):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            problems.append(self)

    monkeypatch.setattr(neural, "Encoding", Watched)
    for steps in (None, 2000):
        encoder(places, decay_steps=steps).fit(X, Y)
    assert [problem.decay_steps for problem in problems] == [3, 2000]  # 40 % of 2 epochs of 4 steps
    data = problems[0].read((0, np.arange(8)))
    with torch.no_grad():
        _, penalty = problems[0].net(*data[1])
        first, later = (float(problems[0].loss(data, step)) for step in (0, 3))
    assert first - later == pytest.approx(0.1 * float(penalty), rel=1e-3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda X, Y: ({}, Y), "no layers"),
        (lambda X, Y: (X, Y[:-1]), "30 rows and Y has 29"),
        (lambda X, Y: ({**X, "low": X["low"][1:]}, Y), "differ in their rows"),
        (lambda X, Y: ({**X, "odd": np.zeros(30)}, Y), r"'odd' has the shape \(30,\)"),
        (lambda X, Y: ({**X, "low/global": X["low"]}, Y), "as it is global"),
        (lambda X, Y: ({**X, "film": np.zeros((30, 2, 3, 4, 4))}, Y), "as many axes"),
        (lambda X, Y: (X, Y[:, :, None]), r"wanted numbers \[N samples, V targets\]"),
        (lambda X, Y: (X, Y.astype(str)), "wanted numbers"),
        (lambda X, Y: (X, np.full_like(Y, np.nan)), "NaN in every target"),
        (lambda X, Y: (X, np.where(Y > 45, np.inf, Y)), "infinite"),
        (lambda X, Y: (X, None), "fit needs responses"),
        (lambda X, Y: (X, Y[:, :5]), r"wanted \[5, 3\]"),
        (lambda X, Y: ({**X, "low": np.full_like(X["low"], np.nan)}, Y), "NaN or infinite"),
    ],
)
def test_bad_input_is_refused_in_words(change, message):
    X, Y, places = brain()
    with pytest.raises((DataError, SettingsError), match=message):
        encoder(places).fit(*change(X, Y))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"net": "selectr"}, "did you mean 'selector'"),
        ({"loss": "l2"}, "mse, smooth_l1"),
        ({"penalty": -1}, "penalty is -1"),
        ({"decay_steps": 0}, "decay_steps"),
        ({"net_args": {"depth": 3}}, "depth"),
        ({"epochs": 0}, "epochs is 0"),
        ({"device": "toaster"}, "toaster"),
        ({"coordinates": None}, "no coordinates"),
    ],
)
def test_settings_that_cannot_be_are_named(arguments, message):
    X, Y, places = brain()
    with pytest.raises((SettingsError, UnknownNameError), match=message):
        NeuralEncoder(**{**QUICK, "coordinates": places, **arguments}).fit(X, Y)


def test_validation_that_cannot_be_is_named():
    X, Y, places = brain()
    with pytest.raises(SettingsError, match="positions, a mask"):
        encoder(places).fit(X, Y, validation=np.array([40]))
    with pytest.raises(DataError, match="left to learn from"):
        encoder(places).fit(X, Y, validation=np.arange(30))
    with pytest.raises(DataError, match="'Y' of validation"):
        encoder(places).fit(X, Y, validation=(X, Y[:, :3]))


def test_features_of_another_shape_are_not_predicted():
    X, Y, places = brain()
    model = encoder(places).fit(X, Y)
    with pytest.raises(DataError, match=r"'low': got 5 channels on the grid \(2, 4\) and 5 global ones; wanted"):
        model.predict({**X, "low": X["low"][:, :, :2]})
    with pytest.raises(DataError, match="none of that name"):
        model.predict({"low": X["low"], "low/global": X["low/global"]})


def test_it_is_cloned_with_all_its_settings():
    model = encoder(np.zeros((2, 3)), penalty=0.3, folder="x")
    again = clone(model)
    assert {k: v for k, v in again.get_params().items() if k != "coordinates"} == {
        k: v for k, v in model.get_params().items() if k != "coordinates"
    }


def test_selection_is_a_table_that_adds_up():
    X, Y, places = brain()
    model = encoder(places).fit(X, Y)
    choice = model.net_.choose()
    table = selection(model)
    shares = table[["share:low", "share:high"]].to_numpy()
    np.testing.assert_allclose(shares.sum(1), 1, rtol=1e-6)
    np.testing.assert_allclose(table["mean_layer"], shares[:, 1])
    np.testing.assert_allclose(table["confidence"], 1 + (shares * np.log2(shares)).sum(1), atol=1e-6)
    assert (table["layer"] == np.array(["low", "high"])[shares.argmax(1)]).all()
    np.testing.assert_allclose(table[["center_x", "center_y"]], choice.place.detach())
    np.testing.assert_allclose(table["scale"], choice.scale.detach())
    assert channel_weights(model).shape == (12, 4)


def test_clusters_follow_directions_and_always_end():
    X, Y, places = brain(v=60)
    model = encoder(places).fit(X, Y)
    random = np.random.default_rng(0)
    directions = np.repeat(np.eye(4)[[0, 1, 2]], [30, 20, 10], axis=0) + 0.05 * random.standard_normal((60, 4))
    with torch.no_grad():
        model.net_.targets[0].weight.copy_(torch.from_numpy(directions * random.uniform(1, 9, (60, 1))))
    table = channel_clusters(model, 3)
    assert table["cluster"].tolist() == [0] * 30 + [1] * 20 + [2] * 10
    assert table["similarity"].min() > 0.95
    assert channel_clusters(model, 60)["cluster"].nunique() == 60
    assert channel_clusters(model, 1)["cluster"].nunique() == 1
    with torch.no_grad():
        model.net_.targets[0].weight.fill_(1.0)  # all the same
    assert channel_clusters(model, 20)["cluster"].tolist() == [0] * 60
    with torch.no_grad():
        model.net_.targets[0].weight.zero_()
    assert channel_clusters(model, 20)["similarity"].tolist() == [0] * 60
    for wrong in (0, 2.5):
        with pytest.raises(SettingsError, match="count is"):
            channel_clusters(model, wrong)


def test_clusters_never_compare_all_targets_with_all(monkeypatch):
    monkeypatch.setattr("fusiform.models.selection.FINE", 50)
    X, Y, places = brain(n=8, v=6000)
    model = encoder(places, epochs=1).fit(X, Y)
    channel_clusters(model, 5)  # imports
    tracemalloc.start()
    found = channel_clusters(model, 5)["cluster"].nunique()
    held = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found == 5
    assert held < 4 * 6000**2 / 10  # a tenth of a float32 for each pair


def test_saved_settings_are_plain_json(tmp_path):
    X, Y, places = brain()
    encoder(places).fit(X, Y).save(tmp_path / "model")
    state = json.loads((tmp_path / "model" / "model.json").read_text())
    assert state["settings"]["learning_rate"] == 1e-2
    assert state["layers"]["low"] == [5, [4, 4], 5]


@pytest.fixture(scope="module")
def planted():
    """Tokens of the planted network and a brain that reads them."""
    from fusiform.datasets.simulated import Simulated
    from fusiform.features.baselines.image import Planted

    data = Simulated(pictures=600, vertices=400, subjects=1, repeats=1, ncsnr=1.0, layers=3, patches=18)
    stimuli, backbone = data.stimuli("images"), Planted(layers=3)
    pictures = torch.stack([backbone.preprocess(stimuli.load(id)) for id in stimuli.ids])
    with torch.inference_mode():
        local, global_ = backbone.get_tokens(pictures)
    X = {name: x.numpy() for name, x in local.items()} | {f"{name}/global": x.numpy() for name, x in global_.items()}
    responses = data.responses("sim01", part="images")
    return X, responses, data.truth("images", subject="sim01")


PLANTED = {"width": 16, "epochs": 14, "batch_size": 32, "device": "cpu", "learning_rate": 0.02}


def rows_of(X, rows):
    return {name: x[rows] for name, x in X.items()}


def recovered(X, responses, truth, places):
    split = responses.samples["split"].to_numpy()
    train, test = np.flatnonzero(split != "test"), np.flatnonzero(split == "test")
    held = np.flatnonzero(split[train] == "val")
    model = NeuralEncoder(coordinates=places, **PLANTED).fit(
        rows_of(X, train), responses.values[train], validation=held
    )
    pred, true = model.predict(rows_of(X, test)), responses.values[test]
    r = (pred - pred.mean(0)).T / pred.std(0)[:, None] @ ((true - true.mean(0)) / true.std(0)) / len(test)
    table, local = selection(model), truth["scale"].to_numpy() < 0.5
    return {
        "layer": float((table["layer"] == truth["layer"]).mean()),
        "x": float(np.corrcoef(table["center_x"][local], truth["x"][local])[0, 1]),
        "y": float(np.corrcoef(table["center_y"][local], truth["y"][local])[0, 1]),
        "scale": float((table["scale"].to_numpy()[~local][:, None] > table["scale"].to_numpy()[local]).mean()),
        "ratio": float(np.diag(r).mean() / np.sqrt(truth["noise_ceiling"]).mean()),
    }


@pytest.mark.slow
def test_what_was_planted_is_recovered_and_is_not_with_shuffled_coordinates(planted):
    X, responses, truth = planted
    places = responses.space.coordinates()
    found = recovered(X, responses, truth, places)
    assert found["layer"] > 0.95
    assert found["x"] > 0.9
    assert found["y"] > 0.9
    assert found["scale"] > 0.75
    assert found["ratio"] > 0.85
    shuffled = recovered(X, responses, truth, np.random.default_rng(0).permutation(places))
    assert shuffled["layer"] < 0.75  # of three; 400 vertices are few enough to learn some by heart
    assert abs(shuffled["x"]) < 0.5
    assert abs(shuffled["y"]) < 0.5
    assert shuffled["ratio"] < found["ratio"] - 0.05
