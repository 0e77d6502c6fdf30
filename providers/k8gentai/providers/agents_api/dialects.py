"""The one difference between the shapes under ``/v1`` (clients 0.2) and ``/v1alpha`` (clients 0.3): a tool call's
``arguments`` are an object there, with ``arguments_json`` beside it, and JSON text here."""

import json
from collections.abc import Callable
from typing import Any

Json = dict[str, Any]


def _call_0_2(call: Json) -> Json:
    try:
        arguments = json.loads(call["arguments"])
    except (ValueError, RecursionError):
        arguments = {}
    parsed = arguments if isinstance(arguments, dict) else {}
    return {**call, "arguments": parsed, "arguments_json": call["arguments"]}


def _message_0_2(message: Json) -> Json:
    return {**message, "tool_calls": [_call_0_2(call) for call in message["tool_calls"]]}


def step_0_2(step: Json) -> Json:
    """Return a step as clients 0.2 know it."""
    if step["step_type"] == "inference":
        return {**step, "model_response": _message_0_2(step["model_response"])}
    return {**step, "tool_calls": [_call_0_2(call) for call in step["tool_calls"]]}


def turn_0_2(turn: Json) -> Json:
    """Return a turn as clients 0.2 know it."""
    steps = [step_0_2(step) for step in turn["steps"]]
    return {**turn, "steps": steps, "output_message": _message_0_2(turn["output_message"])}


def chunk_0_2(chunk: Json) -> Json:
    """Return a chunk of a turn's stream as clients 0.2 know it."""
    if "event" not in chunk:
        return chunk
    payload = dict(chunk["event"]["payload"])
    if isinstance(payload.get("delta", {}).get("tool_call"), dict):
        payload["delta"] = {**payload["delta"], "tool_call": _call_0_2(payload["delta"]["tool_call"])}
    if "step_details" in payload:
        payload["step_details"] = step_0_2(payload["step_details"])
    if "turn" in payload:
        payload["turn"] = turn_0_2(payload["turn"])
    return {"event": {"payload": payload}}


class Dialect:
    """The shapes that objects have for the clients of one version.

    Args:
        prefix: of its paths.
        step, turn, chunk: bring one into its shape.
    """

    def __init__(
        self,
        prefix: str,
        step: Callable[[Json], Json],
        turn: Callable[[Json], Json],
        chunk: Callable[[Json], Json],
    ) -> None:
        self.prefix = prefix
        self.step = step
        self.turn = turn
        self.chunk = chunk


def _as_is(shown: Json) -> Json:
    return shown


DIALECTS = (
    Dialect("/v1", step_0_2, turn_0_2, chunk_0_2),
    Dialect("/v1alpha", _as_is, _as_is, _as_is),
)
