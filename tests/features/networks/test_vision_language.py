"""Vision-language networks: tiny ones of every family, against transformers' own processors and plain forward."""

import json
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from tiny_vision_language import DEPTH, FAMILIES, SIDE, save_vision_language

from fusiform.data import Stimuli
from fusiform.errors import DataError, LayoutError, SettingsError
from fusiform.features.extract import extract
from fusiform.features.hooks import weights_digest
from fusiform.features.networks.prompting import PROMPTS
from fusiform.features.networks.vision_language import VisionLanguage
from fusiform.features.store import FeatureStore
from fusiform.features.tokens import load_backbone
from fusiform.testing import check_backbone

transformers = pytest.importorskip("transformers")
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of its processors

Saved = Callable[[str], str]
PROMPT = "What is this picture?"
QWEN, IDEFICS3 = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl"), ("idefics3", "smolvlm")


def picture(id: str) -> Image.Image:
    random = np.random.default_rng(int(id))
    return Image.fromarray(random.integers(0, 256, (40, 36, 3), dtype=np.uint8))


PICTURES = Stimuli("noise", "image", pd.DataFrame(index=["0", "1", "2"]), picture)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Saved:
    """`saved(family)`: the folder of a tiny network with its tokenizer and picture file."""
    root = tmp_path_factory.mktemp("vision-language")
    return lambda name: str(root / name if (root / name).exists() else save_vision_language(name, root / name))


def official(name: str, folder: str, prompt: str = PROMPT) -> Callable[[Image.Image], dict[str, Any]]:
    """What transformers' own processor makes of a picture and the prompt."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    file = {key: value for key, value in FAMILIES[name].file.items() if key != "image_processor_type"}
    kind = FAMILIES[name].file["image_processor_type"].replace("SmolVLM", "Idefics3")  # the same by another name
    pictures = getattr(transformers, kind)(**file)
    chat = FAMILIES[name].chat
    said = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": prompt}]}]
    text = tokenizer.apply_chat_template(said, tokenize=False, add_generation_prompt=True) if chat else prompt
    if name in QWEN:
        return lambda one: _qwen(pictures, tokenizer, text, one)
    if name == "llava":
        text = f"USER: <image>\n{prompt} ASSISTANT:"
        more = {"patch_size": 8, "vision_feature_select_strategy": "default", "num_additional_image_tokens": 1}
        processor = transformers.LlavaProcessor(pictures, tokenizer, **more)
    elif name == "paligemma":
        pictures.image_seq_length = 16
        processor = transformers.PaliGemmaProcessor(pictures, tokenizer)
    elif name == "instructblip":
        queries = transformers.AutoTokenizer.from_pretrained(f"{folder}/qformer_tokenizer")
        processor = transformers.InstructBlipProcessor(pictures, tokenizer, queries, num_query_tokens=5)
    elif name.startswith("blip-2"):
        processor = transformers.Blip2Processor(pictures, tokenizer, num_query_tokens=5)
    elif name == "idefics2":
        processor = transformers.Idefics2Processor(pictures, tokenizer, image_seq_len=3)
    else:
        processor = transformers.Idefics3Processor(pictures, tokenizer, image_seq_len=4)
    return lambda one: dict(processor(images=one, text=text, return_tensors="pt"))


def _qwen(pictures: Any, tokenizer: Any, text: str, one: Image.Image) -> dict[str, Any]:
    """By hand: its own processor needs torchvision."""
    seen = dict(pictures(images=one, return_tensors="pt"))
    count = int(seen["image_grid_thw"].prod()) // 4
    read = dict(tokenizer(text.replace("<|image_pad|>", "<|image_pad|>" * count), return_tensors="pt"))
    image = read["input_ids"] == tokenizer.convert_tokens_to_ids("<|image_pad|>")
    return {**seen, **read, "mm_token_type_ids": image.int()}


@cache
def whole(folder: str) -> Any:
    """The network without its head; InstructBLIP's weights have other names there, which transformers does not know."""
    if "instructblip" not in folder:
        return transformers.AutoModel.from_pretrained(folder).eval()
    headed = transformers.InstructBlipForConditionalGeneration.from_pretrained(folder)
    weights = {name: value for name, value in headed.state_dict().items() if "lm_head" not in name}
    network = transformers.InstructBlipModel(headed.config).eval()
    network.load_state_dict({name.replace("language_model.model", "language_model"): weights[name] for name in weights})
    return network


