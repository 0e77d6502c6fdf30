"""How the adapter follows AG2's agents: a middleware that every agent gets when it is made.

Which turn an agent works for, a context variable says; outside of a turn the middleware does nothing.
"""

import asyncio
import json
from collections.abc import Callable, Coroutine, Sequence
from collections.abc import Set as AbstractSet
from contextvars import ContextVar
from dataclasses import replace
from functools import partial, wraps
from typing import Any

from ag2 import Agent, Context
from ag2 import ToolResult as ToolReturn
from ag2.annotations import ContextField
from ag2.config import OpenAIConfig
from ag2.events import (
    BaseEvent,
    DataInput,
    ModelMessageChunk,
    ModelReasoning,
    ModelResponse,
    TextInput,
    ToolCallEvent,
    ToolErrorEvent,
    ToolResultEvent,
    ToolResultsEvent,
)
from ag2.exceptions import HumanInputError
from ag2.middleware import BaseMiddleware
from openai import DefaultAsyncHttpxClient

from k8gentai.agents.events import ToolCall, ToolResult, ToolSide
from k8gentai.agents.running import AgentRun
from k8gentai.agents.turn import ToolOutcome, TurnContext

current_run: ContextVar["TurnRun | None"] = ContextVar("current_run", default=None)
"""The run that the code at hand belongs to."""

_within_tool: ContextVar[bool] = ContextVar("within_tool", default=False)
"""Whether the code at hand works for a tool call: then its text is the tool's result."""


class TurnRun(AgentRun):
    """One attempt at a turn of AG2's agents.

    Args:
        context: what the harness lends.
        client_tools: the names of the tools that the client runs.
    """

    def __init__(self, context: TurnContext, client_tools: AbstractSet[str]) -> None:
        super().__init__(context)
        self.client_tools = client_tools


class Instructions(BaseMiddleware):
    """Adds the request's instructions to the agent's own prompt."""

    instructions: Sequence[str] = ()

    @classmethod
    def of(cls, instructions: Sequence[str]) -> Callable[[BaseEvent, Context], "Instructions"]:
        """What makes it for a turn."""

        def make(event: BaseEvent, context: Context) -> Instructions:
            made = cls(event, context)
            made.instructions = instructions
            return made

        return make

    async def on_turn(self, call_next: Any, event: BaseEvent, context: Context) -> ModelResponse:
        """The agent's own prompt is known; the model has not been called yet."""
        context.prompt.extend(self.instructions)
        return await call_next(event, context)


class Follower(BaseMiddleware):
    """Publishes the model calls of one agent's turn, and sends its tools through the boundary.

    Args:
        event: what the agent is to answer.
        context: the agent's.
        agent: the agent.
    """

    def __init__(self, event: BaseEvent, context: Context, *, agent: Agent) -> None:
        super().__init__(event, context)
        self._agent = agent

    async def on_llm_call(self, call_next: Any, events: Sequence[BaseEvent], context: Context) -> ModelResponse:
        """A model call of the agent's."""
        run = current_run.get()
        if run is None:
            return await call_next(events, context)
        with run.at_work():
            _answer_unknown(run, events)
            step = run.begin(self._agent.name or None, shown=not _within_tool.get())

            async def take(event: BaseEvent) -> None:
                if isinstance(event, ModelReasoning):
                    step.reasoning(event.content)
                else:
                    step.text(event.content)

            opened: list[Any] = []
            token = _answers.set(opened)
            try:
                with context.stream.where(ModelMessageChunk | ModelReasoning).sub_scope(take):
                    response: ModelResponse = await call_next(events, context)
            except BaseException:
                run.broke_off(step)
                raise
            finally:
                _answers.reset(token)
                for answer in opened:
                    await answer.aclose()
            if step.silent:
                step.text(response.content or "")
            step.end([_tool_call(call, run.client_tools) for call in response.tool_calls.calls])
            return response

    async def on_tool_execution(self, call_next: Any, event: ToolCallEvent, context: Context) -> Any:
        """A tool call of the agent's."""
        run = current_run.get()
        if run is None or event.name in run.client_tools:
            return await call_next(event, context)
        result: ToolResultEvent | None = None

        async def execute() -> ToolOutcome:
            nonlocal result
            result = await _in_a_task(partial(_execute, call_next, event, context))
            if isinstance(result, ToolErrorEvent):
                raise result.error
            return ToolOutcome(self._shown(result))

        with run.at_work():
            try:
                outcome = await run.context.tools.call(event.id, event.name, _arguments(event) or {}, execute)
            except _Bubble as bubble:
                raise bubble.carried from None
        run.answered(event.id)
        if outcome.is_error:
            shown = ToolReturn(outcome.output)
            return ToolErrorEvent(
                parent_id=event.id, name=event.name, error=RuntimeError(outcome.output), result=shown
            )
        # Without a result of its own, the boundary knew the outcome from before.
        return result or ToolResultEvent.from_call(event, outcome.output)

    def _shown(self, event: ToolResultEvent) -> str:
        """What the model is shown of a result."""
        texts = []
        for part in event.result.parts:
            if isinstance(part, TextInput):
                texts.append(part.content)
            elif isinstance(part, DataInput):
                texts.append(self._agent.serializer.encode(part.data).decode())
        return "\n".join(texts)


