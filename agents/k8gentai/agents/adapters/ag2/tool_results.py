"""Writes what AG2's tools came to into the turn's record, and makes the same of it again in a later attempt."""

import json
from collections.abc import Callable
from typing import Any

from ag2 import ToolResult
from ag2.events import Input

from k8gentai.agents.adapters.base.kept_results import is_same, read_result, round_trip, write_result
from k8gentai.agents.contract.turn import ToolOutcome
from k8gentai.agents.text.json_text import json_text
from k8gentai.agents.text.utf8 import encodable


def outcome_of_result(texts: list[str], *, final: bool) -> ToolOutcome:
    """Return a result as the record has it.

    Args:
        texts: its parts.
        final: it is the agent's answer.
    """
    shown = [encodable(text) for text in texts]
    return ToolOutcome("\n".join(shown), raw=json.dumps({"parts": shown, "final": final}))


def outcome_of_value(value: object) -> ToolOutcome:
    """Return what a tool's function returned as the record has it, where that is no result of AG2's."""
    if isinstance(value, str):
        return ToolOutcome(value)
    text = json_text(value)
    kept: dict[str, Any] = {"value": json.loads(text)}
    if not is_same(kept["value"], value):
        kept["whole"] = round_trip(value, write_result, read_result)
    return ToolOutcome(text, raw=json.dumps(kept))


def value_of(outcome: ToolOutcome) -> Any:
    """Return what a tool's function returned."""
    kept = json.loads(outcome.raw) if outcome.raw else {"value": outcome.output}
    try:
        if kept.get("whole") is not None:
            return read_result(kept["whole"])
    except (LookupError, ValueError):
        return kept["value"]
    return kept["value"] if "value" in kept else ToolResult(**kept)


def result_of(outcome: ToolOutcome) -> ToolResult:
    """Return the result that AG2 makes of it."""
    value = value_of(outcome)
    return value if isinstance(value, ToolResult) else ToolResult(value)


def kept_result(result: ToolResult, texts: Callable[[ToolResult], list[str]]) -> str | None:
    """Return all of a result as text; None where what is read back is not the same.

    Args:
        texts: returns the texts of its parts, which stand for it where a reader knows no more.
    """

    def write(whole: ToolResult) -> str:
        held = {"parts": whole.parts, "final": whole.final, "metadata": whole.metadata}
        return json.dumps({"value": "\n".join(texts(whole)), "whole": write_result(held, (Input,))})

    return round_trip(result, write, remade)


def remade(text: str) -> ToolResult:
    """Return the result that :func:`kept_result` wrote; its text where a class in it is not what it was."""
    kept = json.loads(text)
    if "whole" not in kept:
        return result_of(ToolOutcome("", raw=text))
    try:
        return ToolResult(**read_result(kept["whole"], (Input,)))
    except (LookupError, ValueError):
        return ToolResult(kept["value"])
