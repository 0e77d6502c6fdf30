"""Makes copies of agents, crews and flows: CrewAI keeps a run's state in its objects, and turns share none."""

import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

from crewai import Agent, Crew, Flow
from crewai.agents.agent_builder.base_agent import BaseAgent
from crewai.agents.cache.cache_handler import CacheHandler
from crewai.agents.tools_handler import ToolsHandler

from k8gentai.agents.adapters.crewai.run import CrewRun, current_run

_OF_TASKS = ("description", "expected_output", "output_file")
_OF_AGENTS = ("role", "goal", "backstory")

_lock = threading.Lock()
_holders: dict[int, CrewRun] = {}
"""The runs that have a crew, its tasks and its agents under way, by the identities of those."""


def copy_agent(agent: Agent) -> Agent:
    """Return a turn's own agent: its tools, knowledge and models are shared, what a run writes into it is not.

    ``Agent.copy`` would leave its MCP servers behind.
    """
    copied = agent.model_copy()
    _own_state(copied, agent)
    return copied


def _own_state(copied: BaseAgent, agent: BaseAgent) -> None:
    copied.tools = list(agent.tools or [])
    copied.tools_results = []
    copied.agent_executor = None
    caches = agent.tools_handler is not None and agent.tools_handler.cache is not None
    copied.tools_handler = ToolsHandler(CacheHandler()) if caches else ToolsHandler()
    copied.reset_tool_failures()


def copy_crew(crew: Crew) -> Crew:
    """Return a turn's own crew, without the inputs of other runs, which ``Crew.copy`` takes along."""
    copied = crew.copy()
    for made, task in zip(copied.tasks, crew.tasks, strict=True):
        _restore(made, task, _OF_TASKS)
        made.output = None
    for made, agent in zip(copied.agents, crew.agents, strict=True):
        _restore(made, agent, _OF_AGENTS)
        # What Crew.copy leaves behind.
        made.mcps, made.apps = agent.mcps, agent.apps
    return copied


def _restore(made: Any, original: Any, names: tuple[str, ...]) -> None:
    for name in names:
        if (text := getattr(original, f"_original_{name}")) is not None:
            setattr(made, name, text)


def copy_flow(flow: Flow[Any]) -> Flow[Any]:
    """Return a new flow of the same class, with the fields that this one was given."""
    return type(flow)(**{name: getattr(flow, name) for name in flow.model_fields_set})


def hook_crews() -> None:
    """Have code of a turn that kicks off a crew which another turn has under way kick off a copy of it."""
    crew: Any = Crew
    if not hasattr(crew.kickoff, "__wrapped__"):
        crew.kickoff = _kickoff(crew.kickoff)
        crew.akickoff = _akickoff(crew.akickoff)


def _kickoff(kickoff: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(kickoff)
    def wrapped(self: Crew, *args: Any, **options: Any) -> Any:
        with _held(self) as own:
            return kickoff(own, *args, **options)

    return wrapped


def _akickoff(akickoff: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
    @wraps(akickoff)
    async def wrapped(self: Crew, *args: Any, **options: Any) -> Any:
        with _held(self) as own:
            return await akickoff(own, *args, **options)

    return wrapped


@contextmanager
def _held(crew: Crew) -> Iterator[Crew]:
    """Lend the crew, which is this run's while inside; a copy of it, where another run has it or a part of it."""
    run = current_run.get(None)
    if run is None:
        yield crew
        return
    parts = {id(part) for part in (crew, *crew.tasks, *crew.agents)}
    with _lock:
        taken = any(_holders.get(part, run) is not run for part in parts)
        held = set() if taken else parts - _holders.keys()
        _holders.update(dict.fromkeys(held, run))
    try:
        yield copy_crew(crew) if taken else crew
    finally:
        with _lock:
            for part in held:
                del _holders[part]
