"""The response resource: the fields that follow from the request, and token usage.

Every field the Open Responses specification (openresponses.org, ``ResponseResource``) requires is present,
and non-null where it must be; the defaults are the OpenAI API's own.
"""

from typing import Any

from k8gentai.agents.contract.error_codes import RESPONSES_API
from k8gentai.agents.contract.events import TurnFailed, Usage
from k8gentai.agents.contract.turn import Item
from k8gentai.providers.ids import belongs_to, item_id
from k8gentai.workers.queue.record import TurnRecord

_ECHOED: dict[str, Any] = {
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "prompt": None,
    "prompt_cache_key": None,
    "reasoning": None,
    "safety_identifier": None,
    "user": None,
    "frequency_penalty": 0.0,
    "metadata": {},
    "parallel_tool_calls": True,
    "presence_penalty": 0.0,
    "service_tier": "default",
    "temperature": 1.0,
    "tool_choice": "auto",
    "top_logprobs": 0,
    "top_p": 1.0,
    "truncation": "disabled",
}
"""Request parameters a response repeats, and what stands where the request has none."""

_CODES = {"invalid_request": "invalid_prompt"}
_CALLS = frozenset({"mcp_call", "function_call"})
_JOINING = frozenset({"completed", "incomplete"})
_SECRET_TOOL_FIELDS = frozenset({"authorization", "headers"})


def resource_base(record: TurnRecord) -> dict[str, Any]:
    """Return a response before anything happened: queued, without output."""
    request = record.request
    echoed = {
        name: default if (value := request.get(name)) is None else value for name, default in _ECHOED.items()
    }
    if echoed["service_tier"] == "auto":
        echoed["service_tier"] = "default"
    if echoed["reasoning"] is not None:
        echoed["reasoning"] = {"effort": None, "summary": None, **echoed["reasoning"]}
    if isinstance(echoed["tool_choice"], dict) and echoed["tool_choice"]["type"] == "allowed_tools":
        echoed["tool_choice"] = {"mode": "auto", **echoed["tool_choice"]}
    return {
        "id": record.turn.id,
        "object": "response",
        "created_at": int(record.accepted_at),
        "completed_at": None,
        "status": "queued",
        "background": record.background,
        "error": None,
        "incomplete_details": None,
        "model": request.get("model", record.turn.agent),
        "output": [],
        "previous_response_id": record.previous_response_id,
        "conversation": {"id": record.turn.conversation} if record.turn.conversation else None,
        "store": record.store,
        "text": _text(request.get("text")),
        "tools": [_tool(tool) for tool in record.turn.tools],
        "usage": None,
        **echoed,
    }


def _text(requested: dict[str, Any] | None) -> dict[str, Any]:
    text = dict(requested or {})
    format_ = dict(text.get("format") or {"type": "text"})
    if format_["type"] == "json_schema":
        format_ = {
            "description": None,
            "strict": False,
            **{k: v for k, v in format_.items() if v is not None},
        }
    return {**text, "format": format_}


def _tool(tool: dict[str, Any]) -> dict[str, Any]:
    """Return the tool as the client sent it, without its credentials."""
    shown = {name: value for name, value in tool.items() if name not in _SECRET_TOOL_FIELDS}
    if shown.get("type") == "function":
        shown = {"description": None, "parameters": None, "strict": None, **shown}
    return shown


def error_of(event: TurnFailed) -> dict[str, Any]:
    """Return why a turn failed: the API's ``code``, of which there are few, and our own more exact one as
    ``reason``.
    """
    code = event.code if event.code in RESPONSES_API else _CODES.get(event.code, "server_error")
    return {"code": code, "message": event.message, "reason": event.code}


def usable(output: list[Item]) -> list[Item]:
    """Output as later turns see it: without calls that were cut off, as models accept none without a result."""
    return [item for item in output if item["type"] not in _CALLS or item["status"] != "incomplete"]


def joins(response: dict[str, Any]) -> bool:
    """Return whether an ended turn ended well enough to join its conversation."""
    return response["status"] in _JOINING


def joined(turn_id: str, given: list[Item], output: list[Item]) -> list[Item]:
    """Return a turn's items as they join its conversation."""
    return [
        # The host's items are unique by id across all conversations: an id that a client chose could
        # take an item out of somebody else's.
        item if belongs_to(turn_id, item["id"]) else {**item, "id": item_id(turn_id, index, item["type"])}
        for index, item in enumerate(given)
    ] + usable(output)


class UsageSum:
    """Tokens of all model calls of a turn, whichever attempt made them: all of them were paid for."""

    def __init__(self) -> None:
        self.counted = False
        self._input = self._output = self._cached = self._reasoning = 0

    def add(self, usage: Usage) -> None:
        """Count one more model call."""
        self.counted = True
        self._input += usage.input_tokens
        self._output += usage.output_tokens
        self._cached += usage.cached_tokens
        self._reasoning += usage.reasoning_tokens

    def resource(self) -> dict[str, Any]:
        """Return the response in the shape of the Responses API."""
        return {
            "input_tokens": self._input,
            "input_tokens_details": {"cached_tokens": self._cached, "cache_write_tokens": 0},
            "output_tokens": self._output,
            "output_tokens_details": {"reasoning_tokens": self._reasoning},
            "total_tokens": self._input + self._output,
        }
