"""One call of a tool on its way through the turn's tool boundary, whoever in LangGraph or LangChain makes it.

A passage is open until the tool itself begins: what runs the tool on the way (a tool node runs a tool, a tool's
``ainvoke`` its ``run``) belongs to the same call. What the tool runs in turn is another call.
"""

import builtins
import json
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import BaseMessage, ToolMessage, convert_to_messages
from langchain_core.tools import ToolException
from langgraph.errors import GraphBubbleUp
from langgraph.types import Command

from k8gentai.agents.adapters.langgraph.content import text_and_reasoning
from k8gentai.agents.adapters.langgraph.given_messages import GivenMessages
from k8gentai.agents.adapters.langgraph.open_calls import answering
from k8gentai.agents.adapters.langgraph.run import GraphRun
from k8gentai.agents.adapters.langgraph.tool_results import recorded, remade, written
from k8gentai.agents.code.kept_errors import read_error, write_error
from k8gentai.agents.contract.turn import ToolOutcome
from k8gentai.agents.text.utf8 import jsonable, message_of
from k8gentai.agents.tools.admitted_arguments import Admission
from k8gentai.agents.tools.tool_run import ToolRun

_RAISED = "raised "
"""Begins what is kept of a call that raised: the exception follows, or its name where that cannot be written."""


@dataclass(frozen=True)
class _Raised:
    """What a tool raised."""

    error: Exception


class _Bubble(BaseException):
    """Carries what belongs to LangGraph (an interrupt, a command to a parent) past the boundary: it is neither a
    result nor a failure of the tool."""

    def __init__(self, carried: GraphBubbleUp) -> None:
        super().__init__(carried)
        self.carried = carried


class Passage:
    """One call.

    Args:
        run: the turn's.
        call_id: the call.
        name: the tool's.
        arguments: without those that LangGraph puts in.
        given_id: the call's id as whoever runs the tool knows it; None where it is run by hand.
        given: the messages that the tool is given.
    """

    def __init__(
        self,
        run: GraphRun,
        call_id: str,
        name: str,
        arguments: dict[str, Any],
        given_id: str | None,
        given: GivenMessages,
    ) -> None:
        self.call_id = call_id
        self.name = name
        self.given_id = given_id
        self._given_messages = given
        self._run = run
        self._admission = Admission(call_id, name, arguments)
        self._result: Any = None
        self._made: ToolOutcome | None = None
        """What the tool came to in this attempt; None where it did not come to anything."""

    def is_with_its_arguments(self, shown: Callable[[Any], dict[str, Any]], tool_input: Any) -> bool:
        """Return whether the call's tool is about to run with the call's arguments.

        Args:
            shown: returns a tool's arguments without those that LangGraph puts in.
            tool_input: what the tool is about to run with.
        """
        settled = self._run.questions.settled(self.call_id, self.name)
        admitted = shown(self._admission.arguments if settled is None else jsonable(settled))
        if isinstance(tool_input, str):
            return list(admitted.values()) == [jsonable(tool_input)]
        return bool(admitted == jsonable(shown(tool_input)))

    async def through(self, execute: Callable[[], Awaitable[Any]]) -> Any:
        """Pass the boundary. Returns what running the tool returns, or returned in an earlier attempt.

        Args:
            execute: runs the tool.
        """

        async def run_tool() -> ToolOutcome:
            with self._entered():
                return self._came(await execute())

        try:
            outcome = await self._run.context.tools.call(
                self.call_id, self.name, self._admission.arguments, run_tool
            )
        except _Bubble as bubble:
            raise bubble.carried from None
        return self._given(outcome)

    def through_blocking(self, execute: Callable[[], Any]) -> Any:
        """Pass the boundary, as :meth:`through` does, in code that blocks its thread."""

        def run_tool() -> ToolOutcome:
            with self._entered():
                return self._came(execute())

        try:
            outcome = self._run.context.tools.wait(self.call_id, self.name, self._admission.arguments, run_tool)
        except _Bubble as bubble:
            raise bubble.carried from None
        return self._given(outcome)

    def take_run(self) -> ToolRun | None:
        """Return the run of the call's tool that begins now, with the call's arguments; None where it is not the
        call's, but one beside another."""
        return self._admission.take_run()

    def first_run(self) -> ToolRun:
        """Return the run of the call's tool that begins now, where no other code is around it."""
        return self._admission.new_run(keeps=True)

    def counts_beside(self) -> bool:
        """Return whether a run of the call's tool that is about to begin, with the call's arguments, is not the
        call's, but one beside another. It is counted then."""
        return self._admission.counts_beside()

    @contextmanager
    def begun(self) -> Iterator[None]:
        """While inside, the tool itself is at work: what it runs are other calls."""
        token, of_call = _current.set((self, False)), answering.set(self.call_id)
        try:
            yield
        finally:
            _current.reset(token)
            answering.reset(of_call)

    def ended(self, tool_run: ToolRun, result: Any) -> Any:
        """Take what the tool returned, and return it."""
        text = written(result, self._given_messages)
        if getattr(result, "status", None) == "error":
            tool_run.keep_error(text)
        else:
            tool_run.keep(text)
        return result

    def ended_before(self, text: str) -> Any:
        """Return what the tool returned in an earlier attempt.

        Args:
            text: as it was kept.
        """
        return remade(text, self._given_messages)

    @contextmanager
    def _entered(self) -> Iterator[None]:
        token, of_call = _current.set((self, True)), answering.set(self.call_id)
        try:
            yield
        except GraphBubbleUp as bubble:
            raise _Bubble(bubble) from bubble
        except SystemExit as error:
            # It would end the worker, and with it every other turn.
            raise RuntimeError(f"the tool called sys.exit({error})") from error
        finally:
            _current.reset(token)
            answering.reset(of_call)

    def _came(self, result: Any) -> ToolOutcome:
        _mend(result)
        self._result = result
        self._made = self._outcome(result)
        return self._made

    def _outcome(self, result: Any) -> ToolOutcome:
        """Return what the model is shown of a result: the tool message that answers the call."""
        raw = recorded(result, self._given_messages)
        for item in result if isinstance(result, list) else [result]:
            for message in _messages(item):
                if isinstance(message, ToolMessage) and message.tool_call_id == self.given_id:
                    return ToolOutcome(text_and_reasoning(message)[0], is_error=message.status == "error", raw=raw)
        return ToolOutcome("", raw=raw)

    def _given(self, outcome: ToolOutcome) -> Any:
        self._run.answered(self.call_id)
        if self._made is not None and outcome == self._made:
            return self._result
        # The boundary knew the outcome from before, or made it: over time, denied, failed.
        if outcome.raw:
            return remade(outcome.raw, self._given_messages)
        status = "error" if outcome.is_error else "success"
        answered = self.given_id or self.call_id
        return ToolMessage(outcome.output, name=self.name, tool_call_id=answered, status=status)


