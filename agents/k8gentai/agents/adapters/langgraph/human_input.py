"""Has the turn ask people where a graph does: by ``interrupt()``, called by its own code or by LangChain's
middleware.

A question is named by its place in the graph and by what it asks, so that its answer finds it whenever and in
whatever order the graph comes to it again. The graph runs from its beginning when there is an answer, and
``interrupt()`` returns it.
"""

import asyncio
import json
import re
import sys
import threading
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any

import langgraph.types
from langchain_core.messages import ToolCall
from langgraph.errors import GraphInterrupt
from langgraph.pregel import Pregel
from langgraph.types import Interrupt, StateSnapshot
from pydantic import TypeAdapter

from k8gentai.agents.adapters.base.call_ids import CallIds
from k8gentai.agents.adapters.langgraph.places import Places, last_calls
from k8gentai.agents.adapters.langgraph.reviews import Action, review_of
from k8gentai.agents.contract.idempotency import idempotency_key
from k8gentai.agents.contract.turn import Decision, ToolBoundary, TurnError
from k8gentai.agents.text.json_text import shown_json

_MESSAGE_FIELDS = {"type", "content", "id", "additional_kwargs"}
"""Fields by which the JSON of one of LangChain's messages is known."""
_ADDRESS = re.compile(r" at 0x[0-9a-f]+(?=>)")
"""The address of an object, as Python prints it."""


@dataclass(frozen=True)
class _Part:
    """One thing that a person decides: of most interrupts the only one."""

    question: str
    """The id of the question that it belongs to."""
    name: str
    arguments: str
    about: tuple[str, ...]
    """The calls that wait for it."""


@dataclass(frozen=True)
class _Asked:
    """One ``interrupt()``: what a person decides, and what it returns then."""

    parts: tuple[_Part, ...]
    answer: Callable[[list[Decision]], Any]
    refused: Callable[[list[Decision]], list[str]]
    """Returns the calls that are not to be made then: the person answers in the tool's place."""
    settled: Callable[[list[Decision]], dict[str, Any]] = lambda _: {}
    """Returns what the person has run for calls, by their ids."""


class Questions:
    """The interrupts of one attempt.

    Args:
        boundary: asks.
        places: of the graph's tasks.
    """

    def __init__(self, boundary: ToolBoundary, places: Places) -> None:
        self._boundary = boundary
        self._places = places
        self._ids = CallIds()
        self._open: defaultdict[tuple[str, str], list[_Asked]] = defaultdict(list)
        """The questions without an answer, by the ids and contents of LangGraph's interrupts."""
        self._settled: dict[str, Any] = {}
        """The calls that people had run, by their ids: each a name and arguments."""
        self._lock = threading.Lock()

    def settled(self, call_id: str, name: str) -> dict[str, Any] | None:
        """Return the arguments that a person had a tool run with for a call; None where nobody was asked."""
        found = self._settled.get(call_id)
        return found["args"] if isinstance(found, dict) and found.get("name") == name else None

    def interrupt(self, stop: Callable[[], Any], value: Any, response_schema: Any) -> Any:
        """Return what a person answered to an ``interrupt()``.

        Args:
            stop: LangGraph's own function, which stops the graph, unless its caller resumed it by a command.
            value: the value that is asked with.
            response_schema: of the answer, as LangGraph takes it.

        Raises:
            GraphInterrupt: nobody has answered, and the graph stops.
            pydantic.ValidationError: the answer is not of the schema.
        """
        asked = self._read(value, response_schema)
        decisions = [self._boundary.decision(part.question, part.name, part.arguments) for part in asked.parts]
        known = [decision for decision in decisions if decision is not None]
        if len(known) == len(decisions):
            for call_id in asked.refused(known):
                self._boundary.exempt(call_id)
            self._settled |= asked.settled(known)
            return _validated(asked.answer(known), response_schema)
        try:
            return stop()
        except GraphInterrupt as stopped:
            for interrupt in stopped.args[0]:
                with self._lock:
                    self._open[_key(interrupt)].append(asked)
            raise

    async def ask(self, interrupts: list[Interrupt]) -> None:
        """Ask a person about all interrupts that the graph stopped at, which suspends the turn.

        Raises:
            TurnError: all of them are answered, and the graph stops at them all the same.
        """
        parts = [part for interrupt in interrupts for part in self._taken(interrupt).parts]
        await asyncio.gather(
            *(self._boundary.ask(part.question, part.name, part.arguments, part.about) for part in parts)
        )
        raise TurnError(
            "the graph stops at a question that a person has answered; interrupt() would return the answer"
        )

    async def ask_at_breakpoint(self, state: StateSnapshot) -> bool:
        """Ask whether the graph may go on from a breakpoint (``interrupt_before``, ``interrupt_after``).

        Args:
            state: the graph's.
        """
        calls = [{"name": call["name"], "arguments": call["args"]} for call in last_calls(state.values)]
        arguments = shown_json({"next": state.next, **({"calls": calls} if calls else {})})
        question = self._ids.make("breakpoint", arguments)
        return (await self._boundary.ask(question, "interrupt", arguments)).approve

    def _taken(self, interrupt: Interrupt) -> _Asked:
        with self._lock:
            noted = self._open[_key(interrupt)]
            if noted:
                return noted.pop(0)
        # It was raised by other means than the function, and is known by its content alone.
        return self._single("", interrupt.value, [])

    def _read(self, value: Any, response_schema: Any) -> _Asked:
        here = self._places.here()
        review = review_of(value, self._places.calls(), response_schema)
        if review is None:
            return self._single(here, value, self._places.calls())
        return _Asked(
            tuple(self._action(here, action) for action in review.actions),
            review.answer,
            review.refused,
            review.settled,
        )

    def _single(self, here: str, value: Any, calls: list[ToolCall]) -> _Asked:
        arguments = _question_json(value)
        call = (idempotency_key() or "").partition(":")[2]
        part = _Part(self._ids.make("interrupt", here, arguments), "interrupt", arguments, (call,) if call else ())
        return _Asked(
            (part,),
            lambda decisions: _resumed(decisions[0]),
            lambda decisions: _answered_by(decisions[0], calls),
        )

    def _action(self, here: str, action: Action) -> _Part:
        """Return what is asked of a call goes by the call's own id, as the definition's approval does: answered
        once, for both.
        """
        arguments, call = shown_json(action.arguments), action.call_id
        question = call or self._ids.make(action.name, here, arguments)
        return _Part(question, action.name, arguments, (call,) if call else ())


