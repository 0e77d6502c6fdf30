"""A turn as its agent sees it, and the contract every framework's adapter fulfils.

An adapter translates; it knows no Redis, no HTTP and no Llama Stack. It is handed a :class:`Turn` and a
:class:`TurnContext`, and yields events (:mod:`k8gentai.agents.contract.events`). The harness around it numbers the
events, adds ``usage`` and the tool steps, maps what is raised to an end of the turn, and enforces limits,
so an adapter never yields ``turn.*``, ``usage`` or the steps of kind ``tool``, except
:class:`~k8gentai.agents.contract.events.TurnIncomplete`.
"""

from abc import abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, Protocol

import structlog
from pydantic import BaseModel, Field

from k8gentai.agents.contract.events import Event
from k8gentai.agents.contract.stack_services import StackServices
from k8gentai.agents.resources.agent import AgentDefinition, ToolTerms
from k8gentai.agents.text.utf8 import encodable

Item = dict[str, Any]
"""One input or output item in the shape of the OpenAI Responses API."""


class Turn(BaseModel):
    """One request to one agent."""

    id: str
    """``resp_…``: the id of the Responses API response this turn is."""
    agent: str
    input: list[Item]
    history: list[Item] = Field(default_factory=list)
    """The items of the conversation before this turn, oldest first."""
    instructions: str | None = None
    tools: list[dict[str, Any]] = Field(default_factory=list)
    """Tools sent with the request, in Responses API shape; ``function`` tools run on the client."""
    parameters: dict[str, Any] = Field(default_factory=dict)
    """The request's other parameters under their Responses API names (``temperature``, ``tool_choice``, …)."""
    conversation: str | None = None

    @property
    def asked_at(self) -> datetime:
        """The time at which it was asked, in UTC. Ids of turns begin with that, as those of RFC 9562's version 7
        do."""
        milliseconds = int(self.id.removeprefix("resp_")[:12], 16)
        return datetime.fromtimestamp(milliseconds / 1000, UTC)


@dataclass(frozen=True)
class ModelEndpoint:
    """The address of an agent's model: an OpenAI-compatible API on loopback."""

    base_url: str
    api_key: str
    """A throw-away key that names this turn; it is worth nothing elsewhere."""
    model: str | None
    """The model the definition names, if it names one."""


@dataclass(frozen=True)
class ToolOutcome:
    """The outcome of a tool call. ``error`` is what the model is shown in place of a result."""

    output: str
    is_error: bool = False
    raw: str = ""
    """All that the framework needs beside ``output`` to make the same result again from the turn's record, as
    text."""
    results: list[dict[str, Any]] = field(default_factory=list)
    """The passages that a file search found, as the ``results`` of its item in the Responses API."""
    recorded: bool = field(default=False, compare=False)
    """Whether the turn's record answered, and nothing ran."""

    def __post_init__(self) -> None:
        # A tool may read its text from anywhere, and neither a model nor a journal takes half a surrogate pair.
        object.__setattr__(self, "output", encodable(self.output))
        object.__setattr__(self, "raw", encodable(self.raw))


NOT_APPROVED = "a person did not approve this call"
"""The text that a model is shown of a call that was denied without a reason."""


@dataclass(frozen=True)
class Decision:
    """A person's decision on what was asked."""

    approve: bool
    reason: str | None = None


