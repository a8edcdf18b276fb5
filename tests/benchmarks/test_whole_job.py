"""The selector's benchmark: its plain formula, and the whole job on a small problem."""

import pytest
import torch

from benchmarks.selector import made, main, measure, ours, parse, plain
from fusiform.files import read_json

pytest.importorskip("transformers")


def test_the_plain_formula_is_ours():
    torch.manual_seed(0)
    settings = parse(["--tiny"])
    net, shape = made(settings), (settings.batch, settings.channels)
    local = {layer: torch.randn(*shape, settings.grid, settings.grid) for layer in net.layers}
    global_ = {layer: torch.randn(*shape) for layer in net.layers}
    torch.testing.assert_close(ours(net, local, global_), plain(net, local, global_))
    assert net.choose().place.std() > 0.3  # they look all over the picture


@pytest.mark.parametrize("name", ["ours", "plain", "dense_floor", "touched_floor"])
def test_every_contender_takes_its_steps(name):
    found = measure(parse(["--tiny", "--child", name, "--threads", "1"]))
    assert len(found["seconds"]) == 1
    assert found["peak_mb"] > 0


def test_the_whole_job_says_how_fast_it_was(tmp_path, capsys):
    out = tmp_path / "selector.json"
    main(["--jobs", "whole", "--tiny", "--threads", "1", "--out", str(out)])
    [row] = read_json(out)["rows"]
    assert row["job"] == "whole: 48 pictures, 2 layers, 60 vertices"
    assert row["steps"] == 2 * 2  # 32 pictures and the other 16, twice
    assert row["seconds"] == pytest.approx(row["extraction"]["seconds"] + row["training"]["seconds"])
    assert [row[part]["precision"] for part in ("extraction", "training")] == ["float32", "bfloat16"]
    for part in (row["extraction"], row["training"]):
        assert part["share_of_ceiling"] == pytest.approx(part["tflop_per_s"] / part["ceiling_tflop_per_s"])
        assert part["tflop_per_s"] > 0
    assert "2 layers" in capsys.readouterr().out
    done = row["extraction"]["tflop_per_s"] * 1e12 * row["extraction"]["seconds"]
    tokens, width, hidden = 65, 16, 32
    linear = 2 * 64 * (3 * 8**2) * width + 2 * 2 * tokens * (4 * width**2 + 2 * width * hidden)  # patches, two blocks
    attention = 2 * 2 * 2 * tokens**2 * width
    assert 48 * linear <= done * (1 + 1e-9) <= 48 * (linear + attention) * 1.01
