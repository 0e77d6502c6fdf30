"""Citations of files in a model's answer: marks in its text, for which Llama Stack's file search asks models."""

import re
from collections.abc import Mapping
from typing import Any

from llama_stack.providers.inline.responses.builtin.responses.utils import _extract_citations_from_text

_MARK = re.compile(r" ?<\|file-[A-Za-z0-9_-]+\|>")
_BEGUN = re.compile(r" ?(<(\|(f(i(l(e(-([A-Za-z0-9_-]+\|?)?)?)?)?)?)?)?)?$")
"""The end of a text that may become a mark."""


def cited(text: str, files: Mapping[str, str]) -> tuple[str, list[dict[str, Any]]]:
    """Return a text without marks, and its citations in Responses API shape.

    Args:
        text: the model's.
        files: names of the files that were found, by id.
    """
    citations, clean = _extract_citations_from_text(text, files)
    return clean, [citation.model_dump(mode="json") for citation in citations]


class MarkFilter:
    """Leaves the marks out of a text that comes in pieces: the pieces it gives add up to :func:`cited`'s text."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, piece: str) -> str:
        """Return what of the text so far can be shown now."""
        text = _MARK.sub("", self._held + piece)
        begun = _BEGUN.search(text)
        shown = text[: begun.start()] if begun else text
        self._held = text[len(shown) :]
        return shown
