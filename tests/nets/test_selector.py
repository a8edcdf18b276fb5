"""The selector encoder against the plain formula, in values and gradients, and its parts against theirs."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from fusiform.nets import cellwise, layers, reading
from fusiform.nets.cells import Choice
from fusiform.nets.layers import Linear, Standardise, octave_code, unit_box
from fusiform.nets.selector import Selector, TokenShape, layer_entropy, linear_decay, scale_pull

SHAPES = {
    "pictures": {
        "a": TokenShape(5, (8, 8), 5),
        "b": TokenShape(3, (7, 7), 4),
        "c": TokenShape(6, (3, 5)),
        "d": TokenShape(4),
    },
    "films": {"a": TokenShape(3, (4, 5, 6), 3), "b": TokenShape(2, (3, 3, 3))},
    "sounds": {"a": TokenShape(4, (9,), 2), "b": TokenShape(4, (5,), 2)},
    "vectors": {"a": TokenShape(4, (), 2), "b": TokenShape(3)},
    "one layer": {"a": TokenShape(4, (8, 8), 4)},
}


def plain(net, local, global_, subject=0):
    """The published formula: sample every layer at every place, mix layers, mix scales, mean over weighted channels."""
    choice, targets = net.choose(subject), net.targets[subject]
    near, wide = 0, 0
    for number, (layer, part) in enumerate(zip(net.layers, net.bottlenecks, strict=True)):
        x = local[layer]
        y = global_[layer] if layer in global_ else x.flatten(2).mean(2) if x.ndim > 2 else x
        x = part.local(part.local_units(x).movedim(1, -1)).movedim(-1, 1)  # [B, D, *grid]
        share = choice.layer[:, number]
        near = near + share * sample(x, choice.place)
        wide = wide + share * part.global_(part.global_units(y))[:, :, None]
    mixed = (1 - choice.scale) * near + choice.scale * wide  # [B, D, N]
    return (mixed * targets.weight.T).mean(1) + targets.bias


def sample(x, place):
    """[B, D, *grid] at [N, A] places -> [B, D, N], by torch's own interpolation."""
    axes = x.ndim - 2
    if axes == 0:
        return x[:, :, None].expand(-1, -1, len(place))
    if axes == 1:  # torch has it for two and three axes
        x, place = x[:, :, None], torch.cat([place, torch.zeros_like(place)], dim=1)
    shape = (1, len(place), *[1] * (x.ndim - 3), x.ndim - 2)
    where = place.view(shape).expand(len(x), *shape[1:])
    found = functional.grid_sample(x, where, mode="bilinear", padding_mode="zeros", align_corners=False)
    return found.flatten(2)


def make(name, targets=(150,), dtype=torch.float64, moved=True, **arguments):
    torch.manual_seed(0)
    points = [torch.randn(count, 3) * 50 for count in targets]
    net = Selector(SHAPES[name], points, width=6, hidden=16, octaves=3, **arguments)
    if moved:
        for parameter in net.parameters():
            parameter.data += 0.2 * torch.randn_like(parameter)
    return net.to(dtype)


def tokens(name, batch=4, dtype=torch.float64):
    torch.manual_seed(1)
    local = {n: torch.randn(batch, s.channels, *s.grid, dtype=dtype) for n, s in SHAPES[name].items()}
    wide = {n: s.global_channels for n, s in SHAPES[name].items() if s.global_channels}
    return local, {n: torch.randn(batch, channels, dtype=dtype) for n, channels in wide.items()}


def with_gradients(net, function, local, global_):
    """Output, and gradients of a crooked loss with respect to all parameters and tokens."""
    leaves = [x.clone().requires_grad_() for x in (*local.values(), *global_.values())]
    local = dict(zip(local, leaves, strict=False))
    global_ = dict(zip(global_, leaves[len(local) :], strict=True))
    out = function(net, local, global_)
    aim = torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view_as(out)
    found = torch.autograd.grad((out - aim).square().sum(), [*net.parameters(), *leaves], materialize_grads=True)
    return out, found


