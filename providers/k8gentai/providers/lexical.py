"""Texts as vectors of their words: texts that share words are near each other.

This is no model of meaning. It stands in for an embedding model where there is none: what is asked must be in the
words of the document ("opening hours" does not find "we open at eight" but for the word "open").

Each word is hashed to one of the vector's places and a sign, as in feature hashing (Weinberger et al., 2009), so
nothing is learned and nothing is stored. A word counts by its first letters too, which stands for a stemmer of any
language: "returned" is near "return".
"""

import math
import re
from collections import Counter
from collections.abc import Iterator
from zlib import crc32

DIMENSION = 1024
"""The number of figures in a vector. With the few hundred words of a passage, two words seldom share a place."""
STEM_LETTERS = 4
"""The number of first letters of a word that count as the word's stem."""
STEM_WEIGHT = 0.5

_WORD = re.compile(r"\w+")
_COMMON = frozenset(
    _WORD.findall(
        "a about an and are as at be been but by can could did do does for from had has have how i if in is it "
        "its me may must my no not of on or our shall should so that the their them there they this to us was we "
        "were what when where which who why will with would you your"
    )
)
"""English words that say nothing about what a text is about."""


def embed(text: str) -> list[float]:
    """Return a text's vector, of length 1; all zeros where the text has no word of its own.

    Args:
        text: in any language that puts something between its words.
    """
    vector = [0.0] * DIMENSION
    for feature, weight in _weights(text).items():
        hashed = crc32(feature.encode())
        vector[hashed % DIMENSION] += weight if hashed >> 31 else -weight
    length = math.sqrt(sum(value * value for value in vector))
    return [value / length for value in vector] if length else vector


def words(text: str) -> list[str]:
    """Return a text's words in lower case, but for those that every text has."""
    return [word for word in _WORD.findall(text.lower()) if word not in _COMMON]


def _weights(text: str) -> dict[str, float]:
    counts = Counter(feature for word in words(text) for feature in _features(word))
    # A word said twice does not make a text twice as much about it.
    return {feature: _weight(feature) * (1 + math.log(count)) for feature, count in counts.items()}


def _features(word: str) -> Iterator[str]:
    yield word
    yield f"{word[:STEM_LETTERS]}-"


def _weight(feature: str) -> float:
    return STEM_WEIGHT if feature.endswith("-") else 1.0
