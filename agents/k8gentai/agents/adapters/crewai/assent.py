"""Finds what a person types who agrees to what a hook of CrewAI asks: it compares that with a word of its own."""

import re

_ENTER = re.compile(r"(?<!and )\b(?:press|hit) (?:enter|return)\b", re.IGNORECASE)
# No other words: a question may quote what a model wrote.
_AGREED = r"y|yes|ok|okay|accept|agree|allow|approve|approved|confirm|continue|go|proceed"
_WORD = re.compile(
    rf"""(?P<quote>['"`])(?P<typed>{_AGREED})(?P=quote)|[(\[](?P<first>{_AGREED}) ?/""", re.IGNORECASE
)


def assent(question: str, *, ahead: bool) -> str:
    """Return what stands for an approval without a word.

    Args:
        question: all that the person is shown.
        ahead: it is asked before the call; where a result is reviewed, a word would be taken for feedback.
    """
    if _ENTER.search(question):
        return ""
    if word := _WORD.search(question):
        return word["typed"] or word["first"]
    return "yes" if ahead else ""
