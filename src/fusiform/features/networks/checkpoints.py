"""Published networks from a model hub or a local folder: the part that sees or reads, its revision, its preprocessing.

Every weight must come from the checkpoint. A part that does not (a pooling layer that was never trained) is removed,
because transformers would fill it with random numbers.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

from torch import nn

from fusiform.errors import LayoutError, SettingsError
from fusiform.features.hooks import weights_digest
from fusiform.registry import need

__all__ = [
    "check_folder",
    "drop_untrained",
    "load_language",
    "load_processing_config",
    "load_vision",
    "load_vision_language",
    "load_whole",
    "read_json_of",
    "revision_of",
]

_VISION = ("vision_model", "vision_encoder")  # where networks of pictures and words (CLIP, SigLIP, SAM) keep it
_TEXT = ("text_model", "language_model")  # and where they keep the part that reads
_SEES = ("vision_tower", "visual", "vision_model")  # of those that write about pictures
_UNUSED = "mask_token"  # stands for hidden patches, of which there are none


def check_folder(source: str) -> None:
    """Say early that a local folder holds no network.

    Raises:
        LayoutError: it is a folder without `config.json`.
    """
    if Path(source).is_dir() and not (Path(source) / "config.json").is_file():
        raise LayoutError(f"the folder {source} has no config.json; wanted one that save_pretrained wrote")


def load_vision(source: str, commit: str | None) -> Any:
    """The vision part of a network, in evaluation mode and float32; `source` and `commit` as in `load_whole`.

    Raises:
        MissingExtraError: transformers is not installed.
        LayoutError: there is no such network, or weights are missing.
        SettingsError: it takes no pictures.
    """
    model, missing = load_whole(source, commit)
    part, vision = _part(model, _VISION)
    of_films = hasattr(model.config, "tubelet_size")  # whose patches have a depth in time
    if of_films or (getattr(model, "main_input_name", "pixel_values") != "pixel_values" and not part):
        taken = "films" if of_films else model.main_input_name
        raise SettingsError(
            f"{source!r} ({type(model).__name__}) takes {taken}; wanted pictures: networks of films are brought by "
            "hf-video:, of sounds by hf-audio:, of text by hf-text: and, for the words of recordings, hf-words:"
        )
    drop_untrained(vision, _below(missing, part), source)
    if hasattr(vision.config, "mask_ratio"):
        vision.config.mask_ratio = 0.0  # a masked autoencoder describes the whole picture here
    return vision.float().eval()


def load_language(source: str, commit: str | None) -> Any:
    """The part of a network that reads text, in evaluation mode and in the precision of its checkpoint.

    That is the text part of a network of pictures and words, and the encoder of one that encodes and decodes. `source`
    and `commit` are as in `load_whole`.

    Raises:
        MissingExtraError: transformers is not installed.
        LayoutError: there is no such network, or weights are missing.
        SettingsError: it reads no text.
    """
    model, missing = load_whole(source, commit)
    part, language = _part(model, ("encoder",) if model.config.is_encoder_decoder else _TEXT)
    if language.main_input_name != "input_ids":
        raise SettingsError(f"{source!r} ({type(model).__name__}) takes {language.main_input_name}; wanted text")
    drop_untrained(language, _below(missing, part), source)
    return language.eval()


def load_vision_language(source: str, commit: str | None) -> Any:
    """A network that reads about pictures, in evaluation mode and in the precision of its checkpoint.

    It is loaded with its head, because InstructBLIP's weights fit no other class, and given without, where that can be.
    `source` and `commit` are as in `load_whole`.

    Raises:
        MissingExtraError: transformers is not installed.
        LayoutError: there is no such network, or weights are missing.
    """
    model, missing = load_whole(source, commit, "AutoModelForImageTextToText")
    sees = any(hasattr(getattr(model, "model", None), part) for part in _SEES)  # before transformers 5, some only read
    name, network = _part(model, ("model",) if sees else ())
    drop_untrained(network, _below(missing, name), source)
    return network.eval()


def load_whole(source: str, commit: str | None, kind: str = "AutoModel") -> tuple[Any, list[str]]:
    """A network as it is, and the names of its weights that the checkpoint lacks.

    Args:
        source: name on the hub, or a local folder.
        commit: hash, tag or branch on the hub.
        kind: the class of transformers that chooses among networks.

    Raises:
        MissingExtraError: transformers is not installed.
        LayoutError: there is no such network.
    """
    transformers = need("transformers", extra="models")
    try:
        with _quiet():
            loader = getattr(transformers, kind)
            model, report = loader.from_pretrained(source, revision=commit, output_loading_info=True)
    except Exception as reason:  # a damaged checkpoint breaks in any of four libraries
        raise LayoutError(_unreadable(source, reason)) from reason
    return model, sorted(report["missing_keys"])


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the table of weights that are missing, which are dealt with here, or of no use to us."""
    logging = need("transformers.utils.logging", extra="models")
    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(before)