class ToolPassage(Passage):
    """A call of a tool without a tool node around it: its errors are its caller's.

    Args:
        asked: a model asked for it, and is told what it came to.
    """

    def __init__(self, *call: Any, asked: bool) -> None:
        super().__init__(*call)
        self._asked = asked

    async def through(self, execute: Callable[[], Awaitable[Any]]) -> Any:
        async def caught() -> Any:
            try:
                return await execute()
            except GraphBubbleUp:
                raise
            except Exception as error:  # noqa: BLE001 - raised again where the call is made
                return _Raised(error)

        return await super().through(caught)

    def through_blocking(self, execute: Callable[[], Any]) -> Any:
        def caught() -> Any:
            try:
                return execute()
            except GraphBubbleUp:
                raise
            except Exception as error:  # noqa: BLE001 - raised again where the call is made
                return _Raised(error)

        return super().through_blocking(caught)

    def _outcome(self, result: Any) -> ToolOutcome:
        if isinstance(result, _Raised):
            kept = write_error(result.error) or type(result.error).__name__
            return ToolOutcome(message_of(result.error), is_error=True, raw=f"{_RAISED}{kept}")
        if self.given_id is not None or isinstance(result, ToolMessage | Command):
            return super()._outcome(result)
        raw = "" if isinstance(result, str) else recorded(result, self._given_messages)
        return ToolOutcome(_text(result), raw=raw)

    def _given(self, outcome: ToolOutcome) -> Any:
        if outcome.raw.startswith(_RAISED):
            self._run.answered(self.call_id)
            self._run.raised.add(self.call_id)
            known = self._made is not None and outcome == self._made
            raise self._result.error if known else _error(outcome)
        if self.given_id is not None or outcome.raw:
            return super()._given(outcome)
        self._run.answered(self.call_id)
        if outcome.is_error and not self._asked:
            raise ToolException(outcome.output)
        return outcome.output


_current: ContextVar[tuple[Passage, bool] | None] = ContextVar("current_passage", default=None)
"""The passage that the code at hand belongs to, and whether it is open."""


def open_passage() -> Passage | None:
    """Return the passage that the tool which is about to run may belong to."""
    current = _current.get()
    return current[0] if current is not None and current[1] else None


def _error(outcome: ToolOutcome) -> Exception:
    """Return the exception of an earlier attempt again; where it was not written, one of its name where that is
    one of Python's."""
    written = outcome.raw.removeprefix(_RAISED)
    if written.startswith("{"):
        return read_error(written)
    kind = getattr(builtins, written, None)
    if isinstance(kind, type) and issubclass(kind, Exception):
        try:
            return kind(outcome.output)
        except TypeError:
            pass
    return ToolException(outcome.output)


def _text(result: Any) -> str:
    return result if isinstance(result, str) else json.dumps(jsonable(result), ensure_ascii=False)


def _mend(result: Any) -> None:
    """Make the texts of a result's tool messages encodable: no request for a model takes half a surrogate pair."""
    for item in result if isinstance(result, list) else [result]:
        for message in _messages(item):
            if isinstance(message, ToolMessage):
                message.content = jsonable(message.content)


def _messages(item: Any) -> list[BaseMessage]:
    if isinstance(item, BaseMessage):
        return [item]
    if not isinstance(item, Command):
        return []
    update = item.update.get("messages", []) if isinstance(item.update, dict) else item.update
    return convert_to_messages(update) if isinstance(update, list) else []
