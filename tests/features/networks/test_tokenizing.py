"""Text as tokens: frames of special tokens, and the word that each token belongs to."""

from collections.abc import Callable
from typing import Any

import pytest
from tiny_language import byte_tokenizer, gpt_tokenizer, piece_tokenizer, roberta_tokenizer, word_tokenizer

from fusiform.errors import DataError
from fusiform.features.networks.tokenizing import Tokenizing, special_ids

MAKERS: dict[str, Callable[[], Any]] = {
    "bytes": gpt_tokenizer,
    "pieces": piece_tokenizer,
    "words": word_tokenizer,
    "framed bytes": roberta_tokenizer,
}
WORDS = ["the", "rabbit,", "wonderments", "don't", "Zürich", "東京!", "it"]


@pytest.mark.parametrize("kind", MAKERS)
class TestWords:
    def test_every_token_spells_a_part_of_its_word(self, kind: str) -> None:
        tokenizing = Tokenizing(MAKERS[kind]())
        ids, words = tokenizing.words(WORDS)
        assert ids.tolist() == tokenizing.text(" ".join(WORDS))
        assert sorted(set(words.tolist())) == list(range(len(WORDS)))
        assert (words[1:] >= words[:-1]).all()
        unknown = tokenizing.tokenizer.unk_token_id
        for number, word in enumerate(WORDS):
            own = [int(id) for id in ids[words == number]]
            if unknown in own:
                continue  # a word that its pieces cannot spell
            spelled = tokenizing.tokenizer.decode(own).replace("##", "").replace(" ", "")
            assert spelled in (word, word.lower().replace("ü", "u"))

    def test_blanks_have_no_token_and_change_no_other(self, kind: str) -> None:
        tokenizing = Tokenizing(MAKERS[kind]())
        ids, words = tokenizing.words(["", "the", " \n", "rabbit", "  "])
        plain, numbers = tokenizing.words(["the", "rabbit"])
        assert ids.tolist() == plain.tolist()
        assert words.tolist() == [1 if number == 0 else 3 for number in numbers]
        assert [len(part) for part in tokenizing.words([" "])] == [0, 0]
        assert [len(part) for part in tokenizing.words([])] == [0, 0]

    def test_blanks_around_a_word_do_not_matter(self, kind: str) -> None:
        tokenizing = Tokenizing(MAKERS[kind]())
        assert tokenizing.words([" the\t", "rabbit "])[0].tolist() == tokenizing.words(["the", "rabbit"])[0].tolist()


@pytest.mark.parametrize(
    ("kind", "before", "after"),
    [("bytes", [], []), ("pieces", ["<s>"], []), ("words", ["[CLS]"], ["[SEP]"]), ("framed bytes", ["<s>"], ["</s>"])],
)
def test_the_frame_is_the_special_tokens_and_the_instruction(kind: str, before: list[str], after: list[str]) -> None:
    tokenizer = MAKERS[kind]()
    assert [tokenizer.convert_ids_to_tokens(ids) for ids in Tokenizing(tokenizer).frame] == [before, after]
    primed = Tokenizing(tokenizer, "emotion: ")
    assert (
        primed.frame[0]
        == Tokenizing(tokenizer).frame[0] + tokenizer("emotion: ", add_special_tokens=False)["input_ids"]
    )
    assert primed.frame[1] == Tokenizing(tokenizer).frame[1]
    assert special_ids(tokenizer) >= set(tokenizer.convert_tokens_to_ids(before + after))


def test_added_marks_are_special_too() -> None:
    tokenizer = byte_tokenizer(["<|im_start|>"], eos="<|endoftext|>")
    assert tokenizer.convert_tokens_to_ids("<|im_start|>") in special_ids(tokenizer)


def test_a_tokenizer_without_a_limit_has_none() -> None:
    tokenizer = gpt_tokenizer()
    assert Tokenizing(tokenizer).limit is None
    tokenizer.model_max_length = 12
    assert Tokenizing(tokenizer).limit == 12


def test_the_digest_is_of_the_vocabulary() -> None:
    assert Tokenizing(gpt_tokenizer()).digest == Tokenizing(gpt_tokenizer(), "x").digest
    assert Tokenizing(gpt_tokenizer()).digest != Tokenizing(word_tokenizer()).digest


@pytest.mark.parametrize("word", [None, float("nan"), 3])
def test_words_must_be_text(word: Any) -> None:
    with pytest.raises(DataError, match=r"a word of the recording is .*; wanted text"):
        Tokenizing(gpt_tokenizer()).words(["the", word])
