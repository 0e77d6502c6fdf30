"""Ties a test to the sentence of the specification that it measures."""

import importlib
import inspect
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.integration import open_responses


@dataclass(frozen=True)
class Sentence:
    """A sentence of the specification.

    Args:
        section: the heading it stands under.
        text: as it stands there, shortened.
        departs: why it does not hold here, or only in part; None where it holds.
    """

    section: str
    text: str
    departs: str | None = None


def holds(section: str, text: str) -> Callable[[Any], Any]:
    """The test shows that the sentence holds."""
    return _marked(Sentence(section, text))


def departs(section: str, text: str, because: str) -> Callable[[Any], Any]:
    """The test shows what is done in place of what the sentence says."""
    return _marked(Sentence(section, text, because))


def _marked(sentence: Sentence) -> Callable[[Any], Any]:
    def mark(test: Any) -> Any:
        test.sentences = [sentence, *getattr(test, "sentences", [])]
        return test

    return mark


def measured() -> list[Sentence]:
    """The sentences of all tests of this package, in their order."""
    found: list[Sentence] = []
    for module in pkgutil.iter_modules(open_responses.__path__, f"{open_responses.__name__}."):
        if module.name.rpartition(".")[2].startswith("test_"):
            tests = inspect.getmembers_static(importlib.import_module(module.name))
            lines = [test for _, test in tests if hasattr(test, "sentences")]
            for test in sorted(lines, key=lambda test: test.__code__.co_firstlineno):
                found += test.sentences
    return found


def markdown(sentences: list[Sentence]) -> str:
    """The table of the documentation."""
    lines = ["| section | sentence | holds |", "|---|---|---|"]
    for sentence in sentences:
        holds_ = "yes" if sentence.departs is None else f"no: {sentence.departs}"
        lines.append(f"| {sentence.section} | {sentence.text.replace('|', chr(92) + '|')} | {holds_} |")
    return "\n".join(lines)