def hook_interrupts(question_of: Callable[[], Questions | None]) -> None:
    """Have every ``interrupt()`` ask through its turn, also where the function was imported before.

    Args:
        question_of: the questions of the turn that the code at hand belongs to, if to one.
    """
    original = langgraph.types.interrupt
    if hasattr(original, "__wrapped__"):
        return

    @wraps(original)
    def interrupt(value: Any, *, response_schema: Any = None) -> Any:
        questions = question_of()
        if questions is None:
            return original(value, response_schema=response_schema)
        return questions.interrupt(
            lambda: original(value, response_schema=response_schema), value, response_schema
        )

    for module in list(sys.modules.values()):
        if vars(module).get("interrupt") is original:
            vars(module)["interrupt"] = interrupt


def has_breakpoints(graph: Pregel[Any, Any, Any, Any]) -> bool:
    """Return whether a graph or one within it was compiled to stop before or after some of its nodes."""
    graphs = (graph, *(inner for _, inner in graph.get_subgraphs(recurse=True)))
    return any(
        each.interrupt_before_nodes or each.interrupt_after_nodes for each in graphs if isinstance(each, Pregel)
    )


def _question_json(value: object) -> str:
    """Return what an ``interrupt()`` asks as JSON, without what is another one in every attempt: the ids that
    LangChain and LangGraph make up for messages, and the addresses of objects.
    """
    asked = _without_message_ids(json.loads(shown_json(value)))
    return _ADDRESS.sub("", json.dumps(asked, ensure_ascii=False))


def _without_message_ids(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_message_ids(each) for each in value]
    if not isinstance(value, dict):
        return value
    is_message = value.keys() >= _MESSAGE_FIELDS
    return {name: _without_message_ids(each) for name, each in value.items() if not (is_message and name == "id")}


def _answered_by(decision: Decision, calls: list[ToolCall]) -> list[str]:
    """Return the ids of the calls that a node may answer with what a person said to its question about them, or
    leave out. After a plain yes there is nothing to answer with; the tools are to run then.
    """
    if decision.approve and decision.reason is None:
        return []
    return [call["id"] for call in calls if call["id"]]


def _key(interrupt: Interrupt) -> tuple[str, str]:
    return interrupt.id, shown_json(interrupt.value)


def _validated(answer: Any, response_schema: Any) -> Any:
    """Return an answer in the type that the graph asks for, as LangGraph has it."""
    if response_schema is None or isinstance(response_schema, dict):
        return answer
    return TypeAdapter(response_schema).validate_python(answer)


def _resumed(decision: Decision) -> Any:
    """Return what ``interrupt()`` returns: whether it was approved, or in place of a plain yes what the person
    said, read as JSON where it is that.
    """
    if not decision.approve or decision.reason is None:
        return decision.approve
    try:
        return json.loads(decision.reason)
    except ValueError:
        return decision.reason
