"""Prompts, and the one sequence of tokens that a vision-language network reads for a prompt and a picture."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
import yaml
from torch import Tensor

from fusiform.errors import LayoutError, MissingDataError, SettingsError
from fusiform.features.networks.tokenizing import special_ids
from fusiform.yamlfile import OnceEach

__all__ = ["PROMPTS", "Pool", "Reading", "chat_text", "filled", "read_prompts", "reading_of"]

Pool = Literal["all", "image", "text", "last"]

# one for each group of tasks by which vision-language networks are instructed
PROMPTS: Mapping[str, str] = {
    "captioning": "Describe this picture in one sentence.",
    "question answering": "What is the main thing in this picture?",
    "visual relationship": "How do the things in this picture relate to one another in space?",
    "commonsense": "What is likely to be the reason for what is happening here?",
    "image understanding": "What kind of scene is this, and what is its mood?",
    "temporal ordering": "What happened just before this moment, and what will happen next?",
    "grounded generation": "Describe the thing at the centre of this picture.",
    "grounded matching": "Which part of this picture holds the largest living thing?",
    "region understanding": "What can be seen in the lower half of this picture?",
    "image-text matching": "Does this picture fit the words 'people outdoors'?",
    "text legibility": "Can any writing in this picture be read?",
    "text extraction": "Write down every word that is written in this picture.",
    "disaster type": "Does this picture show a disaster, and of which kind?",
}


@dataclass(frozen=True)
class Reading:
    """What a network reads for a picture under its prompt.

    Args:
        ids: [L] of tokens.
        weights: [L] by which the states of the tokens are summed to one.
    """

    ids: Tensor
    weights: Tensor


def read_prompts(path: Path | str) -> dict[str, str]:
    """Prompts by name, from a YAML file of `name: prompt` lines.

    Raises:
        MissingDataError: there is no such file.
        LayoutError: it is no mapping of names to texts.
        SettingsError: it has two prompts of one name.
    """
    if not Path(path).is_file():
        raise MissingDataError(f"there is no file {path} of prompts; wanted YAML with `name: prompt` lines")
    try:
        with Path(path).open(encoding="utf-8") as file:
            found = yaml.load(file, Loader=OnceEach)
    except (yaml.YAMLError, UnicodeDecodeError) as reason:
        raise LayoutError(f"{path} cannot be read as YAML ({' '.join(str(reason).split())})") from reason
    if not isinstance(found, dict) or not found or not all(isinstance(prompt, str) for prompt in found.values()):
        raise LayoutError(f"{path} holds no prompts; wanted `name: prompt` lines, each prompt a text (quote numbers)")
    return {str(name): prompt for name, prompt in found.items()}


def chat_text(tokenizer: Any, chat_template: str, prompt: str) -> str:
    """A prompt about a picture as the user's turn of a conversation, up to where the network would answer.

    Raises:
        SettingsError: the template cannot be filled so.
    """
    said = [{"type": "image"}, {"type": "text", "text": prompt}]
    turn = [{"role": "user", "content": said}]
    try:
        return str(
            tokenizer.apply_chat_template(turn, chat_template=chat_template, tokenize=False, add_generation_prompt=True)
        )
    except Exception as reason:  # templates are programs, and raise what they like
        raise SettingsError(
            f"the network's chat template cannot be filled ({reason}); give a template of your own, such as "
            "template='{image} {prompt}'"
        ) from reason


def filled(template: str, *, prompt: str, image: str, bos: str) -> str:
    """A template with its places `{image}`, `{bos}` and, last of all, `{prompt}` filled."""
    return template.replace("{image}", image).replace("{bos}", bos).replace("{prompt}", prompt)


def reading_of(text: str, pictures: int, image: int, tokenizer: Any, pool: Pool) -> Reading:
    """The tokens of a text in which the picture's stand, or stand before it.

    Special tokens, and whatever stands between the first and the last token of the picture, are in no mean but the
    picture's own tokens.

    Args:
        text: with everything around the prompt.
        pictures: picture tokens that go before the text and its beginning.
        image: id of a picture token.
        tokenizer: of the network.
        pool: `all` that is not special, the picture's tokens (`image`), those of the `text`, or the `last` one.

    Raises:
        SettingsError: there is no such token.
    """
    whole = bool(tokenizer.bos_token) and text.startswith(tokenizer.bos_token)  # else there would be two of them
    ids = torch.tensor([image] * pictures + tokenizer(text, add_special_tokens=not whole)["input_ids"])
    seen = ids == image
    places = seen.nonzero().flatten()
    special = special_ids(tokenizer)
    read = torch.tensor([number not in special for number in ids.tolist()])
    if len(places):
        read[places[0] : places[-1] + 1] = False
    chosen = {"all": seen | read, "image": seen, "text": read, "last": _last(seen | read)}[pool]
    if not chosen.any():
        raise SettingsError(f"pool={pool!r} finds no token in {text!r}; give a longer prompt, or another pool")
    return Reading(ids, chosen / chosen.sum())


def _last(found: Tensor) -> Tensor:
    """Only the last of some tokens, [L]."""
    return found & (found.flip(0).cumsum(0).flip(0) == 1)
