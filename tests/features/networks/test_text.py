"""Language networks: tiny ones of every family, saved, loaded by path, against the plain forward of transformers."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from tiny_language import CAUSAL, DEPTH, LANGUAGES, save_language

from fusiform.data import Recording, Stimuli
from fusiform.errors import DataError, LayoutError, SettingsError, UnknownNameError
from fusiform.features.baselines.language import Words
from fusiform.features.extract import extract
from fusiform.features.networks import text as text_module
from fusiform.features.networks.text import Text, WordsInContext
from fusiform.features.store import FeatureStore
from fusiform.features.tokens import load_backbone
from fusiform.testing import check_backbone

transformers = pytest.importorskip("transformers")

Saved = Callable[[str], str]
SENTENCES = [
    "the rabbit was late",
    "alice",
    "she fell for a long time and wondered what would happen next",
    "down the hole and after it",
    "Zürich!",
]
TEXTS = Stimuli("sentences", "text", pd.DataFrame(index=list("abcde")), lambda id: SENTENCES["abcde".index(id)])
STORY = ["the", "rabbit", "was", "late", "and", "alice", "ran", "after", "it", "down", "the", "hole"]
STORY += ["she", "fell", "for", "a", "long", "time"]
STARTS = [0.1, 0.4, 1.0, 1.1, 2.2, 2.3, 2.4, 5.0, 5.6, 6.1, 6.2, 6.3, 6.8, 7.0, 7.4, 8.1, 8.4, 9.8]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Saved:
    """`saved(family)`: the folder of a tiny network with its tokenizer."""
    root = tmp_path_factory.mktemp("languages")
    return lambda name: str(root / name if (root / name).exists() else save_language(name, root / name))


def story(words: list[str], duration: float = 10.0) -> Recording:
    starts = STARTS[: len(words)]
    table = pd.DataFrame({"text": words, "start": starts, "stop": [start + 0.1 for start in starts]})
    return Recording(duration, words=table)


def stories(*heard: list[str]) -> Stimuli:
    ids = [f"story{number}" for number in range(len(heard))]
    return Stimuli("stories", "recording", pd.DataFrame(index=ids), lambda id: story(heard[ids.index(id)]))


def rows(backbone: WordsInContext, words: list[str], layer: str = "block3") -> np.ndarray:
    return np.asarray(arrays(stories(words), backbone)[layer])


def plain(folder: str) -> Any:
    """The network as transformers gives it."""
    network = transformers.AutoModel.from_pretrained(folder).eval()
    return network.encoder if network.config.is_encoder_decoder else network


def states(network: Any, ids: list[int]) -> dict[str, torch.Tensor]:
    """layer -> [T, C]: every hidden state but the last, which is normed in some families; and the last state."""
    with torch.inference_mode():
        found = network(input_ids=torch.tensor([ids]), output_hidden_states=True)
    names = ["embeddings", *(f"block{number}" for number in range(1, DEPTH))]
    named = dict(zip(names, found.hidden_states, strict=False))
    return {layer: state[0] for layer, state in {**named, "final": found.last_hidden_state}.items()}


@pytest.mark.parametrize("family", LANGUAGES)
class TestFamilies:
    def test_every_layer_is_the_mean_of_the_plain_forward(self, family: str, saved: Saved) -> None:
        features = arrays(TEXTS, load_backbone(f"hf-text:{saved(family)}"), batch_size=5)
        network, tokenizer = plain(saved(family)), transformers.AutoTokenizer.from_pretrained(saved(family))
        last = "final" if LANGUAGES[family][4] else f"block{DEPTH}"
        assert set(features) == {"embeddings", "block1", "block2", "block3", *({"final"} & {last})}
        for row, sentence in enumerate(SENTENCES):
            read = tokenizer(sentence, return_special_tokens_mask=True)
            own = torch.tensor(read["special_tokens_mask"]) == 0
            for layer, state in states(network, read["input_ids"]).items():
                wanted = state[own].mean(0)
                np.testing.assert_allclose(features[last if layer == "final" else layer][row], wanted, atol=2e-5)

    def test_the_last_block_is_as_it_is_and_final_is_normed(self, family: str, saved: Saved) -> None:
        features = arrays(TEXTS, Text(saved(family), pool="last"))
        norm = LANGUAGES[family][4]
        if not norm:
            assert "final" not in features
            return
        with torch.inference_mode():
            wanted = plain(saved(family)).get_submodule(norm)(torch.tensor(features["block3"]))
        np.testing.assert_allclose(features["final"], wanted, atol=1e-5)
        assert not np.allclose(features["final"], features["block3"], atol=0.1)

    def test_both_keep_the_contract(self, family: str, saved: Saved) -> None:
        check_backbone(Text(saved(family)))
        check_backbone(WordsInContext(saved(family), context=5))

    def test_words_are_the_plain_forward_of_their_windows(self, family: str, saved: Saved) -> None:
        found = arrays(stories(STORY), load_backbone(f"hf-words:{saved(family)}", context=4))
        for layer, wanted in windowed(saved(family), STORY, 4).items():
            np.testing.assert_allclose(found[layer], wanted, atol=2e-5)

    def test_a_word_sees_its_context_and_nothing_else(self, family: str, saved: Saved) -> None:
        backbone = WordsInContext(saved(family), rate=50.0, context=3)  # a row for each word
        before, changed = rows(backbone, STORY), rows(backbone, [*STORY[:8], "fear", *STORY[9:]])
        heard = np.floor(np.array(STARTS[: len(STORY)]) * 50 + 0.5).astype(int)
        same = np.abs(before - changed).max(1)[heard] < 1e-6
        assert same.tolist() == [number < 8 or number > 11 for number in range(len(STORY))]


def marks(tokenizer: Any) -> tuple[list[int], list[int]]:
    """The special tokens before and after every text."""
    read = tokenizer("a", return_special_tokens_mask=True)
    ids, mask = read["input_ids"], read["special_tokens_mask"]
    return ids[: mask.index(0)], ids[len(ids) - mask[::-1].index(0) :]


def windowed(folder: str, words: list[str], context: int, instruction: str = "") -> dict[str, Any]:
    """layer -> [T, C], word by word: the oracle. Words are tokenised in the whole line, as a space belongs to them."""
    network, tokenizer = plain(folder), transformers.AutoTokenizer.from_pretrained(folder)
    read = tokenizer(" ".join(words), add_special_tokens=False, return_offsets_mapping=True)
    edges = np.cumsum([len(word) + 1 for word in words])
    word = np.array([np.flatnonzero(edges > stop - 1)[0] for _, stop in read["offset_mapping"]])
    ids, (before, after) = np.array(read["input_ids"]), marks(tokenizer)
    before = before + (tokenizer(instruction, add_special_tokens=False)["input_ids"] if instruction else [])
    sums: dict[str, Any] = {}
    seconds = np.zeros(20)
    for number, start in enumerate(STARTS[: len(words)]):
        seen = ids[(word >= number - context) & (word <= number)].tolist()
        own = len(before) + len(seen) - int((word == number).sum())
        for layer, state in states(network, before + seen + after).items():
            mean = state[own : len(before) + len(seen)].mean(0).numpy()
            for row in range(20):
                shared = max(0.0, min(start + 0.1, (row + 1) / 2) - max(start, row / 2))
                sums.setdefault(layer, np.zeros((20, len(mean))))[row] += shared * mean
                seconds[row] += shared if layer == "final" else 0
    found = {layer: value / np.maximum(seconds, 1e-9)[:, None] for layer, value in sums.items()}
    if not any(name in folder for name in (*CAUSAL, "t5")):
        found[f"block{DEPTH}"] = found.pop("final")
    return found


class TestText:
    def test_neither_batch_nor_order_matters(self, saved: Saved) -> None:
        backbone = Text(saved("roberta"))
        together = arrays(TEXTS, backbone, batch_size=5)["block2"]
        alone = arrays(TEXTS.select(list("edcba")), backbone, batch_size=1)["block2"]
        np.testing.assert_allclose(together, np.asarray(alone)[::-1], atol=1e-5)

    def test_the_class_token(self, saved: Saved) -> None:
        found = arrays(TEXTS, Text(saved("bert"), pool="cls"))["block3"]
        network, tokenizer = plain(saved("bert")), transformers.AutoTokenizer.from_pretrained(saved("bert"))
        for row, sentence in enumerate(SENTENCES):
            wanted = states(network, tokenizer(sentence)["input_ids"])["final"][0]
            np.testing.assert_allclose(found[row], wanted, atol=1e-5)

    @pytest.mark.parametrize(
        ("family", "why"), [("gpt2", "does not exist"), ("llama", "comes before all it could tell of")]
    )
    def test_a_class_token_that_tells_nothing(self, family: str, why: str, saved: Saved) -> None:
        with pytest.raises(SettingsError, match=f"its class token {why}; wanted mean or last"):
            extract(TEXTS, Text(saved(family), pool="cls"))

    def test_an_instruction_is_read_before_and_is_in_no_mean(self, saved: Saved) -> None:
        folder, instruction = saved("llama"), "In terms of emotion:"
        primed = Text(folder, instruction=instruction)
        found, plainly = arrays(TEXTS, primed), arrays(TEXTS, Text(folder))
        network, tokenizer = plain(folder), transformers.AutoTokenizer.from_pretrained(folder)
        frame = tokenizer(instruction)["input_ids"]
        for row, sentence in enumerate(SENTENCES):
            own = tokenizer(sentence, add_special_tokens=False)["input_ids"]
            wanted = states(network, frame + own)["block2"][len(frame) :].mean(0)
            np.testing.assert_allclose(found["block2"][row], wanted, atol=1e-5)
        assert not np.allclose(found["block2"], plainly["block2"], atol=1e-2)
        np.testing.assert_allclose(found["embeddings"], plainly["embeddings"], atol=1e-6)  # the same words are averaged
        assert key(primed) != key(Text(folder))

    def test_the_text_part_of_a_network_of_pictures(self, tmp_path: Path) -> None:
        from tiny_language import piece_tokenizer

        tokenizer = piece_tokenizer((), "<s>", "</s>")
        text = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": DEPTH, "num_attention_heads": 2}
        text |= {"vocab_size": len(tokenizer), "eos_token_id": 1, "bos_token_id": 0, "max_position_embeddings": 20}
        vision = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "image_size": 8, "patch_size": 4}
        network = transformers.CLIPModel(transformers.CLIPConfig(text_config=text, vision_config=vision)).eval()
        network.save_pretrained(tmp_path)
        tokenizer.save_pretrained(tmp_path)
        found = arrays(TEXTS.select(["a", "b"]), Text(str(tmp_path), pool="last"))["final"]
        ids = torch.tensor([tokenizer("alice")["input_ids"]])
        with torch.inference_mode():
            wanted = network.text_model(ids).last_hidden_state[0, -2]
        np.testing.assert_allclose(found[1], wanted, atol=1e-5)

    def test_half_precision_is_near_and_another_key(self, saved: Saved) -> None:
        half = Text(saved("gpt2"), precision="bfloat16")
        found, whole = (arrays(TEXTS, one)["block3"] for one in (half, Text(saved("gpt2"))))
        assert half.language.network.dtype == torch.bfloat16
        assert 0 < np.abs(np.asarray(found) - np.asarray(whole)).max() < 0.2
        assert key(half) != key(Text(saved("gpt2")))

    def test_the_key_knows_the_tokenizer(self, saved: Saved, tmp_path: Path) -> None:
        folder = shutil.copytree(saved("bert"), tmp_path / "bert")
        before = Text(str(folder)).revision
        content = json.loads((folder / "tokenizer.json").read_text())
        content["normalizer"]["lowercase"] = False
        (folder / "tokenizer.json").write_text(json.dumps(content))
        assert Text(str(folder)).revision != before == Text(saved("bert")).revision

    def test_goes_into_a_store_and_comes_back(self, saved: Saved, tmp_path: Path) -> None:
        store = FeatureStore(tmp_path)
        fresh, again = (arrays(TEXTS, Text(saved("bert")), store)["block3"] for _ in range(2))
        np.testing.assert_array_equal(np.asarray(fresh), np.asarray(again))
        assert len(store.names()) == 1

    @pytest.mark.parametrize(
        ("given", "complaint"),
        [
            ("", "stimulus 'a' of 'odd': the text has 0 tokens; wanted 1 to 512"),
            ("the rabbit " * 40, r"the text is \d+ tokens long, 2 of them .* reads 64 at once; shorten it"),
            (None, "stimulus 'a' of 'odd': None is no text"),
        ],
    )
    def test_texts_that_cannot_be_read(self, given: Any, complaint: str, saved: Saved) -> None:
        odd = Stimuli("odd", "text", pd.DataFrame(index=["a"]), lambda _: given)
        with pytest.raises(DataError, match=complaint):
            extract(odd, Text(saved("roberta")))

    def test_longer_than_asked_for(self, saved: Saved) -> None:
        with pytest.raises(DataError, match=r"the text has \d+ tokens; wanted 1 to 3: shorten it, or raise length"):
            extract(TEXTS, Text(saved("gpt2"), length=3))

    def test_exactly_as_long_as_the_network_reads(self, saved: Saved) -> None:
        """66 embeddings of places in RoBERTa, which begin behind that of padding: 64 tokens, marks included."""
        tokenizer = transformers.AutoTokenizer.from_pretrained(saved("roberta"))
        longest = "joy" + " joy" * 60
        assert len(tokenizer(longest)["input_ids"]) == 64
        fits = Stimuli("long", "text", pd.DataFrame(index=["a"]), lambda _: longest)
        assert np.isfinite(arrays(fits, Text(saved("roberta")))["block3"]).all()

    @pytest.mark.parametrize("setting", [{"pool": "max"}, {"precision": "float8"}])
    def test_settings_that_are_unknown(self, setting: dict[str, str]) -> None:
        with pytest.raises(SettingsError, match=r"unknown (pool|precision) .*there are: "):
            load_backbone("hf-text:somebody/something", **setting)


class TestWordsInContext:
    def test_instruction_primes_every_window(self, saved: Saved) -> None:
        instruction = "In terms of emotion:"
        primed = WordsInContext(saved("gpt2"), context=4, instruction=instruction)
        found = arrays(stories(STORY), primed)
        for layer, wanted in windowed(saved("gpt2"), STORY, 4, instruction=instruction).items():
            np.testing.assert_allclose(found[layer], wanted, atol=2e-5)
        plainly = WordsInContext(saved("gpt2"), context=4)
        assert not np.allclose(found["block3"], rows(plainly, STORY), atol=1e-2)
        assert key(primed) != key(plainly)

    def test_rows_begin_where_those_of_the_word_rate_do(self, saved: Saved) -> None:
        features = extract(stories(STORY), WordsInContext(saved("bert"), rate=1 / 1.49))
        pd.testing.assert_frame_equal(features.index, extract(stories(STORY), Words(1 / 1.49, None)).index)
        heard = [any(row * 1.49 < start + 0.1 and start < (row + 1) * 1.49 for start in STARTS) for row in range(7)]
        assert (np.abs(np.asarray(features.arrays["block3"])).sum(1) > 0).tolist() == heard

    def test_silence_is_zeros_or_holds(self, saved: Saved) -> None:
        zeros, held = (rows(WordsInContext(saved("bert"), silence=silence), STORY) for silence in ("zeros", "hold"))
        heard = np.abs(zeros).sum(1) > 0
        assert 0 < heard.sum() < 20
        np.testing.assert_array_equal(held[heard], zeros[heard])
        last = np.maximum.accumulate(np.where(heard, np.arange(20), -1))
        np.testing.assert_array_equal(held[last >= 0], zeros[last[last >= 0]])

    def test_the_last_token_of_a_word(self, saved: Saved) -> None:
        """In a causal network that is the mean of a word cut behind it, of which only that token is its own."""
        words = ["the", "wonderments"]
        tokenizer = transformers.AutoTokenizer.from_pretrained(saved("gpt2"))
        ids = tokenizer("the wonderments")["input_ids"]
        assert len(ids) > 3
        found = rows(WordsInContext(saved("gpt2"), rate=50.0, pool="last"), words)[20]
        np.testing.assert_allclose(found, _raw(saved("gpt2"), ids)[-1], atol=1e-5)
        mean = rows(WordsInContext(saved("gpt2"), rate=50.0), words)[20]
        np.testing.assert_allclose(mean, _raw(saved("gpt2"), ids)[1:].mean(0), atol=1e-5)

    @pytest.mark.parametrize("family", CAUSAL)
    def test_a_stride_gives_every_word_its_context_at_least(self, family: str, saved: Saved) -> None:
        """With a context that holds all words before, windows may be moved by any number of words."""
        one, many = (WordsInContext(saved(family), context=20, stride=stride) for stride in (1, 7))
        np.testing.assert_allclose(rows(many, STORY), rows(one, STORY), atol=2e-5)
        changed = ["fear", *STORY[1:]]
        short = WordsInContext(saved(family), rate=50.0, context=2, stride=3)
        same = np.abs(rows(short, STORY) - rows(short, changed)).max(1) < 1e-6
        heard = np.floor(np.array(STARTS[: len(STORY)]) * 50 + 0.5).astype(int)
        # windows of words 0-2, 1-5, 4-8: the second begins two words before the third
        assert same[heard].tolist() == [number >= 3 for number in range(len(STORY))]
        assert key(many) != key(one)

    def test_a_stride_would_show_the_future_to_a_masked_network(self, saved: Saved) -> None:
        with pytest.raises(SettingsError, match=r"stride=2 would let 'bert' see words that are still to come"):
            extract(stories(STORY), WordsInContext(saved("bert"), stride=2))

    def test_a_long_transcript_goes_through_in_parts_of_one_size(
        self, saved: Saved, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        backbone = WordsInContext(saved("gpt2"), context=4)
        whole = rows(backbone, STORY)
        sizes: list[int] = []
        read = type(backbone.language).read
        monkeypatch.setattr(text_module, "_AT_ONCE", 30)

        def counted(self: Any, texts: Any, pool: Any) -> Any:
            sizes.append(len(texts) * max(map(len, texts)))
            return read(self, texts, pool)

        monkeypatch.setattr(type(backbone.language), "read", counted)
        np.testing.assert_allclose(rows(backbone, STORY), whole, atol=1e-5)
        assert len(sizes) > 3
        assert max(sizes) <= 30

    def test_words_of_which_nothing_is_left(self, saved: Saved) -> None:
        """A blank and a control character have no token in BERT: they are no context, and no part of a mean."""
        odd, found = WordsInContext(saved("bert"), rate=50.0, context=2), {}
        for name, words in (("with", ["the", " ", "\u0001", "rabbit"]), ("without", ["the", "rabbit"])):
            starts = np.array([0.1, 0.4, 1.0, 1.1] if name == "with" else [0.1, 1.1])
            table = pd.DataFrame({"text": words, "start": starts, "stop": starts + 0.02})
            recording = Recording(2.0, words=table)
            stimuli = Stimuli("s", "recording", pd.DataFrame(index=["x"]), {"x": recording}.__getitem__)
            found[name] = arrays(stimuli, odd)["block3"]
        assert (np.abs(found["with"]).sum(1) > 0).nonzero()[0].tolist() == [5, 55]
        np.testing.assert_allclose(found["with"][55], found["without"][55], atol=1e-6)

    @pytest.mark.parametrize("words", [[], [" "]])
    def test_a_recording_in_which_nobody_speaks(self, words: list[str], saved: Saved) -> None:
        found = arrays(stories(words), WordsInContext(saved("llama")))
        assert list(found) == ["embeddings", "block1", "block2", "block3", "final"]
        assert {value.shape for value in found.values()} == {(20, 16)}
        assert not any(np.asarray(value).any() for value in found.values())

    def test_a_window_that_is_longer_than_the_network_reads(self, saved: Saved) -> None:
        words = [word for _ in range(6) for word in ("wonderments", "surprises", "emotional")]
        with pytest.raises(
            DataError, match=r"a window of \d+ words is .*gpt2' reads 64 at once; choose a smaller context"
        ):
            extract(stories(words), WordsInContext(saved("gpt2"), context=17))
        assert np.isfinite(rows(WordsInContext(saved("gpt2"), context=3), words)).all()

    def test_words_that_are_no_text(self, saved: Saved) -> None:
        with pytest.raises(DataError, match="a word of the recording is nan; wanted text"):
            extract(stories(["the", float("nan")]), WordsInContext(saved("gpt2")))  # type: ignore[list-item]

    @pytest.mark.parametrize(
        ("setting", "complaint"),
        [
            ({"context": -1}, "got context=-1 and stride=1"),
            ({"stride": 0}, "got context=64 and stride=0"),
            ({"rate": 0}, "rate is 0"),
            ({"silence": "noise"}, "unknown silence 'noise'; there are: zeros, hold"),
            ({"pool": "cls"}, "unknown pool 'cls'; there are: mean, last"),
        ],
    )
    def test_settings_that_cannot_be(self, setting: dict[str, Any], complaint: str) -> None:
        with pytest.raises(SettingsError, match=complaint):
            WordsInContext("somebody/something", **setting)


class TestLoading:
    def test_a_folder_without_a_tokenizer(self, saved: Saved, tmp_path: Path) -> None:
        folder = shutil.copytree(saved("bert"), tmp_path / "bert")
        for file in folder.glob("tokenizer*"):
            file.unlink()
        with pytest.raises(LayoutError, match="has no tokenizer that can be read"):
            extract(TEXTS, Text(str(folder)))

    def test_a_network_of_pictures(self, saved: Saved, tmp_path: Path) -> None:
        config = transformers.ViTConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, image_size=8)
        transformers.ViTModel(config).save_pretrained(tmp_path)
        with pytest.raises(SettingsError, match="takes pixel_values; wanted text"):
            extract(TEXTS, Text(str(tmp_path)))

    def test_making_one_loads_nothing(self) -> None:
        assert Text("somebody/something").name == "somebody/something"
        with pytest.raises(LayoutError, match="cannot load 'somebody/something'"):
            extract(TEXTS, Text("somebody/something"))

    def test_a_folder_without_a_network(self, tmp_path: Path) -> None:
        with pytest.raises(LayoutError, match=r"has no config.json"):
            WordsInContext(str(tmp_path))

    def test_a_network_whose_states_are_turned(self, tmp_path: Path) -> None:
        """XLNet's blocks give [T, B, C], which must not be taken for [B, T, C]."""
        tokenizer = LANGUAGES["gpt2"][0]()
        config = transformers.XLNetConfig(d_model=8, n_layer=2, n_head=2, d_inner=8, vocab_size=len(tokenizer))
        transformers.XLNetModel(config).save_pretrained(tmp_path)
        tokenizer.save_pretrained(tmp_path)
        with pytest.raises(DataError, match=r"a block of .* gives the shape .* tokens; wanted a state for each"):
            extract(TEXTS, Text(str(tmp_path)))

    def test_an_unknown_layer(self, saved: Saved) -> None:
        with pytest.raises(UnknownNameError, match="has no layer 'block4'"):
            extract(TEXTS, Text(saved("bert")), layers=["block4"])


def _raw(folder: str, ids: list[int]) -> np.ndarray:
    """[T, C] of the last block, caught in the plain network."""
    network, caught = plain(folder), []
    network.h[-1].register_forward_hook(lambda _, __, output: caught.append(output))
    with torch.inference_mode():
        network(input_ids=torch.tensor([ids]))
    state = caught[0][0]  # of a tuple, or of a batch
    return np.asarray(state if state.ndim == 2 else state[0])


def arrays(*given: Any, **more: Any) -> dict[str, Any]:
    """layer -> rows."""
    return {layer: np.asarray(rows) for layer, rows in extract(*given, **more).arrays.items()}


def key(backbone: Any) -> str:
    return f"{backbone.revision} {backbone.settings}"
