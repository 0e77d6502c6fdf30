"""What endpoints add to an answer beside the API's own fields, and want back with the tool calls that it holds.

Gemini signs what it thought in a call's ``extra_content``, OpenRouter in the message's ``reasoning_details``; both
refuse to go on without it, or think anew. Frameworks know no such fields and leave them out.
"""

from collections.abc import Iterable, Sequence
from typing import Any

DETAILS = "reasoning_details"
"""Where OpenRouter has what the model thought, beside its text."""

_PIECES = ("text", "summary")
"""The fields of a detail that come in pieces."""
_NAMES_CALL = "google-gemini"
"""How the format of a detail begins that names a tool call by its id."""


def joined_details(known: list[Any], more: Iterable[Any]) -> list[Any]:
    """Return the details of a thought with those of the answer's next piece: the text of one comes in pieces."""
    joined = list(known)
    for detail in more:
        place = next((place for place in reversed(range(len(known))) if _goes_on(known, place, detail)), None)
        if place is None:
            joined.append(detail)
        else:
            joined[place] = _with_more(joined[place], detail)
    return joined


def _goes_on(known: list[Any], place: int, detail: Any) -> bool:
    """Return whether a detail is more of the one at a place."""
    before = known[place]
    if not isinstance(before, dict) or not isinstance(detail, dict) or not any(name in before for name in _PIECES):
        return False
    if any(before.get(name) != detail.get(name) for name in ("type", "index")):
        return False
    return detail.get("index") is not None or place == len(known) - 1


def _with_more(before: dict[str, Any], detail: dict[str, Any]) -> dict[str, Any]:
    more = {name: value for name, value in detail.items() if value is not None}
    return {
        **before,
        **more,
        **{name: f"{before.get(name) or ''}{more[name]}" for name in _PIECES if name in more},
    }


def details_of_calls(details: list[Any], call_ids: Sequence[str]) -> list[Any]:
    """Return the details of a thought with the ids that an answer's tool calls have here, in the place of those
    that the endpoint gave them.

    Args:
        details: as they came.
        call_ids: the calls' ids, in their order.
    """
    sent = dict.fromkeys(str(detail["id"]) for detail in details if _names_call(detail))
    own = dict(zip(sent, call_ids, strict=False))
    return [
        {**detail, "id": own[detail["id"]]} if _names_call(detail) and detail["id"] in own else detail
        for detail in details
    ]


def _names_call(detail: Any) -> bool:
    return (
        isinstance(detail, dict)
        and isinstance(detail.get("id"), str)
        and str(detail.get("format")).startswith(_NAMES_CALL)
    )