def _part(model: Any, names: tuple[str, ...]) -> tuple[str, Any]:
    """The first of these submodules that a network has, and its name; or the network itself, and `""`."""
    name = next((name for name in names if isinstance(getattr(model, name, None), nn.Module)), "")
    part: Any = getattr(model, name) if name else model
    part.config._commit_hash = getattr(model.config, "_commit_hash", None)  # configurations of parts have none
    return name, part


def _below(missing: list[str], part: str) -> list[str]:
    """The missing weights of a part, by their names in it."""
    prefix = f"{part}." if part else ""
    return [key[len(prefix) :] for key in missing if key.startswith(prefix)]


def drop_untrained(network: Any, missing: list[str], source: str) -> None:
    """Remove a pooling layer without weights; nothing else may lack any.

    Raises:
        LayoutError: other weights are missing.
    """
    for above in {key.partition("pooler.")[0].rstrip(".") for key in missing if "pooler." in key}:
        network.get_submodule(above).pooler = None
    lost = sorted(key for key in missing if "pooler." not in key and _UNUSED not in key)
    if lost:
        raise LayoutError(
            f"{len(lost)} weights of {source!r} are not in its checkpoint, such as {lost[0]!r}, and would be random; "
            "wanted a complete one"
        )


def revision_of(vision: Any, source: str) -> str:
    """The commit that the hub names, or a digest of the weights and of the folder's `config.json`."""
    commit = getattr(vision.config, "_commit_hash", None)
    if commit:
        return str(commit)
    return f"{weights_digest(vision)}-{sha256((Path(source) / 'config.json').read_bytes()).hexdigest()[:8]}"


def load_processing_config(source: str, commit: str | None) -> dict[str, Any] | None:
    """The settings of a network's image processor, or None where it came without.

    Raises:
        LayoutError: the file is damaged, or the hub cannot be asked whether there is one.
    """
    for file in ("preprocessor_config.json", "processor_config.json"):
        content = read_json_of(source, commit, file)
        if file == "processor_config.json":  # that of a network of pictures and words holds both processors
            content = (content or {}).get("image_processor")
        if content is not None:
            return dict(content)
    return None


def read_json_of(source: str, commit: str | None, file: str) -> Any:
    """The content of a JSON file of a network; None where it has none.

    Raises:
        LayoutError: the file is damaged, or the hub cannot be asked whether there is one.
    """
    hub = need("transformers.utils", extra="models")
    try:
        path = hub.cached_file(source, file, revision=commit, _raise_exceptions_for_missing_entries=False)
        return json.loads(Path(path).read_text(encoding="utf-8")) if path else None
    except (OSError, ValueError) as reason:
        raise LayoutError(_unreadable(f"{source}/{file}", reason)) from reason


def _unreadable(what: str, reason: Exception) -> str:
    said = str(reason).strip().partition("\n")[0][:200]  # the lines that follow are advice about tokens and caches
    return f"cannot load {what!r} ({type(reason).__name__}: {said}); wanted a name on the model hub or a local folder"
