"""The doctor: each tier well and unwell, as lines, as JSON and by its exit code."""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fusiform.cli import main
from fusiform.data import Responses, Space
from fusiform.datasets import load_dataset
from fusiform.datasets.contract import Finding
from fusiform.datasets.fetch import check_files
from fusiform.datasets.folder import Folder
from fusiform.errors import SettingsError, UnknownNameError
from fusiform.recipes.doctor import data, doctor, environment
from fusiform.recipes.doctor.environment import extras

sys.path.insert(0, str(Path(__file__).parents[1] / "datasets"))
from layouts import algonauts2023, fmriprep, folder

SMALL = {"pictures": 60, "vertices": 40, "subjects": 1, "runs": 8, "trs": 60, "parcels": 6}


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    folder.write(tmp_path / "mine")
    return tmp_path / "mine"


@pytest.fixture
def healthy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which all is well, whatever this one is like."""
    monkeypatch.setattr("fusiform.recipes.doctor.checkup.environment", lambda: iter([Finding("python", "3.12")]))


def sounds(mine: Path, rate: int, timed: bool) -> None:
    """Minutes of noise in place of the pictures, as a time series, or in pieces with a response each."""
    from scipy.io import wavfile

    random = np.random.default_rng(0)
    ids = ["story"] if timed else [f"piece{number}" for number in range(8)]
    for id in ids:
        wavfile.write(mine / f"{id}.wav", rate, (random.normal(size=60 * rate) * 3000).astype(np.int16))
    pd.DataFrame({"stimulus": ids, "file": [f"{id}.wav" for id in ids]}).to_csv(mine / "sounds.csv", index=False)
    shown = ids * (40 if timed else 1)
    pd.DataFrame({"stimulus": shown}).to_csv(mine / "sub-01/trials.csv", index=False)
    np.save(mine / "sub-01/betas.npy", random.normal(size=(len(shown), 6)))
    text = (mine / "dataset.yaml").read_text().partition("stimuli:")
    rest = text[2].partition("responses:")[2]
    stimuli = "stimuli: {table: sounds.csv, kind: sound}\nresponses:"
    (mine / "dataset.yaml").write_text(text[0] + stimuli + ("\n  tr: 1.5" if timed else "") + rest)


def said(tier: list[Finding], about: str) -> str:
    return "; ".join(finding.said for finding in tier if finding.about.startswith(about))


class TestEnvironment:
    def test_it_is_looked_at_alone(self) -> None:
        checkup = doctor()
        assert list(checkup.tiers) == ["environment"]
        about = {finding.about for finding in checkup.tiers["environment"]}
        assert {"python", "packages", "threads", "device", "memory", "disk: data", "disk: cache", "disk: runs"} <= about
        assert f"numpy {np.__version__}" in said(checkup.tiers["environment"], "packages")

    def test_an_old_python(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(environment, "PYTHONS", ((3, 98), (3, 99)))
        checkup = doctor()
        assert checkup.failed == 1
        assert "wanted 3.11 to 3.13" in said(checkup.tiers["environment"], "python")

    def test_little_memory_and_little_disk(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(environment, "LEAST_MEMORY", 1 << 20)
        monkeypatch.setattr(environment, "LEAST_DISK", 1 << 30)
        checkup = doctor()
        assert checkup.failed == 4
        assert "GiB are free; wanted" in said(checkup.tiers["environment"], "memory")
        assert "free some, or set FUSIFORM_CACHE to another disk" in said(checkup.tiers["environment"], "disk: cache")

    def test_a_missing_package(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(environment, "PACKAGES", ("numpy", "no-such-package"))
        assert "no-such-package is not installed; install it with: pip install" in said(
            doctor().tiers["environment"], "packages"
        )

    def test_extras_that_are_absent_are_well_and_broken_ones_are_not(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(environment, "_optional", lambda: {"a": ["numpy"], "b": ["no-such"], "c": ["nibabel"]})

        def broken(name: str) -> Any:
            if name.startswith("nibabel"):
                raise RuntimeError("operator does not exist")
            return __import__(name)

        monkeypatch.setattr(environment.importlib, "import_module", broken)
        there, absent, bad = extras()
        assert (there.ok, absent.ok, bad.ok) == (True, True, False)
        assert absent.said == "without no-such; if needed: pip install 'fusiform[b]'"
        assert "nibabel is installed and cannot be imported (operator does not exist); install it anew" in bad.said

    def test_the_extras_are_those_of_the_package(self) -> None:
        assert {finding.about for finding in extras()} >= {"extra: models", "extra: media"}
        assert not any("bench" in finding.about or "dev" in finding.about for finding in extras())


@pytest.mark.usefixtures("healthy")
class TestData:
    def test_a_good_folder_is_well(self, mine: Path, tmp_path: Path) -> None:
        checkup = doctor(str(mine / "dataset.yaml"), out=tmp_path / "out")
        assert checkup.failed == 0, checkup.lines()
        data, models = checkup.tiers["data"], checkup.tiers["models"]
        assert said(data, "samples") == "12 stimuli, 3 runs, 27 train, 9 test, each shown up to 3 times, 3 regions"
        assert said(data, "ceiling").startswith("largest r to expect of averages: median 1.00, 100% of targets")
        assert said(models, "fit: pixels").startswith("works (mean r")
        assert said(models, "fit: gabor").startswith("works")
        page = (tmp_path / "out/report.html").read_text()
        assert "Checkup of mine" in page
        assert {path.name for path in (tmp_path / "out/figures").iterdir()} == {"stimuli.png", "ceiling.png"}

    def test_responses_are_read_once_besides_the_contract(
        self, mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: list[str] = []
        whole = Folder.responses

        def counted(self: Folder, subject: str, **more: Any) -> Responses:
            asked.append(subject)
            return whole(self, subject, **more)

        monkeypatch.setattr(Folder, "responses", counted)
        monkeypatch.setattr(data, "examine", lambda dataset, **more: iter([Finding("form", "well")]))
        checkup = doctor(str(mine / "dataset.yaml"), out=tmp_path / "out")
        assert checkup.failed == 0, checkup.lines()
        assert asked == ["sub-01"]

    def test_ranges_of_many_targets_hold_a_block(self, monkeypatch: pytest.MonkeyPatch) -> None:
        import tracemalloc

        random = np.random.default_rng(0)
        values = random.normal(size=(400, 20_000)).astype(np.float32)
        values[:, 7], values[3, 5], values[399, 6] = 0.1, -50, 60
        shown = pd.DataFrame({"stimulus": ["a"] * 400})
        responses = Responses(values, shown, Space("many", pd.DataFrame({"vertex": np.arange(20_000)})))
        monkeypatch.setattr(data, "BLOCK", 200_000)
        tracemalloc.start()
        told, constant = data._ranges(responses)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 0.4 * values.nbytes
        assert told.said.startswith("-50 to 60, median ")
        assert re.search(r"98 % from -2\.3\d+ to 2\.3\d+", told.said)
        assert constant.said == "1 of 20000 targets are constant (outside of the brain?)"

    def test_derivatives_of_fmriprep_are_well(self, tmp_path: Path) -> None:
        fmriprep.write(tmp_path / "scans")
        checkup = doctor(f"folder:{tmp_path / 'scans'}")
        assert checkup.failed == 0, checkup.lines()

    def test_a_map_of_the_cortex_and_a_film(self, tmp_path: Path) -> None:
        checkup = doctor("simulated", dataset_args=SMALL, out=tmp_path / "a")
        assert checkup.failed == 0, checkup.lines()
        films = doctor("simulated", part="movie", dataset_args=SMALL, out=tmp_path / "b")
        assert said(films.tiers["models"], "fit: tracks").startswith("works")
        assert "times from 0 to" in said(films.tiers["data"], "samples")
        assert "track audio" in (tmp_path / "b/report.html").read_text()

    def test_a_broken_folder_says_what_and_is_not_fitted(self, mine: Path) -> None:
        (mine / "sub-01/betas.npy").unlink()
        checkup = doctor(str(mine / "dataset.yaml"))
        assert checkup.failed == 1
        assert "there is no file" in said(checkup.tiers["data"], "responses of 'sub-01'")
        assert said(checkup.tiers["models"], "fit") == "not tried: the data are not well"

    def test_a_description_that_cannot_be_read(self, mine: Path) -> None:
        (mine / "dataset.yaml").write_text("nmae: a\n")
        checkup = doctor(str(mine / "dataset.yaml"))
        assert (checkup.failed, list(checkup.tiers)) == (1, ["environment", "data"])
        assert "did you mean 'name'" in said(checkup.tiers["data"], "dataset")

    def test_constant_responses(self, mine: Path) -> None:
        np.save(mine / "sub-01/betas.npy", np.ones((36, 6)))
        checkup = doctor(str(mine / "dataset.yaml"))
        assert "all 6 targets have the same value in all samples" in said(checkup.tiers["data"], "range")
        values = folder.betas(0)
        values[:, 2] = 0
        np.save(mine / "sub-01/betas.npy", values)
        checkup = doctor(str(mine / "dataset.yaml"))
        assert "1 of 6 targets are constant" in said(checkup.tiers["data"], "range")
        assert checkup.failed == 0

    def test_too_few_samples_are_not_fitted(self, mine: Path) -> None:
        table = pd.read_csv(mine / "sub-01/trials.csv", dtype=str).iloc[:3]
        table.to_csv(mine / "sub-01/trials.csv", index=False)
        np.save(mine / "sub-01/betas.npy", folder.betas(0)[:3])
        checkup = doctor(str(mine / "dataset.yaml"))
        assert said(checkup.tiers["models"], "fit") == "not tried: 3 samples are too few to hold some out"

    @pytest.mark.parametrize("count", [6, 7, 8])
    def test_few_samples_are_fitted_with_as_many_folds_as_there_are(self, mine: Path, count: int) -> None:
        table = pd.read_csv(mine / "sub-01/trials.csv", dtype=str).iloc[:count]
        table.to_csv(mine / "sub-01/trials.csv", index=False)
        np.save(mine / "sub-01/betas.npy", folder.betas(0)[:count])
        checkup = doctor(str(mine / "dataset.yaml"))
        assert checkup.failed == 0, checkup.lines()
        assert said(checkup.tiers["models"], "fit: pixels").startswith("works")

    @pytest.mark.parametrize(
        ("rate", "timed", "about", "told"),
        [
            (2000, True, "fit: log-mel", "works"),
            (1000, True, "fit: log-mel", "works"),
            (500, True, "fit", "not tried: every backbone .* needs weights, words, or sounds of 1000 Hz at least"),
            (2000, False, "fit", "not tried: features of recordings are rows in time, and these samples have no time"),
        ],
    )
    def test_sounds_of_low_rate(self, mine: Path, rate: int, timed: bool, about: str, told: str) -> None:
        pytest.importorskip("av")
        sounds(mine, rate, timed)
        checkup = doctor(str(mine / "dataset.yaml"), subject="sub-01")
        assert checkup.failed == 0, checkup.lines()
        assert re.match(told, said(checkup.tiers["models"], about))

    def test_pictures_shown_are_those_that_the_subject_saw(
        self, mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        table = pd.read_csv(mine / "sub-01/trials.csv", dtype=str)
        later = (table["stimulus"] >= "004").to_numpy()
        table[later].to_csv(mine / "sub-01/trials.csv", index=False)
        np.save(mine / "sub-01/betas.npy", folder.betas(0)[later])
        drawn: list[str] = []
        whole = data.gallery
        monkeypatch.setattr(
            data, "gallery", lambda rows, columns: drawn.extend(columns) or whole(rows, columns=columns)
        )
        doctor(str(mine / "dataset.yaml"), subject="sub-01", out=tmp_path / "out")
        assert sorted(drawn) == [f"0{number:02}" for number in range(4, 12)]
        assert "The first 8 of 8 pictures that sub-01 saw." in (tmp_path / "out/report.html").read_text()

    def test_a_histogram_says_why_there_is_no_map(self, mine: Path, tmp_path: Path) -> None:
        doctor(str(mine / "dataset.yaml"), out=tmp_path / "out")
        page = (tmp_path / "out/report.html").read_text()
        assert "from the agreement of repeats. There is no map, for the space" in page
        assert "has neither a mesh nor a grid." in page

    def test_the_published_ceiling_is_used_where_there_is_one(self, tmp_path: Path) -> None:
        algonauts2023.write(tmp_path)
        published, other = (load_dataset("algonauts2023", root=tmp_path).responses(one) for one in ("subj01", "subj02"))
        found = data.ceiling(published)
        np.testing.assert_allclose(found.values, np.sqrt(published.space.column("noise_ceiling")))
        assert found.source == "from the noise ceiling that was published with the data"
        assert (data.ceiling(other).values, data.ceiling(other).source) == (None, "nothing was shown twice")
        (tmp_path / "subj01/test_split/noise_ceiling/lh_noise_ceiling.npy").unlink()
        half = load_dataset("algonauts2023", root=tmp_path).responses("subj01")
        assert data.ceiling(half).values is None

    def test_a_description_takes_no_root(self, mine: Path) -> None:
        for name in (str(mine / "dataset.yaml"), f"folder:{mine}", "folder"):
            with pytest.raises(SettingsError, match="says where its files lie; leave out --root"):
                doctor(name, root=mine)

    def test_another_subject_and_an_unknown_one(self, mine: Path) -> None:
        checkup = doctor(str(mine / "dataset.yaml"), subject="sub-02")
        assert said(checkup.tiers["data"], "responses of 'sub-02'") == "36 samples of 6 targets"
        with pytest.raises(UnknownNameError, match=r"unknown subject 'sub-2' \(did you mean 'sub-02'\?\)"):
            doctor(str(mine / "dataset.yaml"), subject="sub-2")

    def test_a_checksum_that_is_not_the_published_one(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FUSIFORM_DATA", str(tmp_path))
        (tmp_path / "miyawaki2008").mkdir()
        (tmp_path / "miyawaki2008/V1_mean_figure.mat").write_bytes(b"not it")
        checkup = doctor("miyawaki2008")
        assert "has not the published SHA-256" in said(checkup.tiers["data"], "files")
        assert "fusiform fetch miyawaki2008" in said(checkup.tiers["data"], "files")

    @pytest.mark.parametrize("given", ["{}", "{}/miyawaki2008"])
    def test_the_root_is_looked_into(self, tmp_path: Path, given: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FUSIFORM_DATA", str(tmp_path / "elsewhere"))
        (tmp_path / "here/miyawaki2008").mkdir(parents=True)
        (tmp_path / "here/miyawaki2008/V1_mean_figure.mat").write_bytes(b"not it")
        root = given.format(tmp_path / "here")
        assert "1 of 1 files are here, 0 with" in said(doctor("miyawaki2008", root=root).tiers["data"], "files")

    @pytest.mark.parametrize(("place", "given"), [("anywhere", "anywhere"), ("data/algonauts2023", "data")])
    def test_the_root_may_have_any_name(self, tmp_path: Path, place: str, given: str) -> None:
        algonauts2023.write(tmp_path / place)
        checkup = doctor("algonauts2023", root=tmp_path / given)
        assert checkup.failed == 0, checkup.lines()

    def test_data_under_an_agreement_say_where_to_apply(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FUSIFORM_DATA", str(tmp_path))
        checkup = doctor("nsd")
        assert checkup.failed >= 1
        assert "apply at https://naturalscenesdataset.org" in said(checkup.tiers["data"], "agreement")

    def test_a_fault_is_a_finding(self, monkeypatch: pytest.MonkeyPatch, mine: Path) -> None:
        def faint(*given: Any) -> Iterator[Finding]:
            yield Finding("a", "well")
            raise ZeroDivisionError("oh")

        monkeypatch.setattr("fusiform.recipes.doctor.checkup.fits", faint)
        checkup = doctor(str(mine / "dataset.yaml"))
        assert said(checkup.tiers["models"], "fit").startswith(
            "this should not have happened (ZeroDivisionError: oh); report it"
        )


@pytest.mark.usefixtures("healthy")
class TestCommand:
    def test_lines_and_the_exit_code(self, mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["doctor", str(mine / "dataset.yaml")]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert [line for line in lines if not line.startswith(" ")] == ["environment", "data", "models"]
        (mine / "stimuli.tsv").unlink()
        assert main(["doctor", str(mine / "dataset.yaml")]) == 2
        captured = capsys.readouterr()
        assert "  FAIL stimuli of 'images': there is no table" in captured.out
        assert captured.err == "fusiform: 1 of the checks above failed; each says what to do next\n"

    def test_json_is_whole_even_when_it_fails(self, mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (mine / "stimuli.tsv").unlink()
        assert main(["doctor", str(mine), "--json"]) == 2
        assert "unknown dataset" in capsys.readouterr().out
        assert main(["doctor", f"folder:{mine}", "--json"]) == 2
        facts = json.loads(capsys.readouterr().out)
        assert facts["failed"] == 1
        assert [one["about"] for one in facts["data"] if not one["ok"]] == ["stimuli of 'images'"]

    def test_init_dataset(self, mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (mine / "dataset.yaml").unlink()
        assert main(["init-dataset", str(mine)]) == 0
        assert f"next: fusiform doctor {mine / 'dataset.yaml'}" in capsys.readouterr().out
        assert main(["doctor", str(mine / "dataset.yaml")]) == 0


class TestAgreements:
    @pytest.mark.parametrize("name", ["nsd", "mindeye", "algonauts2023"])
    def test_fetch_refuses_and_says_where_to_apply(self, name: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["fetch", name]) == 2
        sentence = capsys.readouterr().err.splitlines()[-1]
        assert "is shared under an agreement, so it is not fetched for you: apply at http" in sentence
        assert f"/{name} as docs/datasets.md says" in sentence
        assert sentence.endswith(f"fusiform doctor {name}")

    def test_an_address_needs_the_users_word(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        argv = ["encode", "--dataset", "mindeye", "--dataset-args", "root=https://nowhere.invalid/x"]
        assert main([*argv, "--out", str(tmp_path / "a")]) == 2
        assert "once you have agreed to its terms give --i-have-agreed" in capsys.readouterr().err

    @pytest.mark.usefixtures("healthy")
    def test_the_doctor_takes_an_address_for_one(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["doctor", "mindeye", "--root", "https://nowhere.invalid/x"]) == 2
        told = capsys.readouterr().out
        assert "https://nowhere.invalid/x holds data that are shared under an agreement; apply at http" in told
        assert "give --i-have-agreed" in told

    def test_the_word_is_kept_in_the_settings(
        self, mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from fusiform.datasets import mindeye
        from fusiform.recipes.encode import encode

        seen: list[bool] = []

        def standing_in(self: Any, layout: str = "", i_have_agreed: bool = False, **given: Any) -> None:
            seen.append(i_have_agreed)
            self.__dict__.update(vars(folder_dataset))
            self.stimuli, self.responses, self.truth = (
                folder_dataset.stimuli,
                folder_dataset.responses,
                folder_dataset.truth,
            )

        from fusiform.datasets import load_dataset

        folder_dataset = load_dataset(str(mine / "dataset.yaml"))
        monkeypatch.setattr(mindeye.MindEye, "__init__", standing_in)
        run = encode(dataset="mindeye", i_have_agreed=True, folds=3, out=tmp_path / "run")
        assert (seen, run.settings["i_have_agreed"]) == ([True], True)

    def test_open_data_take_no_such_word(self, mine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        argv = ["encode", "--dataset", str(mine / "dataset.yaml"), "--i-have-agreed", "--out", str(tmp_path / "a")]
        assert main(argv) == 2
        assert "takes no argument 'i_have_agreed'" in capsys.readouterr().err

    def test_what_needs_no_files(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["fetch", "simulated"]) == 2
        assert "there is nothing to fetch for dataset 'simulated'; use it as it is" in capsys.readouterr().err
        assert check_files("simulated") == []
