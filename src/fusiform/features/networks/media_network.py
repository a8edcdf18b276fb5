"""Published networks of films and sounds: which family a checkpoint is of, its part that sees or hears, its files."""

from collections.abc import Sequence
from typing import Any

from torch import nn

from fusiform.errors import LayoutError, SettingsError
from fusiform.features.networks.checkpoints import drop_untrained, load_whole, read_json_of
from fusiform.registry import need

__all__ = ["FILMS", "SOUNDS", "load_extractor", "load_part", "load_video_config", "model_type_of"]

FILMS = ("videomae", "vjepa2")  # families, as configurations call them
SOUNDS = ("audio-spectrogram-transformer", "hubert", "wav2vec2", "wav2vec2-bert", "wavlm", "whisper")
_FOR_TRAINING = "masked_spec_embed"  # stands for hidden moments, of which there are none


def model_type_of(source: str, commit: str | None, known: Sequence[str], stimuli: str) -> str:
    """The family of a checkpoint, such as `"whisper"`.

    Args:
        source: name on the hub, or a local folder.
        commit: hash, tag or branch on the hub.
        known: families that can be read here.
        stimuli: what they read, for the error.

    Raises:
        LayoutError: there is no such network.
        SettingsError: it is of another family.
    """
    config = read_json_of(source, commit, "config.json")
    if config is None:
        raise LayoutError(
            f"{source!r} has no config.json within reach; wanted a name on the model hub (which needs a connection "
            "once) or a local folder that save_pretrained wrote"
        )
    found = str(config.get("model_type"))
    if found not in known:
        raise SettingsError(
            f"{source!r} is of the family {found!r}; wanted a network of {stimuli} ({', '.join(known)}): networks of "
            "pictures are brought by hf:, films by hf-video:, sounds by hf-audio:, any other through hook_layers"
        )
    return found


def load_part(source: str, commit: str | None, part: str) -> Any:
    """A part of a network (all of it where `part` is empty), in evaluation mode and float32.

    Raises:
        MissingExtraError: transformers is not installed.
        LayoutError: there is no such network, or weights are missing.
    """
    model, missing = load_whole(source, commit)
    network: nn.Module = getattr(model, part) if part else model
    prefix = f"{part}." if part else ""
    own = [key.removeprefix(prefix) for key in missing if key.startswith(prefix) and _FOR_TRAINING not in key]
    drop_untrained(network, own, source)
    return network.float().eval()


def load_video_config(source: str, commit: str | None) -> dict[str, Any] | None:
    """The settings of a network's video processor, or None where it came without.

    Raises:
        LayoutError: the file is damaged, or the hub cannot be asked whether there is one.
    """
    alone = read_json_of(source, commit, "video_preprocessor_config.json")
    return dict(alone) if alone is not None else _processing(source, commit, "video_processor", "image_processor")


def load_extractor(source: str, commit: str | None, name: str) -> Any:
    """The feature extractor of a network of sounds, by the class of its family.

    Without a file of its own, everything is as the family has it.

    Raises:
        MissingExtraError: transformers is not installed.
        LayoutError: the file is damaged.
    """
    kind = getattr(need("transformers", extra="models"), name)
    config = _processing(source, commit, "feature_extractor")
    try:
        return kind(**(config or {}))
    except (TypeError, ValueError) as reason:
        raise LayoutError(
            f"the preprocessor_config.json of {source!r} does not make a {name} ({reason}); wanted the "
            "network's own file"
        ) from reason


def _processing(source: str, commit: str | None, *parts: str) -> dict[str, Any] | None:
    """The file of a processor, or that part of a joint one."""
    alone = read_json_of(source, commit, "preprocessor_config.json")
    joint = {} if alone is not None else read_json_of(source, commit, "processor_config.json") or {}
    found = alone if alone is not None else next((joint[part] for part in parts if joint.get(part)), None)
    return None if found is None else dict(found)
