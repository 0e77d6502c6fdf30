"""Reads the questions of LangChain's ``HumanInTheLoopMiddleware`` about tool calls, and writes the decisions it
takes.

https://docs.langchain.com/oss/python/langchain/human-in-the-loop
"""

import json
from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import ToolCall
from pydantic import TypeAdapter

from k8gentai.agents.contract.turn import NOT_APPROVED, Decision

_DECISIONS = ("approve", "edit", "reject", "respond")


@dataclass(frozen=True)
class Action:
    """A call that is asked about."""

    name: str
    arguments: dict[str, Any]
    call_id: str | None
    """None where it is not known."""
    allowed: Container[str] = _DECISIONS
    """The kinds of decisions that it takes."""


@dataclass(frozen=True)
class Review:
    """One interrupt of the middleware's: the calls it asks about, and what it takes for their decisions."""

    actions: list[Action]
    answer: Callable[[list[Decision]], Any]

    def refused(self, decisions: list[Decision]) -> list[str]:
        """Return the ids of the calls that the middleware answers in the tool's place."""
        return [call_id for call_id, taken in self._taken(decisions) if taken["type"] in {"reject", "respond"}]

    def settled(self, decisions: list[Decision]) -> dict[str, Any]:
        """Return what is to run for calls, by their ids, as LangChain's ``Action``: a name and arguments. They are
        those that the person saw, or wrote.
        """
        approved = {
            action.call_id: {"name": action.name, "args": action.arguments}
            for action in self.actions
            if action.call_id
        }
        return {
            call_id: taken.get("edited_action") if taken["type"] == "edit" else approved[call_id]
            for call_id, taken in self._taken(decisions)
            if taken["type"] in {"approve", "edit"}
        }

    def _taken(self, decisions: list[Decision]) -> list[tuple[str, dict[str, Any]]]:
        """Return the decisions as the middleware takes them, with the ids of the calls that have any."""
        pairs = zip(self.actions, decisions, strict=True)
        return [(action.call_id, _taken(decision, action)) for action, decision in pairs if action.call_id]


def review_of(value: Any, calls: Iterable[ToolCall], response_schema: Any) -> Review | None:
    """Read an interrupt's value; None where it is not the middleware's.

    Args:
        calls: the calls of the message that is reviewed.
        response_schema: of the answer, where the interrupt has one.
    """
    if not isinstance(value, dict):
        return None
    if value.get("type") == "tool_approval" and "tool_call_id" in value:
        action = Action(value["name"], value["args"], value["tool_call_id"] or None, _allowed(response_schema))
        return Review([action], lambda decisions: _taken(decisions[0], action))
    requests = value.get("action_requests")
    return _batch(requests, value.get("review_configs") or (), list(calls)) if isinstance(requests, list) else None


def _batch(requests: list[Any], configs: Iterable[Any], calls: list[ToolCall]) -> Review:
    allowed = {config["action_name"]: config["allowed_decisions"] for config in configs}
    actions = [
        Action(
            request["name"], request["args"], _call_of(request, calls), allowed.get(request["name"], _DECISIONS)
        )
        for request in requests
    ]
    return Review(
        actions,
        lambda decisions: {"decisions": [_taken(*pair) for pair in zip(decisions, actions, strict=True)]},
    )


def _allowed(response_schema: Any) -> list[str]:
    """Return the kinds of decisions that a schema takes."""
    if response_schema is None:
        return list(_DECISIONS)
    schema = json.dumps(TypeAdapter(response_schema).json_schema())
    return [kind for kind in _DECISIONS if f'"const": "{kind}"' in schema]


def _call_of(request: Any, left: list[ToolCall]) -> str | None:
    """Return the id of the call that a request is about. The middleware asks in the order of the calls.

    Args:
        left: the calls that no request was about so far.
    """
    for call in left:
        if call["name"] == request["name"] and call["args"] == request["args"]:
            left.remove(call)
            return call["id"] or None
    return None


def _taken(decision: Decision, action: Action) -> dict[str, Any]:
    """Return a decision as the middleware takes it: the person's own one, where the reason is that."""
    own = _read(decision.reason) if decision.approve else None
    if own is not None:
        return own
    if "respond" in action.allowed and ("approve" if decision.approve else "reject") not in action.allowed:
        # A tool that only the person answers.
        return {"type": "respond", "message": decision.reason or ("yes" if decision.approve else "no")}
    if decision.approve:
        return {"type": "approve"}
    return {"type": "reject", "message": decision.reason or NOT_APPROVED}


def _read(reason: str | None) -> dict[str, Any] | None:
    """Return the decision that a reason holds as JSON, if any."""
    try:
        read = json.loads(reason or "")
    except ValueError:
        return None
    return read if isinstance(read, dict) and read.get("type") in _DECISIONS else None
