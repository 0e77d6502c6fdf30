"""Ids of tool calls that every model takes: nine letters and digits, all that Mistral's endpoints allow.

Source: https://docs.mistral.ai/api (``Tool call id was … but must be a-z, A-Z, 0-9, with a length of 9``).
"""

import hashlib
import itertools
import re
import string
from collections.abc import Callable
from typing import Any

_ALPHABET = string.digits + string.ascii_letters
_LETTERS = 9
_TAKEN = re.compile(rf"[0-9A-Za-z]{{{_LETTERS}}}")

CallId = Callable[[str, int, int], str]
"""Returns a tool call's id, given the one that the model sent, the index of its choice, and its place in that."""


def short_id(told: str) -> str:
    """Return an id that stands for a text."""
    number = int.from_bytes(hashlib.sha256(told.encode(errors="surrogatepass")).digest())
    return "".join(_ALPHABET[number // len(_ALPHABET) ** place % len(_ALPHABET)] for place in range(_LETTERS))


class CallIds:
    """The ids of one attempt's tool calls: no two calls of the turn have the same, and a call has the same again
    when the turn is run again.

    Args:
        origin: the turn that the journal began with.
    """

    def __init__(self, origin: str) -> None:
        self._origin = origin
        self._places: dict[str, tuple[str, int, int]] = {}
        """The calls that have an id, as arguments of :meth:`new`."""

    def new(self, key: str, choice: int, number: int) -> str:
        """Return the id of a tool call.

        Args:
            key: the journal's key of the model call.
            choice: the index of the choice that makes the call.
            number: the call's place in the choice.
        """
        place = (key, choice, number)
        for attempt in itertools.count():
            own = short_id(f"{self._origin} {place} {attempt}")
            if self._places.setdefault(own, place) == place:
                return own
        raise AssertionError("count() has no end")

    def recorded(self, sent: str, key: str, choice: int, number: int) -> str:
        """Return the id of a tool call of a recorded answer: the recorded one, by which its result is kept, unless
        there is none or another call of the turn has it.

        Args:
            sent: the recorded id.
            key: the journal's key of the model call.
            choice: the index of the choice that makes the call.
            number: the call's place in the choice.
        """
        place = (key, choice, number)
        if sent and self._places.setdefault(sent, place) == place:
            return sent
        return self.new(*place)


def with_short_ids(body: dict[str, Any]) -> dict[str, Any]:
    """Return a model call whose messages name tool calls by ids that every model takes.

    Calls of earlier turns have the ids of their items, and clients and agents' code may bring others. The journal
    knows a call by what it was before.
    """
    messages = body.get("messages")
    return {**body, "messages": [_message(each) for each in messages]} if isinstance(messages, list) else body


def _message(message: Any) -> Any:
    if not isinstance(message, dict):
        return message
    if isinstance(calls := message.get("tool_calls"), list):
        message = {**message, "tool_calls": [_named(call, "id") for call in calls]}
    return _named(message, "tool_call_id")


def _named(part: Any, field: str) -> Any:
    """Return a message or call with another id in place of one that not every model takes."""
    if not isinstance(part, dict) or not isinstance(given := part.get(field), str) or not given:
        return part
    return part if _TAKEN.fullmatch(given) else {**part, field: short_id(given)}
