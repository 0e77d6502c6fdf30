"""Finds the object that an entrypoint names, and gets each turn one of its own."""

import asyncio
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from crewai import Agent, Crew, Flow
from crewai.tasks.conditional_task import ConditionalTask
from pydantic import BaseModel

from k8gentai.agents.adapters.base.answer_text import answer_text
from k8gentai.agents.adapters.base.messages import Message
from k8gentai.agents.adapters.base.request_parts import check_text_only
from k8gentai.agents.adapters.crewai.copying import copy_agent, copy_crew, copy_flow
from k8gentai.agents.adapters.crewai.declarative import build_agent
from k8gentai.agents.adapters.crewai.inputs import (
    Request,
    as_written,
    crew_inputs,
    flow_inputs,
    takes_messages,
)
from k8gentai.agents.adapters.crewai.models import Answer
from k8gentai.agents.adapters.crewai.run import current_run
from k8gentai.agents.adapters.crewai.tools import client_tools
from k8gentai.agents.code.entrypoint import check_names_model, is_factory
from k8gentai.agents.contract.context import AgentContext, agent_context
from k8gentai.agents.contract.turn import AgentLoadError, RequestError, RequestPart, Turn, TurnContext
from k8gentai.agents.resources.agent import AgentDefinition

Runnable = Agent | Crew | Flow[Any]


@dataclass(frozen=True)
class CrewAIAgent:
    """A checked agent."""

    definition: AgentDefinition
    make: Callable[[AgentContext], object]
    """Makes one turn's own agent, crew or flow."""
    found: object | None = None
    """The object that the entrypoint names; None where there is no entrypoint."""

    @property
    def ruled(self) -> frozenset[str]:
        """The names of the tools that the definition says something of."""
        return frozenset(entry.name for entry in self.definition.spec.tools)

    def kickoff(
        self,
        turn: Turn,
        context: TurnContext,
        tools: list[dict[str, Any]],
        request: Request,
        messages: list[Message],
    ) -> Answer:
        """Run a turn to its end, blocking. Returns the answer.

        Args:
            tools: the request's, as chat completions takes them.
            request: the turn as text.
            messages: the turn as chat messages.

        Raises:
            RequestError: the request brings tools that the agent cannot take, or lacks inputs.
            AgentLoadError: the factory returned something else than an agent.
        """
        made = self.make(agent_context(turn, context, tools))
        if inspect.isawaitable(made):
            made = asyncio.run(_awaited(made))
        if not isinstance(made, Agent | Crew | Flow):
            raise AgentLoadError(
                f"{self.definition.spec.entrypoint} returned a {type(made).__name__}, not an agent"
            )
        if isinstance(made, Agent):
            made.tools = [*(made.tools or []), *client_tools(tools)]
            takes_calls = made._supports_native_tool_calling(made.tools)
            return _answer(made.kickoff(messages if takes_calls else as_written(messages)))
        if tools:
            raise RequestError(f"tools: {self.definition.id!r} is a {type(made).__name__} and cannot take tools")
        # It would give a stream to be read; what it says is seen without.
        made.stream = False
        if isinstance(made, Crew):
            check_text_only(turn, "crew")
            _note_last_tasks(made)
            return _answer(made.kickoff(crew_inputs(made, request)))
        if not takes_messages(made):
            check_text_only(turn, "flow without 'messages' in its state")
        return _answer(made.kickoff(flow_inputs(made, request)))

    def refuses(self) -> frozenset[RequestPart]:
        """Find what it takes of no request."""
        kind = self.found if isinstance(self.found, type) else type(self.found)
        if issubclass(kind, Crew) or getattr(kind, "is_crew_class", False):
            return frozenset({"tools", "files"})
        return frozenset({"tools"} if issubclass(kind, Flow) else ())


def read_source(definition: AgentDefinition, found: object | None) -> CrewAIAgent:
    """Return the agent that a definition and what its entrypoint names make.

    Args:
        found: None where the definition has no entrypoint.

    Raises:
        AgentLoadError: it is nothing that can be run.
    """
    spec = definition.spec
    if spec.entrypoint is None:
        check_names_model(definition)
        return CrewAIAgent(definition, lambda context: build_agent(definition, context))
    if isinstance(found, Agent):
        return CrewAIAgent(definition, lambda context: copy_agent(found), found)
    if isinstance(found, Crew):
        kept = copy_crew(found)
        return CrewAIAgent(definition, lambda context: copy_crew(kept), found)
    if isinstance(found, Flow):
        return CrewAIAgent(definition, lambda context: copy_flow(found), found)
    if isinstance(found, type) and issubclass(found, Flow):
        return CrewAIAgent(definition, lambda context: found(), found)
    if isinstance(found, type) and getattr(found, "is_crew_class", False):
        return CrewAIAgent(definition, lambda context: found().crew(), found)
    if not is_factory(found):
        raise AgentLoadError(
            f"{spec.entrypoint} is a {type(found).__name__}; it must be an Agent, a Crew, a Flow, a class of one, "
            "or a function with one parameter, an AgentContext, that returns one"
        )
    return CrewAIAgent(definition, found, found)


async def _awaited(made: Any) -> object:
    return await made


def _note_last_tasks(crew: Crew) -> None:
    """Note of which tasks the answer may come: where the last one is skipped, of one before it."""
    if (run := current_run.get()) is not None:
        surely_run = [place for place, task in enumerate(crew.tasks) if not isinstance(task, ConditionalTask)]
        run.calls.last_tasks = {str(task.id) for task in crew.tasks[max(surely_run, default=0) :]}


def _answer(result: object) -> Answer:
    """Return what a kickoff came to: the object that its output was made into, or what was said."""
    for made in (getattr(result, "pydantic", None), getattr(result, "json_dict", None)):
        if made is not None:
            return Answer(answer_text(made), structured=True)
    raw = getattr(result, "raw", result)
    return Answer(answer_text(raw), structured=isinstance(raw, BaseModel | dict))