def plain(folder: str, given: dict[str, Any]) -> dict[str, Any]:
    """part -> [1, T, C] per hidden state but the last, which is normed in some families; and the last state."""
    network = whole(folder)
    text = network.config.text_config
    more = {"decoder_input_ids": torch.tensor([[2]])} if text.is_encoder_decoder else {}
    given = {key: value for key, value in given.items() if key not in ("labels", "rows", "cols")}
    with torch.inference_mode():
        found = network(**given, **more, output_hidden_states=True)
        seen = _seen(network, given)
    read = found.get("language_model_outputs") or found
    states = read.get("encoder_hidden_states") or read.hidden_states
    parts = {"language": [*states[:DEPTH], states[-1]], "vision": [*seen.hidden_states[:DEPTH], seen.last_hidden_state]}
    if "qformer_outputs" in found:
        parts["qformer"] = [state[:, :5] for state in found.qformer_outputs.hidden_states]
    return parts


def _seen(network: Any, given: dict[str, Any]) -> Any:
    pixels = given["pixel_values"]
    if "image_grid_thw" in given:
        return network.visual(pixels, grid_thw=given["image_grid_thw"], output_hidden_states=True)
    tower = network.vision_tower if hasattr(network, "vision_tower") else network.vision_model
    return tower(pixels.flatten(0, 1) if pixels.ndim == 5 else pixels, output_hidden_states=True)


def patches(state: torch.Tensor, name: str) -> torch.Tensor:
    """Without the class token, of all tiles, [patches, C]."""
    classed = name in ("llava", "blip-2", "blip-2-t5", "instructblip")
    return (state[:, 1:] if classed else state).reshape(-1, state.shape[-1])


@pytest.mark.parametrize("family", FAMILIES)
class TestFamilies:
    def test_reads_what_the_official_processor_reads(self, family: str, saved: Saved) -> None:
        backbone = VisionLanguage(saved(family), PROMPT)
        for id in PICTURES.ids:
            wanted = official(family, saved(family))(picture(id))
            x = backbone.preprocess(picture(id))[None]
            reading = backbone._reading(x.shape[1:])
            assert reading.ids.tolist() == wanted["input_ids"][0].tolist()
            given = {
                **backbone.family.inputs(x, reading.ids[None], backbone.network),
                **backbone._given(reading.ids[None]),
            }
            np.testing.assert_allclose(given["pixel_values"], wanted["pixel_values"], atol=1e-3)
            for name in ("image_grid_thw", "mm_token_type_ids", "token_type_ids", "qformer_input_ids"):
                assert (name in given) == (name in wanted)
                assert name not in given or given[name].tolist() == wanted[name].tolist()

    def test_every_layer_is_pooled_from_the_plain_forward(self, family: str, saved: Saved) -> None:
        backbone: Any = load_backbone(f"hf-vlm:{saved(family)}", prompt=PROMPT)
        features, process = arrays(PICTURES, backbone, batch_size=2), official(family, saved(family))
        for row, id in enumerate(PICTURES.ids):
            given = process(picture(id))
            weights = backbone._reading(backbone.preprocess(picture(id)).shape).weights
            parts = plain(saved(family), given)
            means = {part: [state[0].mean(0) for state in parts[part]] for part in ("qformer",) if part in parts}
            means["language"] = [weights @ state[0] for state in parts["language"]]
            means["vision"] = [patches(state, family).mean(0) for state in parts["vision"]]
            for part, found in means.items():
                depth = len(found) - 1
                last = f"{part}.final" if f"{part}.final" in features else f"{part}.{depth}"
                names = [f"{part}.embeddings", *(f"{part}.{number}" for number in range(1, depth)), last]
                for name, wanted in zip(names, found, strict=True):
                    np.testing.assert_allclose(features[name][row], wanted, atol=5e-5, err_msg=name)
        blocks = {f"{part}.{number}" for part in ("language", "vision") for number in range(1, DEPTH + 1)}
        assert blocks <= set(features)
        assert "language.final" in features

    def test_keeps_the_contract(self, family: str, saved: Saved) -> None:
        check_backbone(VisionLanguage(saved(family), PROMPT), PICTURES)

    @pytest.mark.parametrize("pool", ["image", "text", "last", "all"])
    def test_pools_over_the_tokens_that_it_says(self, family: str, pool: Any, saved: Saved) -> None:
        backbone = VisionLanguage(saved(family), PROMPT, pool=pool)
        given, tokenizer = official(family, saved(family))(picture("0")), backbone.tokenizer
        reading = backbone._reading(backbone.preprocess(picture("0")).shape)
        ids = given["input_ids"][0].tolist()
        seen = [number == tokenizer.convert_tokens_to_ids(FAMILIES[family].image) for number in ids]
        first, last = seen.index(True), len(seen) - seen[::-1].index(True)
        special = set(tokenizer.all_special_ids)
        text = [not first <= place < last and number not in special for place, number in enumerate(ids)]
        assert PROMPT in tokenizer.decode([number for number, own in zip(ids, text, strict=True) if own])
        both = [one or other for one, other in zip(seen, text, strict=True)]
        end = [place == max(np.flatnonzero(both)) for place in range(len(ids))]
        chosen = {"image": seen, "text": text, "last": end, "all": both}[pool]
        np.testing.assert_allclose(reading.weights, np.array(chosen) / sum(chosen), atol=1e-7)
        wanted = reading.weights @ plain(saved(family), given)["language"][1][0]
        found = arrays(PICTURES.select(["0"]), backbone)["language.1"]
        np.testing.assert_allclose(found[0], wanted, atol=5e-5)


