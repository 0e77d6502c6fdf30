"""Cuts the passages that a search found down to what a small model can word: more than a sentence or two confuses
it."""

import re

from k8gentai.providers import lexical

LONG = 200
"""Letters; a longer result is taken for passages of documents."""

_HEADING = re.compile(r"^(?:#|\[\d+\] ).*$", re.MULTILINE)
"""The heading of a document, and the line that Llama Stack puts over each passage."""
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n{2,}")


def nearest(text: str, question: str) -> str:
    """Return the sentence of a text that has most in common with a question; the whole text if it is short.

    Args:
        text: the result of a tool.
        question: the question of the user.
    """
    split = [" ".join(part.split()) for part in _SENTENCE_END.split(_HEADING.sub("\n", text))]
    # One that repeats the question, as Llama Stack's does that says what was searched for, answers nothing.
    sentences = [sentence for sentence in split if lexical.words(sentence) and question not in sentence]
    if len(text) <= LONG or not sentences:
        return text
    asked = lexical.embed(question)
    return max(sentences, key=lambda sentence: _likeness(lexical.embed(sentence), asked))


def _likeness(left: list[float], right: list[float]) -> float:
    return sum(a * b for a, b in zip(left, right, strict=True))
