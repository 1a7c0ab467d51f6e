"""The tokenizer: two languages, one vocabulary, no text that it chokes on."""

import json

import pytest

from kinora.core.errors import WeightsError
from kinora.language.tokenizer import EOS, PAD, SPECIAL, UNK, Tokenizer, build_vocabulary, normalise

CAPTIONS = [
    "A large red ball rolls to the left on grass, glowing.",
    "一个红色的大球向左滚动。",
    "草地上有两个发光的球，镜头向右平移。",
]
WORDS = ["红色", "红", "滚动", "草地", "发光", "镜头", "平移", "镜头向右平移", "red", "这个词实在是太长了"]


@pytest.fixture
def tokenizer():
    return build_vocabulary(CAPTIONS, WORDS)


def cut(tokenizer, text):
    return [piece.text for piece in tokenizer.pieces(text)]


def test_special_tokens_come_first(tokenizer):
    assert tokenizer.tokens[:3] == SPECIAL
    assert (PAD, UNK, EOS) == (0, 1, 2)
    assert tokenizer.encode("") == [EOS]


def test_english_is_cut_at_words_and_marks(tokenizer):
    assert cut(tokenizer, "A large, RED ball.") == ["a", "large", ",", "red", "ball", "."]


def test_chinese_takes_the_longest_word(tokenizer):
    assert cut(tokenizer, "红色的球滚动") == ["红色", "的", "球", "滚动"]
    assert cut(tokenizer, "镜头向右平移") == ["镜头向右平移"]
    assert cut(tokenizer, "镜头向左平移") == ["镜头", "向", "左", "平移"]
    assert cut(tokenizer, "红") == ["红"]


def test_words_longer_than_six_characters_are_not_kept(tokenizer):
    assert max(len(token) for token in tokenizer.tokens if "\u4e00" <= token[0] <= "\u9fff") == 6


def test_languages_mix_without_spaces(tokenizer):
    assert cut(tokenizer, "一个red的ball") == ["一", "个", "red", "的", "ball"]


def test_full_width_marks_and_letters_are_one_with_plain_ones(tokenizer):
    assert tokenizer.encode("ＲＥＤ　ｂａｌｌ，") == tokenizer.encode("red ball,")
    assert tokenizer.encode("滚动。") == tokenizer.encode("滚动.")
    assert tokenizer.encode("红色、发光") == tokenizer.encode("红色,发光")


def test_invisible_characters_vanish():
    assert normalise("re\u200bd\ufeff \u202eball") == "red ball"
    assert normalise("a\ud800b") == "ab"


def test_english_endings_find_their_word(tokenizer):
    for form in ("balls", "rolling", "rolled", "glow", "glows"):
        assert UNK not in tokenizer.encode(form), form
    assert tokenizer.encode("balls") == tokenizer.encode("ball")
    assert build_vocabulary(["it is gliding"]).unknown("glide glides") == []
    assert tokenizer.unknown("reds") == []
    assert tokenizer.unknown("bus thing") == ["bus", "thing"]


def test_what_is_lacking_is_named_once_and_in_order(tokenizer):
    text = "a dinosaur eats a red pizza, dinosaur 恐龙吃红色的比萨 99"
    assert tokenizer.unknown(text) == ["dinosaur", "eats", "pizza", "恐龙吃", "比萨", "99"]
    assert tokenizer.encode(text).count(UNK) == 10  # Chinese characters count one by one


def test_known_chinese_breaks_a_run_of_unknown(tokenizer):
    assert tokenizer.unknown("恐红龙，鱼鸟") == ["恐", "龙", "鱼鸟"]


def test_punctuation_is_never_called_a_word(tokenizer):
    assert tokenizer.unknown("red!?~@《》 ball") == []


@pytest.mark.parametrize(
    "text",
    ["🦖👩\u200d👩\u200d👧 red", "\x00\x01", "\ud83d", "ñandú Ωμέγα привет", "𠀀𠀁", "1/2 ½ ²", "👍🏽" * 200, " \n\t"],
)
def test_nothing_makes_it_fail(tokenizer, text):
    ids = tokenizer.encode(text)
    assert ids[-1] == EOS
    assert all(0 <= i < len(tokenizer) for i in ids)
    tokenizer.unknown(text)


def test_an_emoji_is_named(tokenizer):
    assert tokenizer.unknown("a 🦖") == ["🦖"]


def test_vocabulary_is_the_same_whatever_the_order(tokenizer):
    again = build_vocabulary(list(reversed(CAPTIONS)), reversed(WORDS))
    assert again.tokens == tokenizer.tokens


def test_characters_seen_only_inside_words_get_no_token(tokenizer):
    assert "滚" not in tokenizer.tokens
    assert tokenizer.unknown("滚") == ["滚"]
    assert tokenizer.unknown("向左滚动") == []


def test_captions_are_wholly_known(tokenizer):
    for caption in CAPTIONS:
        assert UNK not in tokenizer.encode(caption)
        assert tokenizer.unknown(caption) == []


def test_a_batch_is_padded_and_cut_with_its_end_kept(tokenizer):
    short, long = tokenizer.batch(["red", "red ball rolls left"], 4)
    assert short == [*tokenizer.encode("red"), PAD, PAD]
    assert long == [*tokenizer.encode("red ball rolls")[:3], EOS]


def test_json_carries_it_whole(tokenizer):
    again = Tokenizer.from_json(tokenizer.to_json())
    assert again.tokens == tokenizer.tokens
    assert again.encode(CAPTIONS[2]) == tokenizer.encode(CAPTIONS[2])


@pytest.mark.parametrize(
    "stored",
    [
        "{",
        "[]",
        "{}",
        json.dumps({"version": 2, "tokens": [*SPECIAL]}),
        json.dumps({"version": 1, "tokens": ["red", "ball", "left"]}),
        json.dumps({"version": 1, "tokens": [*SPECIAL, "red", "red"]}),
    ],
)
def test_a_damaged_vocabulary_is_refused(stored):
    with pytest.raises(WeightsError):
        Tokenizer.from_json(stored)