class TestPrompt:
    @pytest.mark.parametrize("family", ["llava", "qwen2_vl", "instructblip"])
    def test_changes_what_is_read_and_not_what_is_seen(self, family: str, saved: Saved) -> None:
        one, other = (VisionLanguage(saved(family), prompt) for prompt in (PROMPT, "Describe the rabbit."))
        first, second = (arrays(PICTURES, backbone) for backbone in (one, other))
        assert list(first) == list(second)
        for layer in first:
            same = np.allclose(first[layer], second[layer], atol=1e-5)
            assert same == (layer.startswith("vision.") or layer == "qformer.embeddings")
        assert key(one) != key(other)

    def test_many_share_one_network_and_have_a_key_each(self, saved: Saved, tmp_path: Path) -> None:
        store, net = FeatureStore(tmp_path / "store"), VisionLanguage(saved("llava"), "")
        twins = list(net.under(["What is this?", "Describe it."]))
        assert {id(twin.network) for twin in twins} == {id(net.network)}
        rows = [np.asarray(arrays(PICTURES, twin, store)["language.2"]) for twin in twins]
        alone = arrays(PICTURES, VisionLanguage(saved("llava"), "Describe it."))["language.2"]
        np.testing.assert_allclose(rows[1], alone, atol=1e-6)
        assert not np.allclose(rows[0], rows[1], atol=1e-3)
        assert len(store.names()) == 2

    def test_a_template_of_ones_own(self, saved: Saved) -> None:
        own = VisionLanguage(saved("llava"), PROMPT, template="Question: {prompt} {image} Answer:")
        assert own.text == f"Question: {PROMPT} <image> Answer:"
        assert own.settings["text"] == own.text
        tokens = own.tokenizer.convert_ids_to_tokens(own._reading(torch.Size((3, SIDE, SIDE))).ids.tolist())
        assert tokens.count("<image>") == 16
        assert tokens.index("<image>") > 5
        assert key(own) != key(VisionLanguage(saved("llava"), PROMPT))

    def test_the_chat_template_goes_before_that_of_the_family(self, saved: Saved, tmp_path: Path) -> None:
        part = "{{ '<image>' if part['type'] == 'image' else part['text'] }}|"
        chat = "{% for part in messages[0]['content'] %}" + part + "{% endfor %}"
        folder = shutil.copytree(saved("llava"), tmp_path / "llava")
        (folder / "chat_template.json").write_text(json.dumps({"chat_template": chat}))
        assert VisionLanguage(str(folder), PROMPT).text == f"<image>|{PROMPT}|"

    def test_a_beginning_in_the_template_is_not_doubled(self, saved: Saved) -> None:
        plainly = VisionLanguage(saved("llava"), PROMPT)
        marked = VisionLanguage(saved("llava"), PROMPT, template="{bos}USER: {image}\n{prompt} ASSISTANT:")
        shape = torch.Size((3, SIDE, SIDE))
        begin = marked.tokenizer.bos_token_id
        for backbone in (plainly, marked):
            assert backbone._reading(shape).ids.tolist().count(begin) == 1

    @pytest.mark.parametrize(
        ("family", "given", "complaint"),
        [
            ("llava", {"template": "{prompt}"}, r"has the template '{prompt}'; give one, such as template='{image}"),
            ("llava", {"template": "{image}"}, r"has the template '{image}'"),
            ("blip-2", {"template": "{image}{prompt}"}, r"give one, such as template='{prompt}'"),
            ("llava", {"prompt": "What is <image>?"}, r"has 2 places '<image>' for the picture; wanted one alone"),
            ("blip-2", {"prompt": "", "pool": "text"}, r"pool='text' finds no token in ''; give a longer prompt"),
            ("llava", {"split": False}, r"split=False does nothing in networks of the type 'llava'"),
            ("idefics2", {"split": True}, r"give split=False for whole ones"),
        ],
    )
    def test_what_cannot_be_read(self, family: str, given: dict[str, Any], complaint: str, saved: Saved) -> None:
        with pytest.raises((SettingsError, DataError), match=complaint):
            extract(PICTURES, VisionLanguage(saved(family), **{"prompt": PROMPT, **given}))

    def test_a_network_without_any_template(self, saved: Saved, tmp_path: Path) -> None:
        folder = shutil.copytree(saved("qwen2_vl"), tmp_path / "qwen")
        for file in folder.glob("chat_template*"):
            file.unlink()
        with pytest.raises(SettingsError, match="'qwen' has the template None; give one"):
            extract(PICTURES, VisionLanguage(str(folder), PROMPT))

    def test_ours_are_one_for_each_group_of_tasks(self) -> None:
        assert len(set(PROMPTS.values())) == len(PROMPTS) == 13