def fused(sparse):
    def run(net, local, global_):
        targets = net.targets[0]
        return (
            reading.read(net.tokens(local, global_), net.choose(), targets.weight, net.cells, sparse=sparse)
            + targets.bias
        )

    return run


@pytest.mark.parametrize("sparse", [True, False])
@pytest.mark.parametrize("moved", [True, False])
@pytest.mark.parametrize("name", SHAPES)
def test_equals_the_plain_formula_in_values_and_gradients(name, moved, sparse, monkeypatch):
    """At first (not `moved`) all targets look at the middle: in odd grids a cell's centre, where slopes jump."""
    monkeypatch.setattr(cellwise, "BLOCK", 64)  # several, some of more than one cell
    monkeypatch.setattr(reading, "BLOCK", 1 << 13)
    for dtype, bar in ((torch.float64, 1e-10), (torch.float32, 1e-5)):
        net, batch = make(name, dtype=dtype, moved=moved), tokens(name, dtype=dtype)
        slow, slow_gradients = with_gradients(net, plain, *batch)
        fast, fast_gradients = with_gradients(net, fused(sparse), *batch)
        assert fast.dtype == dtype
        torch.testing.assert_close(fast, slow, rtol=bar, atol=bar)
        largest = max(gradient.norm() for gradient in slow_gradients)
        for one, other in zip(fast_gradients, slow_gradients, strict=True):
            assert (one - other).norm() <= bar * (other.norm() + 1e-2 * largest)
        if moved and len(net.layers) > 1:  # none of them vanishes
            assert min(gradient.norm() for gradient in slow_gradients) > 1e-4 * largest