class _Bubble(BaseException):
    """Carries what ends the agent's turn past the boundary: it is no failure of the tool's."""

    def __init__(self, carried: HumanInputError) -> None:
        super().__init__(carried)
        self.carried = carried


def follow_agents() -> None:
    """Have every agent made from now on followed, and every model streamed for a turn. Call once."""
    make = Agent.__init__
    create = OpenAIConfig.create
    give = ContextField.use

    @wraps(make)
    def made(self: Agent, *args: Any, **kwargs: Any) -> None:
        make(self, *args, **kwargs)
        self.add_middleware(partial(Follower, agent=self))

    @wraps(create)
    def created(self: OpenAIConfig) -> Any:
        if current_run.get() is None:
            return create(self)
        return create(replace(self, streaming=True, http_client=self.http_client or _shared_client()))

    async def use(self: ContextField, /, **kwargs: Any) -> dict[str, Any]:
        return give(self, **kwargs)

    Agent.__init__ = made
    OpenAIConfig.create = created
    # A function that is not async goes to a thread, and this one is called for every token.
    ContextField.use = use


class _Client(DefaultAsyncHttpxClient):
    """Notes the answers that a model call opens: AG2 leaves open one that it reads when it is cancelled."""

    async def send(self, request: Any, **options: Any) -> Any:
        """Send a request."""
        answer = await super().send(request, **options)
        _answers.get([]).append(answer)
        return answer


_answers: ContextVar[list[Any]] = ContextVar("answers")
"""The HTTP answers of the model call at hand."""

_clients: dict[asyncio.AbstractEventLoop, _Client] = {}


def _shared_client() -> _Client:
    """One HTTP client for all turns: AG2 would make one for each, which costs more than the rest of a turn."""
    loop = asyncio.get_running_loop()
    for closed in [known for known in _clients if known.is_closed()]:
        del _clients[closed]
    if loop not in _clients:
        _clients[loop] = _Client()
    return _clients[loop]


def _tool_call(call: ToolCallEvent, client_tools: AbstractSet[str]) -> ToolCall:
    if _arguments(call) is None:
        # AG2 reads them again for the next model call, and would end the turn.
        call.serialized_arguments = {}
    side: ToolSide = "client" if call.name in client_tools else "worker"
    return ToolCall(call_id=call.id, name=call.name, arguments=call.arguments, side=side)


def _arguments(call: ToolCallEvent) -> dict[str, Any] | None:
    """A call's arguments as the model wrote them; None where they cannot be read."""
    try:
        read = json.loads(call.arguments or "{}")
    except ValueError:
        return None
    return read if isinstance(read, dict) else None


def _answer_unknown(run: TurnRun, events: Sequence[BaseEvent]) -> None:
    """Publish the results of calls of tools that are not there: no middleware sees those."""
    for event in events:
        for result in event.results if isinstance(event, ToolResultsEvent) else ():
            if run.waits_for(result.parent_id):
                text = "".join(part.content for part in result.result.parts if isinstance(part, TextInput))
                run.publish(ToolResult(call_id=result.parent_id, output=text.strip(), is_error=True))


async def _execute(call_next: Any, event: ToolCallEvent, context: Context) -> ToolResultEvent:
    if _arguments(event) is None:
        raise ValueError("the arguments are not a JSON object")
    _within_tool.set(True)
    try:
        return await call_next(event, context)
    except HumanInputError as error:
        raise _Bubble(error) from error
    except SystemExit as error:
        # It would end the worker, and with it every other turn.
        raise RuntimeError(f"the tool called sys.exit({error})") from error


async def _in_a_task[T](work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Await work in a task of its own, which is left behind when we are cancelled: AG2 runs sync tools in threads
    and would not be cancelled before they end."""
    task = asyncio.create_task(work())
    try:
        await asyncio.wait({task})
    except asyncio.CancelledError:
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        task.cancel()
        raise
    return task.result()