class ToolBoundary(Protocol):
    """The one place where tools of a turn run. It publishes the call's steps and result."""

    async def call(
        self,
        call_id: str,
        name: str,
        arguments: dict[str, Any],
        run: Callable[[], Awaitable[str | ToolOutcome]],
        *,
        approval: bool = False,
        starts_work: bool = False,
    ) -> ToolOutcome:
        """Run a tool once, after a person approved where ``approval`` or the agent's definition asks for that,
        and return what the model is to see.

        With ``starts_work`` the tool does nothing but to start what goes on after it, and runs in each attempt, as
        that would be lost: what it came to first stands, and what it started finds its model and tool calls in the
        record by being inside this call.

        An ordinary exception of ``run`` becomes an outcome with ``is_error``, as does a
        :class:`ToolOutcome` that says so: what the framework made of a tool's exception.
        """
        ...

    def exempt(self, call_id: str, *, ran: bool = False) -> None:
        """Note that no tool runs for a call: its framework answers it by itself, as it hands the turn over to
        another agent, takes the call for the answer, or cannot read its arguments.

        A call that is neither made here nor exempted ends the turn once it is answered. To be called from any
        thread.

        Args:
            call_id: the call.
            ran: its tool does run, as a call of the agent's code, which has an id and a result of its own.
        """
        ...

    def claim(self, name: str, arguments: dict[str, Any], *, nested: bool) -> str | None:
        """Return the id of the model's call that code answers which runs a tool by itself; None where that is a
        call of its own: no model asked for it, or it may be any of several, one of which counts as made then. To
        be called from any thread.

        Args:
            name: the tool's.
            arguments: the arguments that it is run with, which code may have changed.
            nested: it runs for another call, and answers none whose arguments are not the same.
        """
        ...

    def begin_anew(self) -> None:
        """Note that the framework goes on with code that it had begun, from its beginning: that comes once more to
        calls that it made, which are answered by what they came to. To be called while none of them runs.
        """
        ...

    def wait(
        self, call_id: str, name: str, arguments: dict[str, Any], run: Callable[[], str | ToolOutcome]
    ) -> ToolOutcome:
        """Do as :meth:`call`, for code that blocks its thread, be it the event loop's.

        Args:
            run: runs the tool, in the caller's thread unless the agent's definition limits its time.

        Raises:
            asyncio.CancelledError: the attempt is over.
        """
        ...

    def decision(self, question: str, name: str, arguments: str) -> Decision | None:
        """Return what a person decided about just this question; None where they decided nothing. To be called
        from any thread.

        Args:
            question: names it, as for :meth:`ask`.
            name: the name of the action that is to be approved.
            arguments: JSON text. A decision about another name or other arguments does not count.
        """
        ...

    async def ask(self, call_id: str, name: str, arguments: str, about: Sequence[str] = ()) -> Decision:
        """Ask a person. Returns only where they have decided: until then the turn is suspended, which ends the
        attempt. The one after the decision must ask the same again. A tool that asks while it runs begins again,
        too.

        Args:
            call_id: names the question; the same whenever the turn is run again.
            name: the name of the action that is to be approved.
            arguments: JSON text.
            about: ids of the calls that wait for the answer, beside those that run while they ask.
        """
        ...


@dataclass(frozen=True)
class DeclaredTool:
    """A tool that the agent's definition brings, in no framework's terms.

    The adapter of a declarative agent shows it to the model and has its calls made through the tool boundary.
    """

    name: str
    description: str
    parameters: dict[str, Any]
    """The JSON schema of its arguments, which are an object."""
    call: Callable[[dict[str, Any]], Coroutine[Any, Any, str]]
    """Takes the arguments as the model gave them, and raises what went wrong, for the model to read."""
    policy: ToolTerms
    """The terms that the definition sets for its calls."""


@dataclass(frozen=True)
class TurnContext:
    """The means that the harness lends an adapter for one attempt at a turn."""

    attempt: int
    model: ModelEndpoint
    tools: ToolBoundary
    max_steps: int
    """The number of model calls that the turn may make."""
    stack: StackServices
    """The services of the stack for the turn."""
    log: structlog.stdlib.BoundLogger
    declared: tuple[DeclaredTool, ...] = ()
    """The tools that the definition brings."""
    leave_out: Callable[[str, bool], None] = lambda *_: None
    """Takes, from any thread, the id of a published message, and whether it is no part of what the agent has come
    to so far: the response has it not where the turn ends before the agent does, as a person is asked or the
    client has a call to make."""
    publish: Callable[[Event], None] | None = None
    """Takes events from any thread, in the place of those that are yielded: an agent that blocks its event loop is
    seen at work. Events of one attempt all go one of these ways."""


