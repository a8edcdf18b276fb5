"""`NeuralEncoder`: the networks of `fusiform.nets` with `fit` and `predict`."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, Self, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.utils.validation import check_is_fitted

from fusiform.errors import DataError, LayoutError, SettingsError, UnknownNameError
from fusiform.files import atomic, read_json, write_json
from fusiform.models.encoding import Encoding, split_tokens
from fusiform.models.measured import Units, mean_r2, measure_units, warn_unmeasured
from fusiform.models.results import MODEL, plain_settings
from fusiform.models.resuming import fit_key
from fusiform.models.subjects import (
    Subject,
    check_layers,
    count_rows,
    is_named,
    read_subjects,
    read_views,
    token_shapes,
)
from fusiform.nets.selector import Selector, TokenShape
from fusiform.pairs import Pairs
from fusiform.registry import unknown
from fusiform.training import History, Settings, fit
from fusiform.training.checkpoint import load_tensors, prefixed, save_tensors, under
from fusiform.training.generators import lent
from fusiform.training.settings import Precision, Schedule, find_device

__all__ = ["NeuralEncoder"]

Loss = Literal["mse", "smooth_l1"]
NETS = {"selector": Selector}
WEIGHTS, CHECKPOINT = "model.safetensors", "checkpoint.safetensors"
TOGETHER = 256  # samples that are predicted at once
_TRAINING = tuple(Settings.__dataclass_fields__)


class NeuralEncoder(MultiOutputMixin, RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """A network from features to responses, of one subject or of several that share its trunk.

        model = NeuralEncoder(epochs=15).fit(pairs)             # coordinates from the pairs' space
        model = NeuralEncoder(coordinates=places).fit({"block3": tokens, "block3/global": classes}, Y)
        model.predict({"block3": new_tokens, "block3/global": new_classes})

    Args:
        net: `"selector"` (`nets.selector`).
        coordinates: of the targets, [V, 3], or a mapping subject -> [V, 3]. Pairs bring those of their space.
        width: channels behind the network's bottleneck.
        net_args: further arguments of the network.
        loss: `"mse"`, or `"smooth_l1"` with a beta of .1, which was published and needs more data where noise is
            Gaussian; both of responses in units of their standard deviation.
        penalty: weight of the network's own penalty at the first step.
        decay_steps: steps until that weight has fallen to zero, in a straight line; None: 40 % of all steps. It was
            2000 in the published system.
        epochs, batch_size, learning_rate, weight_decay, schedule, warmup, clip, patience, ema, precision, device, seed,
            save_steps: as in `training.Settings`.
        folder: where a checkpoint is kept, from which the same fit goes on after an interruption.
        progress: show a bar.

    Attributes:
        net_: the network, in evaluation mode.
        shapes_: layer -> shape of its tokens.
        subjects_: names of the subjects; `""` for one that was given without a name.
        history_: `training.History` of the fit.
    """

    reads_layers = True  # features come by layer, not as one matrix: recipes ask

    def __init__(
        self,
        net: str = "selector",
        *,
        coordinates: Any = None,
        width: int = 128,
        net_args: Mapping[str, Any] | None = None,
        loss: Loss = "mse",
        penalty: float = 0.1,
        decay_steps: int | None = None,
        epochs: int = 15,
        batch_size: int = 64,
        learning_rate: float = 1e-2,
        weight_decay: float = 1e-2,
        schedule: Schedule = "cosine",
        warmup: float = 0.1,
        clip: float | None = 0.5,
        patience: int | None = 5,
        ema: float | None = None,
        precision: Precision = "auto",
        device: str = "auto",
        seed: int = 0,
        save_steps: int = 500,
        folder: Path | str | None = None,
        progress: bool = False,
    ) -> None:
        self.net = net
        self.coordinates = coordinates
        self.width = width
        self.net_args = net_args
        self.loss = loss
        self.penalty = penalty
        self.decay_steps = decay_steps
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.schedule = schedule
        self.warmup = warmup
        self.clip = clip
        self.patience = patience
        self.ema = ema
        self.precision = precision
        self.device = device
        self.seed = seed
        self.save_steps = save_steps
        self.folder = folder
        self.progress = progress

    def fit(self, X: Any, Y: Any = None, *, validation: Any = None) -> Self:
        """Train on features and responses.

        Args:
            X: layer -> [N, C, *grid] local tokens, `layer/global` -> [N, C] global ones, read from where they are in
                batches; or `Pairs`; or a mapping subject -> `Pairs`. Of pairs, rows of the split `test` are left alone.
            Y: [N, V] or [N]; NaN where nothing was measured. Not with pairs.
            validation: rows of X (positions or a mask) that are not learned from and decide which epoch is kept; or an
                (X, Y), or pairs, of which those of the split `val` count, or without such all but `test`. By default
                pairs validate on their own split `val`, anything else not at all. For several subjects a mapping.

        Raises:
            DataError: shapes do not fit together, or samples of the split `test` would validate.
            SettingsError: a setting cannot be, there are no coordinates, or the folder holds another fit.
        """
        settings = self._settings()
        subjects = read_subjects(X, Y, validation, self.coordinates)
        shapes = _common_shapes(subjects)
        self.subjects_, self.single_ = list(subjects), _is_single(Y)
        self.net_ = self._build(shapes, [torch.from_numpy(one.coordinates) for one in subjects.values()])
        self.units_ = [measure_units(one.train) for one in subjects.values()]
        warn_unmeasured(self.units_)
        problem = Encoding(
            self.net_,
            list(subjects.values()),
            self.units_,
            settings,
            loss=self.loss,
            penalty=self.penalty,
            decay_steps=self.decay_steps,
        )
        problem.standardise()
        file = None if self.folder is None else Path(self.folder) / CHECKPOINT
        precision = "bfloat16" if settings.half(find_device(settings.device)) else "float32"
        key = fit_key(self, precision, shapes, subjects) if file else None
        self.history_ = fit(problem, settings, file=file, key=key, progress=self.progress)
        return self

    def predict(self, X: Any) -> Any:
        """Responses to features, [N, V] ([N] if Y was [N]); NaN for targets that were never measured.

        Args:
            X: as in `fit`. For several subjects a mapping subject -> pairs or features; the prediction is one, too. Of
                a network that learned from one subject its name may be left out.

        Raises:
            DataError: layers, shapes or subjects differ from those of the fit.
        """
        check_is_fitted(self, "net_")
        named = isinstance(X, Mapping) and bool(X) and set(X) <= set(self.subjects_)
        if len(self.subjects_) == 1 and not (named or is_named(X)):
            pred = self._predict(0, X)
            return pred[:, 0] if self.single_ else pred
        if not named:
            got = f"the keys {sorted(X)}" if isinstance(X, Mapping) else f"a {type(X).__name__}"
            raise DataError(f"X has {got}; wanted a mapping from some of the subjects {', '.join(self.subjects_)}")
        return {name: self._predict(self.subjects_.index(name), one) for name, one in X.items()}

    def score(self, X: Any, Y: Any = None) -> float:
        """Mean R2 over the targets, of all subjects alike, each over the samples in which it was measured.

        Args:
            X: as in `predict`.
            Y: [N, V] or [N]; NaN where nothing was measured. Pairs hold theirs.

        Raises:
            DataError: as in `predict`, or nothing was measured, or the responses are missing or of another shape.
        """
        pred = self.predict(X)
        if not isinstance(pred, dict):
            return mean_r2([(_responses(X, Y), pred)])
        if Y is not None:
            raise DataError("got Y beside pairs of several subjects, which hold their responses; leave it out")
        return mean_r2([(_responses(X[name], None), own) for name, own in pred.items()])

    def save(self, folder: Path | str) -> None:
        """Write the model to a folder, from which `load` makes it again: safetensors and JSON, no pickle.

        Raises:
            SettingsError: the folder is there already and not empty.
        """
        check_is_fitted(self, "net_")
        if Path(folder).exists() and any(Path(folder).iterdir()):
            raise SettingsError(f"{folder} is not empty; give another folder, or remove this one")
        shapes = {layer: list(shape) for layer, shape in self.shapes_.items()}
        state: dict[str, Any] = {
            "settings": plain_settings(self),
            "net_args": dict(self.net_args or {}),
            "layers": shapes,
        }
        state |= {"subjects": self.subjects_, "single": self.single_, "history": asdict(self.history_)}
        tensors = prefixed("net", self.net_.state_dict())
        for number, units in enumerate(self.units_):
            tensors |= prefixed(f"units.{number}", units.tensors())
        with atomic(folder) as new:
            new.mkdir()
            save_tensors(new / WEIGHTS, tensors, {})
            write_json(new / MODEL, state)

    @classmethod
    def load(cls, folder: Path | str, device: str = "auto") -> Self:
        """The model that `save` wrote.

        Args:
            folder: it is in.
            device: to put it on.

        Raises:
            LayoutError: the folder holds none, or a damaged one.
        """
        folder = Path(folder)
        if not (folder / MODEL).is_file():
            raise LayoutError(f"{folder} holds no saved network ({MODEL} is missing); give the folder of one")
        state, (tensors, _) = read_json(folder / MODEL), load_tensors(folder / WEIGHTS)
        model = cls(**{**state["settings"], "net_args": state["net_args"], "device": device})
        model.subjects_, model.single_ = state["subjects"], state["single"]
        model.history_ = History(**state["history"])
        weights, count = under("net", tensors), len(model.subjects_)
        places = [weights[f"targets.{number}.coordinates"] for number in range(count)]
        shapes = {layer: TokenShape(shape[0], tuple(shape[1]), shape[2]) for layer, shape in state["layers"].items()}
        model.net_ = model._build(shapes, places)
        model.net_.load_state_dict(weights)
        model.net_.to(find_device(device)).eval()
        model.units_ = [Units(**under(f"units.{number}", tensors)) for number in range(count)]
        return model

    def _settings(self) -> Settings:
        if self.net not in NETS:
            raise UnknownNameError(unknown("net", self.net, NETS))
        if self.loss not in get_args(Loss):
            raise UnknownNameError(unknown("loss", str(self.loss), get_args(Loss)))
        if isinstance(self.penalty, bool) or not (np.isfinite(self.penalty) and self.penalty >= 0):
            raise SettingsError(f"penalty is {self.penalty!r}; wanted a number from 0 up")
        if self.decay_steps is not None and self.decay_steps < 1:
            raise SettingsError(f"decay_steps is {self.decay_steps!r}; wanted a number of steps, or None")
        return Settings(**{name: getattr(self, name) for name in _TRAINING})

    def _build(self, shapes: Mapping[str, TokenShape], places: list[torch.Tensor]) -> Selector:
        self.shapes_ = dict(shapes)
        with lent() as seed:
            seed(self.seed)
            try:
                return NETS[self.net](shapes, places, width=self.width, **(self.net_args or {}))
            except (TypeError, ValueError) as reason:
                raise SettingsError(f"net {self.net!r} cannot be made ({reason})") from reason

    def _predict(self, subject: int, X: Any) -> NDArray[np.float32]:
        views = read_views(X)
        check_layers(token_shapes(views), self.shapes_)
        count, device = count_rows(views), next(self.net_.parameters()).device
        units, parts = self.units_[subject], []
        half = Settings(precision=self.precision).half(device)
        with torch.no_grad(), torch.autocast(device.type, dtype=torch.bfloat16, enabled=half):
            for start in range(0, count, TOGETHER):
                rows = np.arange(start, min(count, start + TOGETHER))
                tokens = split_tokens({name: view[rows] for name, view in views.items()}, self.net_.layers, device)
                pred, _ = self.net_(*tokens, subject)
                parts.append(units.restore(pred.float()).cpu().numpy())
        return np.concatenate([np.empty((0, len(units.mean)), np.float32), *parts])


def _common_shapes(subjects: Mapping[str, Subject]) -> dict[str, TokenShape]:
    """Shapes of the tokens, the same for all subjects."""
    found = {name: token_shapes(one.train.features) for name, one in subjects.items()}
    first = next(iter(found.values()))
    for shapes in found.values():
        check_layers(shapes, first)
    return first


def _is_single(Y: Any) -> bool:
    return Y is not None and np.ndim(Y) == 1


def _responses(X: Any, Y: Any) -> NDArray[Any]:
    if Y is None and not isinstance(X, Pairs):
        raise DataError("score needs responses: score(X, Y) with Y [N, V], or pairs, which hold them")
    return np.asarray(X.responses if Y is None else Y)
