import numpy as np
import pytest

from fusiform.errors import DataError
from fusiform.scores import retrieval


def test_perfect_predictions_find_and_are_found():
    gallery = np.random.default_rng(0).normal(size=(5, 20))
    found = retrieval(gallery[[3, 0, 3, 1, 2, 4]] * 2 + 1, gallery, [3, 0, 3, 1, 2, 4])
    assert found.forward.all()
    assert found.backward.all()
    assert found.summary() == {"forward_top1": 1.0, "backward_top1": 1.0, "chance": 0.2, "gallery": 5}


def test_forward_is_from_brain_to_image():
    rng = np.random.default_rng(0)
    gallery = rng.normal(size=(4, 200))
    pred = gallery.copy()
    pred[3] = gallery[3] + 5 * gallery[0] + 0.1 * gallery[1]
    found = retrieval(pred, gallery, np.arange(4))
    assert found.forward.tolist() == [True, True, True, False]  # brain 3 points at picture 0
    slow = np.corrcoef(pred, gallery)[:4, 4:]
    assert found.forward.tolist() == [slow[i].argmax() == i for i in range(4)]
    assert found.backward.tolist() == [slow[:, i].argmax() == i for i in range(4)]


def test_directions_differ_on_an_asymmetric_toy():
    rng = np.random.default_rng(1)
    gallery = rng.normal(size=(60, 30))
    gain = np.linspace(0.05, 3, 60)[:, None]  # hubs: a few strong directions attract every brain
    pred = gallery + 2 * rng.normal(size=(1, 30)) * gain + 0.8 * rng.normal(size=gallery.shape)
    found, slow = retrieval(pred, gallery, np.arange(60)), np.corrcoef(pred, gallery)[:60, 60:]
    assert found.forward.mean() == (slow.argmax(1) == np.arange(60)).mean()
    assert found.backward.mean() == (slow.argmax(0) == np.arange(60)).mean()
    assert found.forward.mean() != found.backward.mean()


def test_constant_predictions_find_nothing():
    found = retrieval(np.ones((3, 4)), np.random.default_rng(0).normal(size=(3, 4)), [0, 1, 2])
    assert not found.forward.any()
    assert not found.backward.any()


def test_shapes_must_agree():
    with pytest.raises(DataError, match=r"predictions \(3, 4\), a gallery \(3, 5\)"):
        retrieval(np.ones((3, 4)), np.ones((3, 5)), [0, 1, 2])


@pytest.mark.parametrize(
    ("pred", "shown", "said"),
    [
        (np.eye(3), [0, 1, 3], "integers from 0 to 2"),
        (np.eye(3), [0, 1, -1], "integers from 0 to 2"),
        (np.eye(3), [0.0, 1.0, 2.0], "integers from 0 to 2"),
        (np.full((3, 3), np.nan), [0, 1, 2], "NaN or infinite"),
        (np.zeros((0, 3)), [], "one row and feature or more"),
        (np.zeros((3,)), [0, 1, 2], "wanted"),
    ],
)
def test_what_cannot_be_found_is_refused(pred, shown, said):
    with pytest.raises(DataError, match=said):
        retrieval(pred, np.eye(3), shown)
