"""Finds the object that an entrypoint names, and runs turns on it."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from beeai_framework.agents.requirement import RequirementAgent
from beeai_framework.agents.requirement.utils._tool import FinalAnswerToolSchema
from beeai_framework.backend import Message
from beeai_framework.errors import FrameworkError
from beeai_framework.workflows import WorkflowStartEvent
from beeai_framework.workflows.agent import AgentWorkflow, AgentWorkflowInput
from pydantic import BaseModel

from k8gentai.agents.adapters.base.messages import to_text
from k8gentai.agents.adapters.base.request_parts import check_text_only
from k8gentai.agents.adapters.beeai.causes import cause_of
from k8gentai.agents.adapters.beeai.copying import own_agent
from k8gentai.agents.adapters.beeai.declarative import build_agent
from k8gentai.agents.adapters.beeai.human_input import ask_through
from k8gentai.agents.adapters.beeai.messages import to_beeai
from k8gentai.agents.adapters.beeai.run import TurnRun, current_run
from k8gentai.agents.adapters.beeai.structured_output import structured_answer
from k8gentai.agents.adapters.beeai.tools import ClientTool
from k8gentai.agents.code.entrypoint import Conversation, Factory, check_names_model, is_conversation, is_factory
from k8gentai.agents.contract.context import agent_context
from k8gentai.agents.contract.turn import AgentLoadError, RequestError, RequestPart, Turn
from k8gentai.agents.resources.agent import AgentDefinition


@dataclass(frozen=True)
class BeeAIAgent:
    """A checked agent."""

    definition: AgentDefinition
    make: Factory
    """Makes a turn's agent or workflow, or gives the one that all turns share."""
    conversation: Conversation | None = None
    """A function that runs agents in its own way, in place of that."""
    found: object | None = None
    """The object that the entrypoint names; None where there is no entrypoint."""

    async def drive(self, run: TurnRun, turn: Turn, tools: list[dict[str, Any]]) -> None:
        """Run a turn to its end.

        Args:
            tools: the request's, as chat completions takes them.

        Raises:
            RequestError: the request brings tools that the agent cannot take, or nothing to answer.
            AgentLoadError: the factory returned something else than an agent.
            Exception: whatever the agent's code raised.
        """
        current_run.set(run)
        ask_through(run)
        try:
            await self._answer(run, turn, tools)
        except FrameworkError as error:
            cause = cause_of(error)
            raise cause from cause.__cause__

    async def _answer(self, run: TurnRun, turn: Turn, tools: list[dict[str, Any]]) -> None:
        text = to_text([*turn.history, *turn.input], turn.instructions)
        if self.conversation is not None:
            self._refuse(turn, tools, "function")
            await _conclude(run, await self.conversation(text))
            return
        made = self.make(agent_context(turn, run.context, tools))
        if inspect.isawaitable(made):
            made = await made
        if isinstance(made, AgentWorkflow):
            self._refuse(turn, tools, "workflow")
            started = made.run([AgentWorkflowInput(prompt=text)]).on("start", _asking_last_step(run, made, turn))
            finished = await started
            await run.conclude(finished.state.final_answer)
        elif isinstance(made, RequirementAgent):
            instructions, messages = to_beeai(turn)
            own = await own_agent(made, instructions, [ClientTool(tool["function"]) for tool in tools])
            # The turn's own limit comes before the agent's.
            limit, shape = run.context.max_steps + 1, structured_answer(turn)
            output = await own.run(messages, max_iterations=limit, expected_output=shape)
            await _conclude(run, output)
        else:
            entrypoint = self.definition.spec.entrypoint
            raise AgentLoadError(f"{entrypoint} returned a {type(made).__name__}, not an agent")

    def refuses(self) -> frozenset[RequestPart]:
        """Find what it takes of no request: functions and workflows take a text alone."""
        alone = self.conversation is not None or isinstance(self.found, AgentWorkflow)
        return frozenset({"tools", "files"} if alone else ())

    def _refuse(self, turn: Turn, tools: list[dict[str, Any]], kind: str) -> None:
        if tools:
            raise RequestError(f"tools: {self.definition.id!r} is a {kind} and cannot take tools")
        check_text_only(turn, kind)


def read_source(definition: AgentDefinition, found: object | None) -> BeeAIAgent:
    """Return the agent that a definition and what its entrypoint names make.

    Args:
        found: None where the definition has no entrypoint.

    Raises:
        AgentLoadError: it is nothing that can be run.
    """
    spec = definition.spec
    if spec.entrypoint is None:
        check_names_model(definition)
        return BeeAIAgent(definition, lambda context: build_agent(definition, context))
    if isinstance(found, RequirementAgent | AgentWorkflow):
        return BeeAIAgent(definition, lambda context: found, found=found)
    if is_conversation(found):
        return BeeAIAgent(definition, lambda context: None, found, found)
    if is_factory(found):
        return BeeAIAgent(definition, found, found=found)
    raise AgentLoadError(
        f"{spec.entrypoint} is a {type(found).__name__}; it must be a RequirementAgent, an AgentWorkflow, an async"
        " function with one parameter, a str, or a function with one parameter, an AgentContext, that returns an"
        " agent or a workflow"
    )


def _asking_last_step(run: TurnRun, workflow: AgentWorkflow, turn: Turn) -> Callable[[Any, Any], None]:
    """Return what has the last step of a workflow, and no other, answer in the form that a request asks for."""
    last, shape = workflow.workflow.step_names[-1], structured_answer(turn)

    def ask(data: WorkflowStartEvent[Any, Any], _: Any) -> None:
        run.answers_now = data.step == last
        if not run.answers_now or shape is None:
            return
        state = data.run.state
        given = state.inputs.pop(0) if state.inputs else AgentWorkflowInput(prompt=state.new_messages[-1].text)
        state.inputs.insert(0, given.model_copy(update={"expected_output": shape}))

    return ask


async def _conclude(run: TurnRun, result: Any) -> None:
    """Publish what a run of agents, or code, came to, where no model has said it."""
    await run.unwind()
    structured = getattr(result, "output_structured", None)
    if isinstance(structured, BaseModel) and not isinstance(structured, Message | FinalAnswerToolSchema):
        run.answer(structured)
        return
    last = getattr(result, "last_message", None)
    await run.conclude(result if last is None else last.text)
