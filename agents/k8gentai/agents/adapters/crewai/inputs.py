"""Gives a turn's messages and parameters the forms that CrewAI takes: messages for agents, named inputs for crews
and flows."""

import json
from dataclasses import dataclass
from typing import Any

from crewai import Crew, Flow
from pydantic import BaseModel

from k8gentai.agents.adapters.base.messages import Message, to_messages
from k8gentai.agents.contract.turn import RequestError, Turn
from k8gentai.agents.tools.images import IMAGE

_NAMES = ("input", "request", "query", "question", "message", "user_message", "user_input", "prompt", "text")
"""The names that a crew's placeholders or a flow's fields may have for the user's words, best first."""


@dataclass(frozen=True)
class Request:
    """A turn for what takes no messages."""

    text: str
    """The user's words in this turn."""
    before: str
    """The conversation before this turn, a paragraph a message; empty in a first turn."""
    instructions: str
    given: dict[str, Any]
    """The inputs by name, where the user's message is a JSON object."""
    messages: list[Message]
    """All of it as chat messages."""


def messages_of(turn: Turn) -> list[Message]:
    """Return the turn as chat messages, the user's last one included.

    CrewAI makes a prompt of the text of that one, so what else it holds is a message of its own before it.
    """
    messages = to_messages([*turn.history, *turn.input], turn.instructions)
    last = max((i for i, message in enumerate(messages) if message["role"] == "user"), default=None)
    if last is None or isinstance(messages[last]["content"], str):
        return messages
    shown = [part for part in messages[last]["content"] if part["type"] != "text"]
    text = {"role": "user", "content": _text(messages[last]) or IMAGE}
    return [*messages[:last], {"role": "user", "content": shown}, text, *messages[last + 1 :]]


def as_written(messages: list[Message]) -> list[Message]:
    """Return chat messages for a model without tool calls: as CrewAI has it write them, they are text."""
    results = {message["tool_call_id"]: message["content"] for message in messages if message["role"] == "tool"}
    return [_written(message, results) for message in messages if message["role"] != "tool"]


def _written(message: Message, results: dict[str, Any]) -> Message:
    if not message.get("tool_calls"):
        return message
    calls = [(call["function"], results.get(call["id"], "")) for call in message["tool_calls"]]
    lines = [
        f"Action: {function['name']}\nAction Input: {function['arguments']}\nObservation: {result}"
        for function, result in calls
    ]
    return {"role": message["role"], "content": "\n".join(part for part in (_text(message), *lines) if part)}


def request_of(turn: Turn) -> Request:
    """Return the turn as text."""
    messages = to_messages([*turn.history, *turn.input])
    last = max((i for i, message in enumerate(messages) if message["role"] == "user"), default=None)
    text = _text(messages[last]) if last is not None else ""
    told = [_told(message) for number, message in enumerate(messages) if number != last]
    try:
        given = json.loads(text)
    except ValueError:
        given = None
    return Request(
        text=text,
        before="\n".join(line for line in told if line),
        instructions=turn.instructions or "",
        given=given if isinstance(given, dict) else {},
        messages=messages,
    )


def crew_inputs(crew: Crew, request: Request) -> dict[str, Any]:
    """Return the inputs for a crew's placeholders. A crew without a place for the request, for what was said
    before or for instructions has them added to its first task.

    Args:
        crew: this turn's own.

    Raises:
        RequestError: the crew has several placeholders, and the request does not name them all.
    """
    wanted = crew.fetch_inputs()
    known = {**_known(request), **request.given}
    missing = sorted(wanted - known.keys())
    main = next((name for name in _NAMES if name in wanted), None)
    if len(missing) == 1 and main is None and not request.given:
        main = missing.pop()
        known[main] = request.text
    if missing:
        raise RequestError(
            f"input: the crew needs {', '.join(missing)}; send a JSON object with these names as the message"
        )
    asked = request.text if main is None and not request.given else ""
    parts = {
        "The user asks": asked,
        "Instructions": "" if "instructions" in wanted else request.instructions,
        "The conversation so far": "" if "history" in wanted else request.before,
    }
    added = [f"{title}:\n{text}" for title, text in parts.items() if text]
    if added:
        task = crew.tasks[0]
        # The text is not CrewAI's template: what a user says in braces is no placeholder.
        known["k8gentai_added"] = "\n\n".join(added)
        task.description += "\n\n{k8gentai_added}"
    return known


def flow_inputs(flow: Flow[Any], request: Request) -> dict[str, Any]:
    """Return the inputs for a flow's state: all of them where it is a dictionary, else those it has fields for.

    Raises:
        RequestError: the request has instructions, and the state no field for them.
    """
    known = {**_known(request), **request.given}
    model = _state(flow)
    if not isinstance(model, BaseModel):
        return known
    fields = type(model).model_fields
    if not any(name in fields for name in (*_NAMES, *request.given)):
        texts = [name for name, field in fields.items() if field.annotation in (str, str | None) and name != "id"]
        if len(texts) == 1:
            known[texts[0]] = request.text
    if request.instructions and "instructions" not in fields:
        raise RequestError("instructions: the flow's state has no field 'instructions', so it would not know them")
    return {name: value for name, value in known.items() if name in fields}


def takes_messages(flow: Flow[Any]) -> bool:
    """Return whether a flow's state has a place for chat messages: a dictionary has where it comes with one."""
    state = _state(flow)
    return "messages" in (type(state).model_fields if isinstance(state, BaseModel) else state)


def _state(flow: Flow[Any]) -> Any:
    state = flow.state
    return getattr(state, "_unwrap", lambda: state)()


def _known(request: Request) -> dict[str, Any]:
    return {
        **dict.fromkeys(_NAMES, request.text),
        "history": request.before,
        "instructions": request.instructions,
        "messages": request.messages,
    }


def _told(message: Message) -> str:
    if calls := message.get("tool_calls"):
        called = ", ".join(f"{call['function']['name']}({call['function']['arguments']})" for call in calls)
        return "\n".join(part for part in (_line(message), f"assistant called {called}") if part)
    return _line(message)


def _line(message: Message) -> str:
    text = _text(message)
    return f"{message['role']}: {text}" if text else ""


def _text(message: Message) -> str:
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return " ".join(part["text"] for part in content if part.get("type") == "text")
