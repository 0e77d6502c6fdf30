"""Keeps the fields that endpoints add to an answer beside the API's own, and want back with the tool calls that it
holds.

Gemini signs what it thought in a call's ``extra_content``, OpenRouter in the message's ``reasoning_details``; both
refuse to go on without it, or think anew. Frameworks know no such fields and leave them out.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

DETAILS = "reasoning_details"
"""The field in which OpenRouter has what the model thought, beside its text."""

_PIECES = ("text", "summary")
"""The fields of a detail that come in pieces."""
_NAMES_CALL = "google-gemini"
"""The beginning of the format of a detail that names a tool call by its id."""


class KeptFields:
    """The fields that endpoints added to the answers of one attempt, kept for its next model calls."""

    def __init__(self) -> None:
        self._reasoning: dict[str, tuple[str, dict[str, Any]]] = {}
        """The model that made a tool call, and its reasoning by the field it came in, by the call's id."""
        self._extras: dict[str, tuple[str, dict[str, Any]]] = {}
        """The model that made a tool call, and the fields added to it, by the call's id."""

    def keep(
        self,
        call_ids: Sequence[str],
        reasoning: dict[str, Any],
        extras: Mapping[str, dict[str, Any]],
        model: str,
    ) -> None:
        """Keep what was added to an answer.

        Args:
            call_ids: the ids of its tool calls, in their order.
            reasoning: the model's reasoning before it made them, by the name of the field it came in; or nothing.
            extras: the fields that the endpoint added to the calls, by their ids.
            model: the model that answered.
        """
        if DETAILS in reasoning:
            reasoning = {**reasoning, DETAILS: details_of_calls(reasoning[DETAILS], call_ids)}
        self._extras.update({call_id: (model, added) for call_id, added in extras.items() if added})
        if reasoning:
            self._reasoning.update(dict.fromkeys(call_ids, (model, reasoning)))

    def put_back(self, messages: Any, model: str) -> Any:
        """Return a request's messages with the reasoning that led to their tool calls, and the fields added to
        these: frameworks leave them out, and some models refuse to go on without.

        Args:
            messages: the messages.
            model: the model that is asked. Others may refuse what an endpoint added.
        """
        if not isinstance(messages, list) or not (self._reasoning or self._extras):
            return messages
        return [
            self._with_extras({**self._thoughts(m, model), **m}, model) if isinstance(m, dict) else m
            for m in messages
        ]

    def _with_extras(self, message: dict[str, Any], model: str) -> dict[str, Any]:
        calls = message.get("tool_calls")
        if not isinstance(calls, list):
            return message
        return {**message, "tool_calls": [self._with_own_extras(call, model) for call in calls]}

    def _with_own_extras(self, call: Any, model: str) -> Any:
        made_by, extras = self._extras.get(str(call.get("id")), ("", {})) if isinstance(call, dict) else ("", {})
        return {**extras, **call} if extras and made_by == model else call

    def _thoughts(self, message: dict[str, Any], model: str) -> dict[str, Any]:
        calls = message.get("tool_calls")
        ids = [call.get("id") for call in calls if isinstance(call, dict)] if isinstance(calls, list) else []
        known = (self._reasoning[call_id] for call_id in ids if call_id in self._reasoning)
        made_by, reasoning = next(known, ("", {}))
        return reasoning if made_by == model else {n: v for n, v in reasoning.items() if n != DETAILS}


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
        details: the details as they came.
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
