"""Settings that several verbs share, in groups: each is named, typed, given its default and explained once."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from fusiform.datasets import Dataset, load_dataset, with_agreement, with_root, with_trust
from fusiform.datasets.roots import looking_in
from fusiform.errors import SettingsError
from fusiform.recipes.groups import Settings

__all__ = ["Brain", "Brains", "Files", "Learning", "Location", "NamedNetwork", "Network", "Source"]


@dataclass(frozen=True, kw_only=True)
class Location(Settings):
    """Where the files of a dataset lie, and how they are opened.

    Parameters
    ----------
    root
        folder of the dataset's files, or the one that holds a folder of its name (default: $FUSIFORM_DATA)
    trust_pickle
        open files that are pickles: you trust where they came from, for a pickle can run code
    dataset_args
        key=value,...: arguments of the dataset
    """

    root: str | Path | None = None
    trust_pickle: bool = False
    dataset_args: Mapping[str, Any] | None = None

    def arguments(self, dataset: str) -> dict[str, Any]:
        """What a dataset is made with."""
        return with_root(dataset, self.root, with_trust(dataset, self.trust_pickle, self.dataset_args))


@dataclass(frozen=True, kw_only=True)
class Files(Location):
    """How the files of a dataset are found and read.

    Parameters
    ----------
    part
        of a dataset with several kinds of stimuli (default: the first)
    i_have_agreed
        you have agreed to the terms of data that are read from an address
    """

    part: str | None = None
    i_have_agreed: bool = False

    def arguments(self, dataset: str) -> dict[str, Any]:
        """What a dataset is made with."""
        return with_agreement(super().arguments(dataset), self.i_have_agreed)


@dataclass(frozen=True, kw_only=True)
class Source(Files):
    """A dataset.

    Parameters
    ----------
    dataset
        name of the dataset, folder:PATH, or the path of a dataset.yaml
    """

    dataset: str

    @contextmanager
    def opened(self) -> Iterator[Dataset]:
        """The dataset; what it reads within the block is looked for in `root`."""
        with looking_in(self.root, self.dataset):
            yield load_dataset(self.dataset, **self.arguments(self.dataset))


@dataclass(frozen=True, kw_only=True)
class _Responses(Source):
    """What is read of a dataset's responses.

    Parameters
    ----------
    rois
        regions to predict (default: all)
    single_trials
        keep the repeats of a stimulus apart instead of averaging them
    """

    rois: Sequence[str] | None = None
    single_trials: bool = False


@dataclass(frozen=True, kw_only=True)
class Brain(_Responses):
    """The responses of one subject of a dataset.

    Parameters
    ----------
    subject
        whose brain (default: the first)
    """

    subject: str | None = None


@dataclass(frozen=True, kw_only=True)
class Brains(_Responses):
    """The responses of one or several subjects of a dataset.

    Parameters
    ----------
    subject
        whose brain (default: the first), or with the model `selector` several, which learn together
    """

    subject: Sequence[str] | None = None

    def each(self) -> list[Brain]:
        """The brain of every subject that is named.

        Raises:
            SettingsError: one is named twice.
        """
        named = self.subject or (None,)
        if twice := [one for number, one in enumerate(named) if one in named[:number]]:
            raise SettingsError(f"the subject {twice[0]} was given twice; give each once")
        shared = {field.name: getattr(self, field.name) for field in fields(_Responses)}
        return [Brain(**shared, subject=one) for one in named]


@dataclass(frozen=True, kw_only=True)
class NamedNetwork(Settings):
    """A network that must be named, and how it describes stimuli.

    Parameters
    ----------
    backbone
        name of the network, or module:Class of your own
    reduce
        what to keep of each layer: mean, cls or pool:HxW of its grid, project:DIM or pca:DIM of its rows, or several
        joined by +, such as mean+pca:64 (default: all of it)
    device
        auto, cpu, cuda, cuda:1
    image_size
        pixels, of the side to which pictures are resized for a class of your own that does not say it (default: 224)
    normalise
        imagenet, clip or none: statistics that its pictures are normalised by (default: imagenet)
    backbone_args
        key=value,...: arguments of the backbone
    """

    backbone: str
    reduce: str | None = None
    device: str = "auto"
    image_size: int | None = None
    normalise: str | None = None
    backbone_args: Mapping[str, Any] | None = None

    def load(self) -> Any:
        """The backbone; a size of pictures and statistics are for a class that does not say how it wants them."""
        from fusiform.features.preprocess import Picture
        from fusiform.features.tokens import load_backbone

        told: dict[str, Any] = {"size": self.image_size, "normalise": self.normalise}
        told = {key: value for key, value in told.items() if value is not None}
        return load_backbone(self.backbone, picture=Picture(**told) if told else None, **(self.backbone_args or {}))


@dataclass(frozen=True, kw_only=True)
class Network(NamedNetwork):
    """A network, or plain pixels where none is named."""

    backbone: str = "pixels"


@dataclass(frozen=True, kw_only=True)
class Learning(Settings):
    """What learns, and what it is compared with.

    Parameters
    ----------
    model
        name of the model
    model_args
        key=value,...: arguments of the model
    seed
        of the shuffled control
    """

    model: str = "ridge"
    model_args: Mapping[str, Any] | None = None
    seed: int = 0
