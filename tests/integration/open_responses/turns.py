"""Turns of every kind as they come over the wire, each run once for all tests of a host."""

import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.scripted import FOREVER, Answer, Call, Refuse, ScriptedModel, Thought

LANGGRAPH = "plain"
MODEL = "openai/scripted-model"
"""A plain model."""
WITH_TOOLS = ("workshop", MODEL)
"""Agents that take the request's tools."""

WEATHER: dict[str, Any] = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather of a town.",
    "parameters": {"type": "object", "properties": {"town": {"type": "string"}}, "required": ["town"]},
}
SHOUT: dict[str, Any] = {**WEATHER, "name": "shout"}
ASKS = Call("get_weather", {"town": "Ghent"})
ENDS = {"response.completed", "response.failed", "response.incomplete"}


@dataclass(frozen=True)
class ServerSent:
    """One server-sent event, its fields as they were written."""

    data: str
    event: str | None = None
    id: str | None = None


@dataclass(frozen=True)
class Scenario:
    """A turn to be run: what the model answers, and what the request says beside its input."""

    agent: str
    steps: tuple[Any, ...]
    body: dict[str, Any] = field(default_factory=dict)
    cancel: bool = False
    """Whether the client cancels when the first text is there."""


SCENARIOS = {
    "message of an agent": Scenario(LANGGRAPH, (Answer("One ", "two."),)),
    "message of a model": Scenario(MODEL, (Answer("One ", "two."),)),
    "in the background": Scenario(LANGGRAPH, (Answer("One ", "two."),), {"background": True}),
    "tool of the worker": Scenario(
        "calculator", (Answer("I add. ", Call("add", {"a": 1, "b": 2})), Answer("Three."))
    ),
    "tool that fails": Scenario("wrench", (Answer(Call("wrench", {"size": 13})), Answer("No wrench."))),
    "tool of the client": Scenario("workshop", (Answer(ASKS),), {"tools": [WEATHER]}),
    "tool of a model's client": Scenario(MODEL, (Answer("Let me see. ", ASKS),), {"tools": [WEATHER]}),
    "reasoning": Scenario(MODEL, (Answer(Thought("Hm, "), Thought("yes."), "It is."),)),
    "approval": Scenario("guarded", (Answer(Call("write", {"path": "/dev/null", "line": "one"})),)),
    "too long": Scenario(MODEL, (Answer("One ", "two", finish="length"),), {"max_output_tokens": 16}),
    "too long for an agent": Scenario("declared", (Answer("One ", "two", finish="length"),)),
    "failure": Scenario(LANGGRAPH, (Refuse(400, "no such thing"),)),
    "failure in the middle": Scenario(
        "calculator", (Answer("I add. ", Call("add", {"a": 1, "b": 2})), Refuse(400))
    ),
    "cancelled": Scenario(LANGGRAPH, (Answer("On and ", FOREVER),), cancel=True),
}


@dataclass(frozen=True)
class Ran:
    """A turn that was streamed to its end."""

    name: str
    scenario: Scenario
    headers: httpx.Headers
    sent: list[ServerSent]

    @property
    def events(self) -> list[dict[str, Any]]:
        """The events' data, without the stream's terminator."""
        return [json.loads(each.data) for each in self.sent if each.data != "[DONE]"]

    @property
    def response(self) -> dict[str, Any]:
        """The response at its end."""
        response: dict[str, Any] = self.events[-1]["response"]
        return response

    def of_item(self, item_id: str) -> list[dict[str, Any]]:
        """The events of one item."""
        return [e for e in self.events if e.get("item_id", (e.get("item") or {}).get("id")) == item_id]

    def items(self) -> list[dict[str, Any]]:
        """The items as they were when they were done."""
        return [event["item"] for event in self.events if event["type"] == "response.output_item.done"]


class Turns:
    """Runs scenarios on a stack, each once.

    Args:
        http: a client of the stack's server.
        model: answers.
        more: scenarios beside :data:`SCENARIOS`.
    """

    def __init__(self, http: httpx.Client, model: ScriptedModel, more: dict[str, Scenario]) -> None:
        self._http = http
        self._model = model
        self._scenarios = {**SCENARIOS, **more}
        self._ran: dict[str, Ran] = {}

    def __getitem__(self, name: str) -> Ran:
        if name not in self._ran:
            self._ran[name] = self._run(name, self._scenarios[name])
        return self._ran[name]

    def __iter__(self) -> Iterator[Ran]:
        return (self[name] for name in self._scenarios)

    def _run(self, name: str, scenario: Scenario) -> Ran:
        key = f"k{uuid.uuid4().hex[:12]}"
        self._model.script(key, *scenario.steps)
        body = {"model": scenario.agent, "input": f"[[{key}]] Go.", "stream": True, **scenario.body}
        sent: list[ServerSent] = []
        with self._http.stream("POST", "/v1/responses", json=body) as answer:
            for each in server_sent(answer.iter_lines()):
                sent.append(each)
                if scenario.cancel and each.event == "response.output_text.delta":
                    self._cancel(sent)
        return Ran(name, scenario, answer.headers, sent)

    def _cancel(self, sent: list[ServerSent]) -> None:
        response_id = json.loads(sent[0].data)["response"]["id"]
        if [each.event for each in sent].count("response.output_text.delta") == 1:
            self._http.post(f"/v1/responses/{response_id}/cancel").raise_for_status()


def server_sent(lines: Iterator[str]) -> Iterator[ServerSent]:
    """The events of a stream (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""
    fields: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        if not line and fields:
            yield ServerSent(**fields)
            fields = {}
        elif name:
            fields[name] = value.removeprefix(" ")


def every(turns: Turns, check: Callable[[Ran], Any]) -> None:
    """Check every turn.

    Raises:
        AssertionError: naming the turns for which ``check`` gives anything but None, and what it gives.
    """
    faults = {turn.name: fault for turn in turns if (fault := check(turn)) is not None}
    assert not faults