class TestPictures:
    @pytest.mark.parametrize("family", [*QWEN, *IDEFICS3, "idefics2"])
    def test_of_several_shapes_go_one_by_one_or_as_squares(self, family: str, saved: Saved) -> None:
        sizes = {"wide": (90, 30), "tall": (30, 90)}
        mixed = Stimuli("mixed", "image", pd.DataFrame(index=list(sizes)), lambda id: picture("0").resize(sizes[id]))
        one_by_one = arrays(mixed, VisionLanguage(saved(family), PROMPT), batch_size=1)["language.2"]
        for row, id in enumerate(mixed.ids):
            given = official(family, saved(family))(mixed.load(id))
            backbone = VisionLanguage(saved(family), PROMPT)
            weights = backbone._reading(backbone.preprocess(mixed.load(id)).shape).weights
            np.testing.assert_allclose(
                one_by_one[row], weights @ plain(saved(family), given)["language"][2][0], atol=5e-5
            )
        squared = VisionLanguage(saved(family), PROMPT, size=48)
        assert arrays(mixed, squared, batch_size=2)["language.2"].shape == (2, 16)
        assert key(squared) != key(VisionLanguage(saved(family), PROMPT))

    @pytest.mark.parametrize("family", IDEFICS3)
    def test_are_split_or_whole(self, family: str, saved: Saved) -> None:
        split, whole = (VisionLanguage(saved(family), PROMPT, split=choice) for choice in (None, False))
        assert split.preprocess(picture("0")).shape == (3, 2, 3, SIDE, SIDE)
        assert whole.preprocess(picture("0")).shape == (1, 1, 3, SIDE, SIDE)
        found, wanted = (arrays(PICTURES, one)["language.2"] for one in (split, whole))
        assert not np.allclose(found, wanted, atol=1e-3)
        assert key(split) != key(whole)


