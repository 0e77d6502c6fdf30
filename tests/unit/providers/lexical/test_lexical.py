"""Texts as vectors of their words."""

import math

import pytest

from k8gentai.providers.lexical import DIMENSION, embed


def near(left: str, right: str) -> float:
    """The cosine of two texts' vectors."""
    return sum(a * b for a, b in zip(embed(left), embed(right), strict=True))


def test_a_vector_has_length_1() -> None:
    vector = embed("Beans may be returned within 30 days.")
    assert len(vector) == DIMENSION
    assert math.hypot(*vector) == pytest.approx(1)


def test_texts_with_the_same_words_are_nearest() -> None:
    question = "How long may unopened bags be returned?"
    about = near(question, "Unopened bags may be returned within 30 days.")
    assert about > near(question, "The bags are made of paper.") > near(question, "The shop opens at eight.")


def test_forms_of_a_word_are_near_each_other_in_any_language() -> None:
    assert near("return", "returned") > 0.1
    assert near("Öffnung", "öffnet") > 0.1
    assert near("return", "shop") == 0


def test_case_order_and_common_words_do_not_count() -> None:
    assert near("Where is the SHOP?", "shop") == pytest.approx(1)


def test_a_text_without_words_is_near_nothing() -> None:
    assert set(embed("Where is it? …")) == {0.0}
    assert set(embed("")) == {0.0}


def test_the_same_text_has_the_same_vector_in_every_process() -> None:
    places = [place for place, value in enumerate(embed("roastery")) if value]
    assert places == [176, 900]
