"""Prompts from files, and the tokens that are pooled."""

from pathlib import Path
from typing import Any

import pytest
from tiny_language import piece_tokenizer

from fusiform.errors import LayoutError, MissingDataError, SettingsError
from fusiform.features.networks.prompting import chat_text, filled, read_prompts, reading_of


def test_a_file_of_prompts(tmp_path: Path) -> None:
    file = tmp_path / "prompts.yaml"
    file.write_text("first: What is it?\nsecond: 'Count: how many?'\n3: Düster?\n", encoding="utf-8")
    assert read_prompts(file) == {"first": "What is it?", "second": "Count: how many?", "3": "Düster?"}
    assert list(read_prompts(str(file))) == ["first", "second", "3"]


@pytest.mark.parametrize("content", ["- a\n- b\n", "", "a: 3\n", "a: [b\n", "just text\n"])
def test_a_file_that_holds_none(content: str, tmp_path: Path) -> None:
    file = tmp_path / "prompts.yaml"
    file.write_text(content)
    with pytest.raises(LayoutError, match=r"prompts.yaml (holds no prompts|cannot be read as YAML)"):
        read_prompts(file)


def test_two_prompts_of_one_name(tmp_path: Path) -> None:
    file = tmp_path / "prompts.yaml"
    file.write_text("scene: Where is it?\nthing: What is it?\nscene: Is it day?\n")
    with pytest.raises(SettingsError, match=r"prompts\.yaml has the key 'scene' again in line 3; .* keep one"):
        read_prompts(file)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match=r"there is no file .*absent.yaml of prompts"):
        read_prompts(tmp_path / "absent.yaml")


def test_a_prompt_is_never_taken_for_a_template() -> None:
    assert (
        filled("{bos}{image} {prompt}", prompt="{image} and {bos}", image="<i>", bos="<s>")
        == "<s><i> {image} and {bos}"
    )


def test_a_chat_template_that_fails_is_said_to() -> None:
    with pytest.raises(
        SettingsError, match=r"the network's chat template cannot be filled .*give a template of your own"
    ):
        chat_text(piece_tokenizer(["<image>"]), "{{ raise_exception('only text') }}", "What?")


@pytest.mark.parametrize("pool", ["image", "text", "all", "last"])
def test_pools(pool: Any) -> None:
    """Special tokens, and what stands between the picture's tokens, are in none."""
    tokenizer = piece_tokenizer(["<image>", "<end>"])
    text = "<end><image><image>row<image><image>the rabbit<end>"
    reading = reading_of(text, 0, tokenizer.convert_tokens_to_ids("<image>"), tokenizer, pool)
    tokens = tokenizer.convert_ids_to_tokens(reading.ids.tolist())
    assert tokens[:4] == ["<s>", "<end>", "<image>", "<image>"]
    seen = [place for place, token in enumerate(tokens) if token == "<image>"]
    read = list(range(seen[-1] + 1, len(tokens) - 1))
    assert len(read) > 1
    wanted = {"image": seen, "text": read, "all": seen + read, "last": read[-1:]}[pool]
    assert [place for place, weight in enumerate(reading.weights.tolist()) if weight] == wanted
    assert reading.weights.sum().item() == pytest.approx(1)


def test_no_token_to_pool() -> None:
    tokenizer = piece_tokenizer(["<image>"])
    with pytest.raises(SettingsError, match="pool='text' finds no token in '<image>'; give a longer prompt"):
        reading_of("<image>", 0, tokenizer.convert_tokens_to_ids("<image>"), tokenizer, "text")