@dataclass(frozen=True)
class FoundTools:
    """The tools that an agent was found to have, without running it."""

    names: frozenset[str] = frozenset()
    """The names of the tools as the model knows them."""
    complete: bool = False
    """Whether there are no others: False where the agent's code may make tools while a turn runs."""
    shapes: frozenset[str] = frozenset()
    """The names of the code's data classes, which a model may be offered like tools: calling one runs nothing."""


RequestPart = Literal["tools", "files"]
"""A part of a request that not every agent takes. ``files``: images are among them."""


class LoadedAgent(Protocol):
    """An agent imported and checked by its adapter; what else it holds is the adapter's own affair."""

    @property
    def definition(self) -> AgentDefinition:
        """The definition that it was loaded from."""
        ...


class Adapter[A: LoadedAgent](Protocol):
    """Runs the agents of one framework, which it is handed as it loaded them.

    A class may be an adapter without naming this one, if it has what is here.
    """

    framework: str
    default_concurrency: int
    """The number of turns that one worker process of this framework runs well at once."""

    @abstractmethod
    def load(self, definition: AgentDefinition) -> A:
        """Import the definition's entrypoint, or build the declarative agent it describes.

        Raises:
            AgentLoadError: naming file, line and reason.
        """
        ...

    def tools(self, agent: A) -> FoundTools:
        """Find the tools of a loaded agent, those of its definition aside: nothing of it runs.

        An adapter of a third party may lack this method: then no tool is known.
        """
        return FoundTools()

    def refuses(self, agent: A) -> frozenset[RequestPart]:
        """Find what a loaded agent is known to take of no request: nothing of it runs.

        An adapter of a third party may lack this method: then :meth:`run` refuses.
        """
        return frozenset()

    @abstractmethod
    def run(self, agent: A, turn: Turn, context: TurnContext) -> AsyncIterator[Event]:
        """Run one attempt. Cancelling the iteration stops the agent and its model call.

        Raises:
            StepLimitReached: the agent made ``context.max_steps`` model calls and asked for more.
            RequestError: the turn asks for something that this agent cannot do.
            Exception: anything the agent's own code raised.
        """
        ...


type AnyAdapter = Adapter[Any]
"""The adapter of whichever framework: it is handed no agents but those that it loaded."""


class ToolFailedError(Exception):
    """A tool could not do what it was asked. The message is for the model."""


class AgentLoadError(Exception):
    """An agent's definition or code cannot be used.

    Args:
        reason: the fault, for a person.
        file: the file at fault, if known.
        line: the line in it, counted from 1, if known.
    """

    def __init__(self, reason: str, file: str | None = None, line: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.file = file
        self.line = line

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}: " if self.file and self.line else f"{self.file}: " if self.file else ""
        return f"{place}{self.reason}"


class AgentFaultsError(AgentLoadError):
    """Several things are wrong with an agent's definition or code.

    Args:
        faults: each of them, naming a field.
    """

    def __init__(self, faults: Sequence[AgentLoadError]) -> None:
        super().__init__("\n".join(str(fault) for fault in faults))
        self.faults = faults


class TurnError(Exception):
    """Ends the turn as failed, with a message written for the caller.

    Subclasses set ``code``, which the failed response shows.
    """

    code = "agent_error"


class RequestError(TurnError):
    """The request asks for what this agent cannot do."""

    code = "invalid_request"


class StepLimitReached(Exception):  # noqa: N818 - it is not an error of the adapter's
    """The agent wanted more model calls than the turn allows."""

    def __init__(self, steps: int) -> None:
        super().__init__(f"the agent made {steps} steps without coming to an end")
        self.steps = steps
