"""Patterns of clients that are found in texts (k8gentai.workers.attempt.patterns)."""

import pytest

from k8gentai.workers.attempt import patterns
from k8gentai.workers.attempt.patterns import Patterns


@pytest.mark.parametrize(
    "pattern",
    [
        r"^[A-Z0-9._%+-]{1,64}@[a-z0-9.-]{1,255}\.[a-z]{2,10}$",
        r"^\d{4}-\d{2}-\d{2}$",
        r"^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$",
        r"^\p{L}{1,20}$",
        r"^[](){9}]+$",
        r"^\{9999\}$",
    ],
)
def test_usual_patterns_are_searched_for(pattern: str) -> None:
    assert Patterns().is_in(pattern, "!") is False


@pytest.mark.parametrize(
    "pattern",
    [
        "(?=a)",
        "(",
        r"(a)\1",
        "[ab]*a[ab]{1001}c",
        "(?:(?:a?b?){20}c){20}",
        "a{40}{40}",
        "a{1,99999999999}",
        "(?x)a # [\n{1001} # ]",
        "a" * 2_001,
    ],
)
def test_patterns_that_are_none_or_too_large_are_not(pattern: str) -> None:
    assert Patterns().is_in(pattern, "abab") is None


def test_long_texts_are_searched_for_small_patterns_only() -> None:
    text = "ab" * 50_000
    assert Patterns().is_in("[ab]*a[ab]{900}c", text) is None
    assert Patterns().is_in("^[ab]+$", text) is True


def test_a_pattern_is_compiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = []
    compile_pattern = patterns._compiled

    def noted(text):
        compiled.append(text)
        return compile_pattern(text)

    monkeypatch.setattr(patterns, "_compiled", noted)
    searched = Patterns()
    for text in ("abc", "bcd", "a"):
        assert searched.is_in("^a", text) is text.startswith("a")
        assert searched.is_in("(?=a)", text) is None
    assert compiled == ["^a", "(?=a)"]