def test_places_at_and_beyond_the_outermost_cells(monkeypatch):
    net, (local, global_) = make("pictures"), tokens("pictures")
    edge = torch.tensor([-1.0, -0.999, -0.875, 0.0, 0.125, 0.875, 1.0], dtype=torch.float64)
    place = torch.cartesian_prod(edge, edge)
    choice = net.choose()._replace(place=torch.cat([place, net.choose().place])[:150])
    monkeypatch.setattr(net, "choose", lambda subject=0: choice)
    torch.testing.assert_close(net(local, global_)[0], plain(net, local, global_), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", ["pictures", "films", "sounds"])
def test_corners_and_their_shares_are_those_of_the_matrix_of_all_cells(name):
    cells, places = make(name).cells, torch.rand(200, make(name).cells.axes).double() * 2 - 1
    near = torch.ones(200, len(cells.counts)).double(), torch.zeros(200).double()  # all layers, and no global token
    *of_layer, _ = cells.weights(cells.factors(Choice(places, *near))).split([*cells.counts, len(cells.counts)], dim=1)
    for size, numbers in cells.grids:
        if size:
            cell, share = cellwise.corners(places, size)
            found = torch.zeros(200, math.prod(size) + 1, dtype=torch.float64)  # the last one is all beyond the grid
            found.scatter_add_(1, cell.T.long() % found.shape[1], share.T)
            assert cell.shape == (2 ** len(size), 200)
            for number in numbers:
                torch.testing.assert_close(found[:, :-1], of_layer[number])


def test_every_pair_inside_is_in_the_block_of_its_cell_and_no_other(monkeypatch):
    monkeypatch.setattr(cellwise, "BLOCK", 300)
    cell = torch.randint(-1, 40, (4, 500), dtype=torch.int32)
    cell[:, 100:300] = 7  # more than a block
    found = cellwise.blocks(cell, 40)
    assert [number for block in found for number in range(40)[block.cells]] == list(range(40))
    for block in found:
        of_pair = torch.arange(40)[block.cells].repeat_interleave(torch.tensor(block.counts))
        assert torch.equal(cell.flatten()[block.pairs].long(), of_pair)
        assert len(block.pairs) <= 300 or sum(count > 0 for count in block.counts) == 1
    pairs = torch.cat([block.pairs for block in found])
    assert sorted(pairs.tolist()) == (cell.flatten() >= 0).nonzero()[:, 0].tolist()
    assert len(found) < 12  # cells share blocks


def test_no_more_is_multiplied_than_is_read(monkeypatch):
    seen, multiply = [], cellwise._multiply

    def noted(left, right, out):
        seen.extend((tuple(one.shape), tuple(other.shape)) for one, other in zip(left, right, strict=True))
        multiply(left, right, out)

    monkeypatch.setattr(cellwise, "_multiply", noted)
    net, batch = make("one layer", targets=(900,)), tokens("one layer")
    net(*batch)
    inside = (cellwise.corners(net.choose().place, (8, 8))[0] >= 0).sum()
    assert len(seen) == 64
    assert sum(left[0] for left, _ in seen) == inside
    assert {right for _, right in seen} == {(6, 4)}  # width, batch


def test_a_prediction_keeps_nothing_for_a_backward_pass(monkeypatch):
    seen, read = [], cellwise._read
    monkeypatch.setattr(cellwise, "_read", lambda blocks, keep, *rest: seen.append(keep) or read(blocks, keep, *rest))
    net, batch = make("one layer"), tokens("one layer")
    expected = net(*batch)[0]
    with torch.no_grad():
        torch.testing.assert_close(net(*batch)[0], expected)
    assert seen == [True, False]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("rows", [0, 1, 3, 4000])
def test_linear_is_the_linear_of_torch(rows, threads):
    """One thread convolves by other code than several; the rows are a view whose memory is not in their order."""
    torch.manual_seed(0)
    ours, x = Linear(20, 7), torch.randn(20, rows).T.requires_grad_()
    theirs = torch.nn.Linear(20, 7)
    theirs.load_state_dict(ours.state_dict())
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    pairs = [(layer(x), [x, *layer.parameters()]) for layer in (ours, theirs)]
    aim = torch.randn(rows, 7)
    fast, slow = ([y, *torch.autograd.grad(((y - aim) ** 2).sum(), leaves)] for y, leaves in pairs)
    torch.set_num_threads(before)
    for one, other in zip(fast, slow, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("way", [layers.project, layers._product])
@pytest.mark.parametrize("places", [0, 1, 11])
def test_channels_of_places_are_projected(way, places):
    """The product is what other devices make."""
    x, weight, bias = torch.randn(3, 5, places), torch.randn(4, 5), torch.randn(4)
    expected = torch.einsum("dc,bcs->bds", weight, x)
    torch.testing.assert_close(way(x, weight), expected)
    torch.testing.assert_close(way(x, weight, bias), expected + bias[:, None])


@pytest.mark.parametrize(("batch", "widest"), [(4, 3 * 65), (80, 80 * 6)])
def test_no_more_than_a_block_exists_at_once_where_all_cells_are_read(batch, widest, monkeypatch):
    """Of small batches the factors of 65 shares, layer and two axes, are more than what is read, [B, 6]."""
    seen, tile = [], reading._tile
    monkeypatch.setattr(reading, "_tile", lambda *parts: seen.append(len(parts[-1])) or tile(*parts))
    monkeypatch.setattr(reading, "BLOCK", 100 * widest)
    net, batch = make("one layer", targets=(950,)), tokens("one layer", batch=batch)
    reading.read(net.tokens(*batch), net.choose(), net.channel_weights(), net.cells, sparse=False).sum().backward()
    assert sum(seen) == 2 * 950  # forwards and backwards
    assert max(seen) == 100


def test_half_precision_is_near():
    net, batch = make("pictures", dtype=torch.float32), tokens("pictures", dtype=torch.float32)
    slow, slow_gradients = with_gradients(net, plain, *batch)
    largest = max(gradient.norm() for gradient in slow_gradients)  # some are nothing but rounding
    for sparse in (True, False):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            fast, fast_gradients = with_gradients(net, fused(sparse), *batch)
        assert fast.dtype == torch.float32
        assert (fast - slow).norm() < 0.02 * slow.norm()
        for one, other in zip(fast_gradients, slow_gradients, strict=True):
            assert (one - other).norm() <= 0.1 * other.norm() + 5e-3 * largest


def test_choices_are_those_of_full_precision():
    net, batch = make("pictures", dtype=torch.float32), tokens("pictures", dtype=torch.float32)
    whole = net.choose()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(net.choose(), whole, rtol=0, atol=0)
        half = net.tokens(*batch)
    assert half.dtype == torch.bfloat16  # the bottlenecks are in half precision


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("name", SHAPES)
def test_a_gpu_reads_the_same(name):
    net, batch = make(name, dtype=torch.float32), tokens(name, dtype=torch.float32)
    slow, slow_gradients = with_gradients(net, plain, *batch)
    there = [{layer: x.cuda() for layer, x in part.items()} for part in batch]
    fast, fast_gradients = with_gradients(net.cuda(), lambda own, *given: own(*given)[0], *there)
    torch.testing.assert_close(fast.cpu(), slow, rtol=1e-4, atol=1e-5)
    largest = max(gradient.norm() for gradient in slow_gradients)
    for one, other in zip(fast_gradients, slow_gradients, strict=True):
        assert (one.cpu() - other).norm() <= 1e-4 * (other.norm() + largest)


def test_nothing_handed_in_is_changed_and_the_order_of_layers_does_not_matter():
    net, (local, global_) = make("pictures"), tokens("pictures")
    before = [{name: x.clone() for name, x in given.items()} for given in (local, global_)]
    first, _ = net(local, global_)
    for now, then in zip((local, global_), before, strict=True):
        assert list(now) == list(then)
        for name, x in now.items():
            torch.testing.assert_close(x, then[name], rtol=0, atol=0)
    again, _ = net(dict(reversed(local.items())), dict(reversed(global_.items())))
    torch.testing.assert_close(again, first, rtol=0, atol=0)


def test_subjects_share_the_bottlenecks_and_nothing_else():
    net, (local, global_) = make("pictures", targets=(20, 30)), tokens("pictures")
    assert net(local, global_, 0)[0].shape == (4, 20)
    assert net(local, global_, 1)[0].shape == (4, 30)
    net(local, global_, 1)[0].sum().backward()
    assert all(parameter.grad is None for parameter in net.targets[0].parameters())
    assert all(
        parameter.grad is not None for part in (net.targets[1], net.bottlenecks) for parameter in part.parameters()
    )


def test_the_batch_does_not_matter():
    net, (local, global_) = make("pictures"), tokens("pictures", batch=5)
    whole, _ = net(local, global_)
    alone, _ = net({n: x[3:4] for n, x in local.items()}, {n: x[3:4] for n, x in global_.items()})
    torch.testing.assert_close(alone, whole[3:4])


def test_grids_of_different_kinds_are_refused():
    with pytest.raises(ValueError, match="as many axes"):
        Selector({"a": TokenShape(3, (4, 4)), "b": TokenShape(3, (4,))}, [torch.zeros(2, 3)])


def test_at_first_nothing_is_preferred():
    choice = make("pictures", moved=False).choose()
    torch.testing.assert_close(choice.place, torch.zeros_like(choice.place))
    torch.testing.assert_close(choice.layer, torch.full_like(choice.layer, 1 / 4))
    torch.testing.assert_close(choice.scale, torch.full_like(choice.scale, 1 / 2))


def test_penalty_is_the_published_one():
    net, batch = make("pictures"), tokens("pictures")
    _, penalty = net(*batch)
    p, s = net.choose().layer.detach().numpy(), net.choose().scale.detach().numpy()
    entropy = -(p * np.log(p)).sum(1) / np.log(4)
    np.testing.assert_allclose(penalty.item(), np.mean((s - 0.5) ** 2) - entropy.mean(), rtol=1e-9)


def test_entropy_and_scale_at_their_ends():
    sure = torch.eye(3, requires_grad=True)
    layer_entropy(sure).backward()
    assert layer_entropy(sure).item() == pytest.approx(0, abs=1e-6)
    assert sure.grad.isfinite().all()
    assert layer_entropy(torch.full((2, 5), 0.2)).item() == pytest.approx(1)
    assert layer_entropy(torch.ones(4, 1)).item() == 0
    assert scale_pull(torch.tensor([0.5, 1.0])).item() == pytest.approx(0.125)


def test_decay_is_linear_and_ends():
    assert [linear_decay(step, 2000) for step in (0, 500, 2000, 5000)] == [1, 0.75, 0, 0]
    assert linear_decay(0, 0) == 0


def test_tokens_are_measured_channel_by_channel_over_places_and_pictures():
    net, (local, global_) = make("pictures", moved=False), tokens("pictures", batch=12)
    local["a"][:, 2] = 7.3  # constant
    local["b"] = local["b"] * 20 + 1000
    halves = [
        ({n: x[rows] for n, x in local.items()}, {n: x[rows] for n, x in global_.items()})
        for rows in (slice(5), slice(5, 12))
    ]
    net.standardise(halves)
    for number, layer in enumerate(("a", "b", "c")):
        units, flat = net.bottlenecks[number].local_units, local[layer].transpose(0, 1).flatten(1)
        scale = torch.where(flat.std(1, correction=0) > 1e-8, flat.std(1, correction=0), 1.0)
        torch.testing.assert_close(units.mean, flat.mean(1))
        torch.testing.assert_close(units.scale, scale)
    torch.testing.assert_close(net.bottlenecks[2].global_units.mean, local["c"].mean((0, 2, 3)))
    torch.testing.assert_close(net.bottlenecks[1].global_units.mean, global_["b"].mean(0))


def test_standardise_makes_floats_of_halves_and_keeps_constants():
    units = Standardise(2)
    units.set(torch.tensor([1.0, 2.0]), torch.tensor([0.5, 0.0]))
    x = torch.tensor([[[1.5, 2.0], [2.0, 2.0]]], dtype=torch.float16)
    torch.testing.assert_close(units(x), torch.tensor([[[1.0, 2.0], [0.0, 0.0]]]))


def test_position_code():
    points = torch.tensor([[-1.0, 0.25], [1.0, -0.5], [0.3, 0.3]], dtype=torch.float64)
    code = octave_code(points, 3).numpy()
    waves = [
        wave(math.pi / 2 * 2**k * points[:, a].numpy()) / 2**k
        for wave in (np.sin, np.cos)
        for a in range(2)
        for k in range(3)
    ]
    np.testing.assert_allclose(code, np.stack(waves, 1), atol=1e-12)
    assert np.abs(code[0] - code[1]).max() > 1  # both ends of an axis differ
    box = unit_box(torch.tensor([[0.0, 0.0], [10.0, 4.0]]))
    torch.testing.assert_close(box, torch.tensor([[-1.0, -0.4], [1.0, 0.4]]))
    torch.testing.assert_close(unit_box(torch.ones(1, 3)), torch.zeros(1, 3))


def test_every_parameter_steps_at_the_rate_of_its_kind():
    net = make("pictures", targets=(20, 30))
    first, second, *linears = net.groups()
    assert first["rate"] == 1
    assert second["rate"] == pytest.approx(math.sqrt(6))
    assert [p.shape for p in second["params"]] == [(20, 6), (30, 6)]
    shapes = {group["rate"]: [tuple(p.shape) for p in group["params"]] for group in linears}
    counts = {5: 2, 3: 1, 4: 3, 6: 2}  # bottlenecks from so many channels
    assert shapes == {4 * channels**-0.5: [(6, channels)] * count for channels, count in counts.items()}
    found = [id(p) for group in net.groups() for p in group["params"]]
    assert sorted(found) == sorted(id(p) for p in net.parameters())
