"""What a user is told about a prompt."""

import subprocess
import sys

import pytest

from kinora.core.errors import PromptError
from kinora.language.prompt import LONGEST_PROMPT, check_prompt
from kinora.language.tokenizer import build_vocabulary

TOKENIZER = build_vocabulary(["a red ball rolls left .", "红色的球向左滚动"], ["红色", "滚动"])


def test_a_known_prompt_needs_no_words():
    report = check_prompt("A red ball rolls left.", TOKENIZER)
    assert (report.language, report.unknown, report.sentence) == ("en", (), "")
    assert report.known == ("a", "red", "ball", "rolls", "left")
    assert report.tokens == 7


def test_unknown_words_are_named_in_english():
    report = check_prompt("a red dragon", TOKENIZER)
    assert report.unknown == ("dragon",)
    assert report.sentence == "The model has not learnt these words and will pass over them: dragon."


def test_unknown_words_are_named_in_chinese():
    report = check_prompt("红色的恐龙滚动，火车", TOKENIZER)
    assert report.language == "zh"
    assert report.unknown == ("恐龙", "火车")
    assert "恐龙、火车" in report.sentence


def test_a_prompt_of_unknown_words_alone_is_told_so():
    assert "knows no word" in check_prompt("dragon pizza", TOKENIZER).sentence
    assert "随意" in check_prompt("恐龙", TOKENIZER).sentence


def test_both_languages_at_once_are_mixed():
    assert check_prompt("红色的 ball", TOKENIZER).language == "mixed"


@pytest.mark.parametrize("text", ["", "  \n", "\u200b\u200b"])
def test_an_empty_prompt_is_refused(text):
    with pytest.raises(PromptError, match="Say what should happen"):
        check_prompt(text, TOKENIZER)


def test_a_prompt_of_too_many_characters_is_refused():
    with pytest.raises(PromptError, match=f"{LONGEST_PROMPT + 1} characters"):
        check_prompt("a" * (LONGEST_PROMPT + 1), TOKENIZER)
    check_prompt("a" * LONGEST_PROMPT, TOKENIZER)


def test_a_prompt_of_too_many_tokens_is_refused():
    with pytest.raises(PromptError, match="101 tokens"):
        check_prompt("a " * 100, TOKENIZER, token_limit=100)
    check_prompt("a " * 99, TOKENIZER, token_limit=100)


def test_the_prompt_check_needs_no_torch():
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from kinora.language.tokenizer import build_vocabulary\n"
        "from kinora.language.prompt import check_prompt\n"
        "print(check_prompt('red dragon', build_vocabulary(['red'])).unknown)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "('dragon',)", done.stderr
