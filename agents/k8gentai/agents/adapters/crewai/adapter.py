"""CrewAI agents: an ``Agent``, a ``Crew`` or a ``Flow``, a class that makes one, a factory of one, or none
(declarative).

Existing code runs unchanged. CrewAI calls models and tools from blocking code, so each turn has a thread of its
own, where CrewAI makes the event loops it wants; nothing of it runs on the worker's loop. A turn gets a copy of
the agent, as CrewAI keeps a run's state in its objects.
"""

from collections.abc import AsyncGenerator

from k8gentai.agents.adapters.base.files import with_files
from k8gentai.agents.adapters.base.parameters import permitted_tools
from k8gentai.agents.adapters.crewai import silence as quiet  # noqa: F401 - before all that imports CrewAI
from k8gentai.agents.adapters.crewai.async_tasks import hook_async_tasks
from k8gentai.agents.adapters.crewai.copying import hook_crews
from k8gentai.agents.adapters.crewai.found_tools import find_tools
from k8gentai.agents.adapters.crewai.human_input import hook_flows, hook_hooks, hook_tasks
from k8gentai.agents.adapters.crewai.inputs import messages_of, request_of
from k8gentai.agents.adapters.crewai.models import Answer
from k8gentai.agents.adapters.crewai.planning import hook_planning
from k8gentai.agents.adapters.crewai.reasoning import show_reasoning
from k8gentai.agents.adapters.crewai.retries import hook_agents, leave_retries_to_the_gateway
from k8gentai.agents.adapters.crewai.run import CrewRun
from k8gentai.agents.adapters.crewai.source import CrewAIAgent, read_source
from k8gentai.agents.adapters.crewai.streaming import hook_streaming
from k8gentai.agents.adapters.crewai.tool_names import check_names
from k8gentai.agents.adapters.crewai.tools import hook_tools
from k8gentai.agents.adapters.crewai.turn_time import pin_time
from k8gentai.agents.code.entrypoint import function_tools
from k8gentai.agents.code.loading import load_object
from k8gentai.agents.contract.events import Event
from k8gentai.agents.contract.turn import Adapter, FoundTools, RequestPart, Turn, TurnContext
from k8gentai.agents.resources.agent import AgentDefinition


class CrewAIAdapter(Adapter[CrewAIAgent]):
    """Runs agents, crews and flows with ``kickoff``; their tools go through the turn's tool boundary."""

    framework = "crewai"
    default_concurrency = 12

    def __init__(self) -> None:
        hook_tools()
        hook_streaming()
        hook_planning()
        show_reasoning()
        hook_flows()
        hook_hooks()
        hook_agents()
        hook_crews()
        hook_async_tasks()
        pin_time()

    def load(self, definition: AgentDefinition) -> CrewAIAgent:
        """Import the entrypoint and find out what it is; for a declarative agent, check its definition.

        Raises:
            AgentLoadError: naming file, line and reason.
        """
        check_names(definition)
        entrypoint = definition.spec.entrypoint
        return read_source(definition, load_object(entrypoint) if entrypoint else None)

    def tools(self, agent: CrewAIAgent) -> FoundTools:
        """Find the tools that an agent, its crew and its tasks have, and those that its code names."""
        return find_tools(agent.found, agent.ruled)

    def refuses(self, agent: CrewAIAgent) -> frozenset[RequestPart]:
        """Find what an agent takes of no request: crews take a text alone, flows have their tools."""
        return agent.refuses()

    async def run(self, agent: CrewAIAgent, turn: Turn, context: TurnContext) -> AsyncGenerator[Event]:
        """Run one attempt at a turn. Closing the iterator stops the agent where it next says something.

        Raises:
            RequestError: the request brings tools that the agent cannot take, or lacks inputs that it needs.
            StepLimitReached: after ``context.max_steps`` model calls.
            Exception: whatever the agent's code raised.
        """
        turn = await with_files(turn, context.stack)
        tools = function_tools(permitted_tools(turn), self.framework)
        request, messages = request_of(turn), messages_of(turn)
        run = CrewRun(context, turn.asked_at, {tool["function"]["name"] for tool in tools}, agent.ruled)

        def kickoff() -> Answer:
            hook_tasks()
            leave_retries_to_the_gateway()
            return agent.kickoff(turn, context, tools, request, messages)

        run.start(kickoff)
        try:
            while (event := await run.next_event()) is not None:
                yield event
        finally:
            await run.stop()
