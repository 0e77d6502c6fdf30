"""Finds what a person types who agrees to what a hook of CrewAI asks: it compares that with a word of its own."""

import re
from collections.abc import Iterable

_ENTER = re.compile(
    r"(?<!and )\b(?:press|hit) (?:enter|return)\b|\bleave (?:it )?(?:empty|blank)\b", re.IGNORECASE
)
# No other words: a question may quote what a model wrote.
_AGREED = r"y|yes|ok|okay|accept|agree|allow|approve|approved|confirm|continue|go|proceed"
_TYPED = re.compile(
    rf"""\b(?:type|enter|reply|respond)(?:\ with)?\ (?P<quote>['"`]?)(?P<typed>{_AGREED})(?P=quote)(?!\w)
    | \b(?:press|hit|answer)(?:\ with)?\ (?P<mark>['"`]?)(?P<chosen>{_AGREED})(?P=mark)(?=\ (?:to|or)\b|/)
    | [(\[](?P<first>{_AGREED})\ ?/
    | (?<![\w'"`])(?P<bare>y|yes)\ ?/\ ?(?:n|no)\b""",
    re.IGNORECASE | re.VERBOSE,
)
"""A word that a question has a person type."""
_QUOTED = re.compile(rf"""(?P<quote>['"`])(?P<typed>{_AGREED})(?P=quote)(?= (?:to|or|if)\b|/)""", re.IGNORECASE)
"""A word that a question says the meaning of."""
_OBJECT = re.compile(r"\{.*\}", re.DOTALL)


def assent(prompt: str, message: str, quoted: Iterable[object], *, ahead: bool) -> str:
    """Return what stands for an approval without a word.

    Args:
        prompt: the question.
        message: the hook's words after the question, which go before it here.
        quoted: the parts of a call that the question may show, which ask for nothing.
        ahead: it is asked before the call; where a result is reviewed, a word would be taken for feedback.
    """
    shown = [text for each in quoted if _named(text := str(each), ahead=True) is not None]
    for text in (message, prompt):
        for quotation in shown:
            text = text.replace(quotation, " ")
        if (word := _named(_OBJECT.sub(" ", text), ahead=ahead)) is not None:
            return word
    return "yes" if ahead else ""


def _named(text: str, *, ahead: bool) -> str | None:
    """Return the word that a text asks for, empty where that is none; None where it does not say."""
    if _ENTER.search(text):
        return ""
    if word := _TYPED.search(text):
        return next(found for name in ("typed", "chosen", "first", "bare") if (found := word[name]))
    word = _QUOTED.search(text) if ahead else None
    return word["typed"] if word else None
