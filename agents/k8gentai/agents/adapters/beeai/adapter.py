"""BeeAI agents: a ``RequirementAgent``, an ``AgentWorkflow``, a factory of one, a function that runs several, or
none (declarative).

Existing code runs unchanged: model calls and tools are followed wherever BeeAI makes them, and a context variable
says which turn they belong to. A turn gets a copy of the agent, as BeeAI keeps a conversation in its objects.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from k8gentai.agents.adapters.base.files import with_files
from k8gentai.agents.adapters.base.parameters import permitted_tools
from k8gentai.agents.adapters.beeai import silence as quiet  # noqa: F401 - before all that imports BeeAI
from k8gentai.agents.adapters.beeai.found_tools import find_tools
from k8gentai.agents.adapters.beeai.models import follow_models
from k8gentai.agents.adapters.beeai.run import TurnRun
from k8gentai.agents.adapters.beeai.source import BeeAIAgent, read_source
from k8gentai.agents.adapters.beeai.tools import hook_tools
from k8gentai.agents.code.entrypoint import function_tools
from k8gentai.agents.code.loading import load_object
from k8gentai.agents.contract.events import Event
from k8gentai.agents.contract.turn import Adapter, FoundTools, RequestPart, Turn, TurnContext
from k8gentai.agents.resources.agent import AgentDefinition

follow_models()
hook_tools()


class BeeAIAdapter(Adapter[BeeAIAgent]):
    """Runs agents and workflows on the worker's event loop; their tools go through the turn's tool boundary."""

    framework = "beeai"
    default_concurrency = 30

    def load(self, definition: AgentDefinition) -> BeeAIAgent:
        """Import the entrypoint and find out what it is; for a declarative agent, check its definition.

        Raises:
            AgentLoadError: naming file, line and reason.
        """
        entrypoint = definition.spec.entrypoint
        return read_source(definition, load_object(entrypoint) if entrypoint else None)

    def tools(self, agent: BeeAIAgent) -> FoundTools:
        """Find the tools that an agent or a workflow has, and those that its code names."""
        return find_tools(agent.found)

    def refuses(self, agent: BeeAIAgent) -> frozenset[RequestPart]:
        """Find what an agent takes of no request."""
        return agent.refuses()

    async def run(self, agent: BeeAIAgent, turn: Turn, context: TurnContext) -> AsyncGenerator[Event]:
        """Run one attempt at a turn. Closing the iterator hangs up on the model.

        Raises:
            RequestError: the request brings what the agent cannot take.
            StepLimitReached: after ``context.max_steps`` model calls.
            Exception: whatever the agent's code raised.
        """
        turn = await with_files(turn, context.stack)
        tools = function_tools(permitted_tools(turn), self.framework)
        run = TurnRun(context, turn, {tool["function"]["name"] for tool in tools})
        async with aclosing(run.events(agent.drive(run, turn, tools))) as events:
            async for event in events:
                yield event
