"""Writes what AG2's tools came to into the turn's record, and makes the same of it again in a later attempt."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ag2 import ToolResult
from ag2.events import Input

from k8gentai.agents.adapters.ag2.context_changes import Kept
from k8gentai.agents.adapters.base.kept_results import is_same, read_result, round_trip, write_result
from k8gentai.agents.code.exceptions import words_of
from k8gentai.agents.contract.turn import ToolFailedError, ToolOutcome
from k8gentai.agents.text.json_text import json_text
from k8gentai.agents.text.utf8 import encodable, message_of

_CHANGES = "changes"
"""Key of what a call changed in the context of its agent."""


def outcome_of_result(texts: list[str], *, final: bool) -> ToolOutcome:
    """Return a result as the record has it.

    Args:
        texts: the parts of the result.
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


def outcome_of_error(error: Exception, changes: Kept) -> ToolOutcome:
    """Return what a tool raised as the record has it, with what the tool had changed by then."""
    text = message_of(error) if isinstance(error, ToolFailedError) else words_of(error)
    return with_changes(ToolOutcome(text, is_error=True), changes)


def with_changes(outcome: ToolOutcome, changes: Kept | None) -> ToolOutcome:
    """Return an outcome with what its call changed in the context of the agent."""
    if changes is None:
        return outcome
    kept = json.loads(outcome.raw) if outcome.raw else {"value": outcome.output}
    return replace(outcome, raw=json.dumps({**kept, _CHANGES: changes}))


def changes_of(raw: str | None) -> Kept | None:
    """Return what a call changed in the context of its agent.

    Args:
        raw: what the record has of its outcome, or of what its tool itself returned.
    """
    changes: Kept | None = json.loads(raw).get(_CHANGES) if raw else None
    return changes


def value_of(outcome: ToolOutcome) -> Any:
    """Return what a tool's function returned."""
    kept = json.loads(outcome.raw) if outcome.raw else {"value": outcome.output}
    kept.pop(_CHANGES, None)
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


def kept_result(
    result: ToolResult, texts: Callable[[ToolResult], list[str]], changes: Kept | None = None
) -> str | None:
    """Return all of a result as text; None where what is read back is not the same.

    Args:
        result: the result that a tool returned.
        texts: returns the texts of its parts, which stand for it where a reader knows no more.
        changes: the tool's changes to the context of its agent.
    """
    changed = {} if changes is None else {_CHANGES: changes}

    def write(whole: ToolResult) -> str:
        held = {"parts": whole.parts, "final": whole.final, "metadata": whole.metadata}
        return json.dumps({"value": "\n".join(texts(whole)), "whole": write_result(held, (Input,)), **changed})

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
