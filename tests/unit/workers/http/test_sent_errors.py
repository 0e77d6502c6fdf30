"""Errors of model endpoints, in the shapes they come in."""

from typing import Any

import pytest

from k8gentai.workers.http.sent_errors import SentError, error_status, innermost_error, sent_error

SAID = {"message": "busy", "code": 429}


@pytest.mark.parametrize(
    ("sent", "error"),
    [
        ({"error": SAID}, SAID),
        ([{"error": SAID}], SAID),
        ([3, {"choices": []}, {"error": SAID}], SAID),
        ({"error": "busy"}, "busy"),
        ({"object": "error", "message": "busy"}, {"object": "error", "message": "busy"}),
        ({"error": {}}, {"message": "it sent an error that says nothing"}),
        ({"error": {}, "choices": []}, None),
        ({"errors": [SAID]}, [SAID]),
        ({"errors": [SAID], "choices": []}, None),
        ({"errors": []}, None),
        ({"error": None}, None),
        ({"choices": []}, None),
        ([], None),
        ("busy", None),
        (None, None),
    ],
)
def test_an_error_is_found(sent: Any, error: Any) -> None:
    assert sent_error(sent) == error


@pytest.mark.parametrize(
    "around",
    [
        SAID,
        [SAID],
        {"error": SAID},
        [{"error": SAID}],
        {"error": {"error": SAID}},
        {"detail": {"error": SAID}},
        {"errors": [SAID]},
    ],
)
def test_its_words_are_found_in_what_is_around_them(around: Any) -> None:
    assert innermost_error(around) == SAID
    assert (SentError.of(around).message, SentError.of(around).status) == ("busy", 429)


def test_what_goes_round_and_round_has_an_end() -> None:
    deep: Any = SAID
    for _ in range(100_000):
        deep = [deep]
    assert isinstance(innermost_error(deep), list)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        ({"code": 429}, 429),
        ({"code": "503"}, 503),
        ({"status": 400, "code": "c"}, 400),
        ({"status": "INVALID_ARGUMENT", "code": 404}, 404),
        ({"code": 200}, None),
        ({"code": "9" * 10_000}, None),
        ("429", None),
    ],
)
def test_the_status_that_it_names(error: Any, status: int | None) -> None:
    assert error_status(error) == status