class TestLoading:
    def test_making_one_loads_nothing(self) -> None:
        assert VisionLanguage("somebody/something", "").name == "somebody/something"
        with pytest.raises(LayoutError, match=r"cannot load 'somebody/something' \(no config.json could be reached\)"):
            extract(PICTURES, VisionLanguage("somebody/something", ""))

    def test_a_network_of_another_kind(self, tmp_path: Path) -> None:
        config = transformers.ViTConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, image_size=8)
        transformers.ViTModel(config).save_pretrained(tmp_path)
        with pytest.raises(
            SettingsError, match="is of the type 'vit'; vision-language networks that are built in: blip"
        ):
            extract(PICTURES, VisionLanguage(str(tmp_path), PROMPT))

    def test_weights_that_are_missing(self, saved: Saved, tmp_path: Path) -> None:
        folder = shutil.copytree(saved("llava"), tmp_path / "llava")
        config = json.loads((folder / "config.json").read_text())
        config["text_config"]["num_hidden_layers"] = DEPTH + 1
        (folder / "config.json").write_text(json.dumps(config))
        with pytest.raises(LayoutError, match=r"weights of '.*llava' are not in its checkpoint"):
            extract(PICTURES, VisionLanguage(str(folder), PROMPT))

    def test_half_precision(self, saved: Saved) -> None:
        half, whole = (
            VisionLanguage(saved("qwen2_vl"), PROMPT, precision="bfloat16"),
            VisionLanguage(saved("qwen2_vl"), PROMPT),
        )
        found, wanted = (np.asarray(arrays(PICTURES, one)["language.3"]) for one in (half, whole))
        assert 0 < np.abs(found - wanted).max() < 0.3
        assert key(half) != key(whole)

    def test_the_revision_is_of_weights_and_tokenizer(self, saved: Saved, tmp_path: Path) -> None:
        backbone = VisionLanguage(saved("llava"), PROMPT)
        assert backbone.revision == VisionLanguage(saved("llava"), PROMPT).revision
        assert backbone.revision.startswith(weights_digest(backbone.network))

    @pytest.mark.parametrize("setting", [{"pool": "mean"}, {"precision": "float8"}])
    def test_settings_that_are_unknown(self, setting: dict[str, str]) -> None:
        with pytest.raises(SettingsError, match=r"unknown (pool|precision) .*there are: "):
            load_backbone("hf-vlm:somebody/something", prompt=PROMPT, **setting)

    @pytest.mark.parametrize("size", [0, -3, "big"])
    def test_sizes_that_cannot_be(self, size: Any) -> None:
        with pytest.raises(SettingsError, match=r"size is .*; wanted pixels, at least 1, or None"):
            VisionLanguage("somebody/something", PROMPT, size=size)

    def test_a_network_that_was_saved_without_its_head(self, saved: Saved, tmp_path: Path) -> None:
        folder = shutil.copytree(saved("llava"), tmp_path / "llava")
        for file in folder.glob("*.safetensors"):
            file.unlink()
        whole(saved("llava")).save_pretrained(folder)
        found, wanted = (arrays(PICTURES, VisionLanguage(str(one), PROMPT)) for one in (folder, saved("llava")))
        np.testing.assert_allclose(found["language.3"], wanted["language.3"], atol=1e-6)

    @pytest.mark.parametrize("setting", [{"prompt": {"Count": "how many?"}}, {"template": 3, "prompt": ""}])
    def test_settings_that_are_no_text(self, setting: dict[str, Any]) -> None:
        with pytest.raises(
            SettingsError, match=r"(prompt|template) is .*; wanted text: on a command line, quote it twice"
        ):
            load_backbone("hf-vlm:somebody/something", **setting)

    def test_a_prompt_is_asked_for(self) -> None:
        with pytest.raises(SettingsError, match="missing 1 required positional argument: 'prompt'"):
            load_backbone("hf-vlm:somebody/something")


def arrays(*given: Any, **more: Any) -> dict[str, Any]:
    """layer -> rows."""
    return {layer: np.asarray(rows) for layer, rows in extract(*given, **more).arrays.items()}


def key(backbone: Any) -> str:
    return f"{backbone.revision} {backbone.settings}"
