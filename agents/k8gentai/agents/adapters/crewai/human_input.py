"""Has the turn ask a person where CrewAI asks at the console: the turn waits without a worker.

Who approves without a word is content. Any word is feedback, and so is a denial.
A hook gets the word that it asks for.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

from crewai.core.providers.human_input import SyncHumanInputProvider, set_provider
from crewai.flow.flow_config import flow_config
from crewai.flow.flow_context import current_flow_method_name
from crewai.hooks.dispatch import HookAborted
from crewai.hooks.llm_hooks import LLMCallHookContext
from crewai.hooks.tool_hooks import ToolCallHookContext

from k8gentai.agents.adapters.crewai.assent import assent
from k8gentai.agents.adapters.crewai.run import current_run
from k8gentai.agents.contract.turn import NOT_APPROVED, Decision, TurnError

_DENIED = "This is not approved."


def hook_flows() -> None:
    """Let flows (``@human_feedback``, ``ask``) ask through their turn. A provider that is set already stays."""
    flow_config.hitl_provider = flow_config.hitl_provider or _Flows()
    flow_config.input_provider = flow_config.input_provider or _Flows()


def hook_hooks() -> None:
    """Let hooks around tools and model calls (``request_human_input``) ask through their turn."""
    tool, llm = ToolCallHookContext.request_human_input, LLMCallHookContext.request_human_input
    if not hasattr(tool, "__wrapped__"):
        ToolCallHookContext.request_human_input = _asking(tool)
        LLMCallHookContext.request_human_input = _asking(llm)


def _asking(request: Callable[..., str]) -> Callable[..., str]:
    @wraps(request)
    def asked(self: Any, prompt: str, *default: str, **named: str) -> str:
        if current_run.get() is None:
            return request(self, prompt, *default, **named)
        message = next(iter((*default, *named.values())), "")
        tool = getattr(self, "tool_name", "")
        told = {"prompt": prompt, "message": message, **({"tool": tool, "input": self.tool_input} if tool else {})}
        decision = _ask("request_human_input", told, tool)
        if tool and self.tool_result is None and not decision.approve:
            # CrewAI would run the tool where the hook reads nothing else from an answer.
            raise HookAborted(reason=decision.reason or NOT_APPROVED)
        if decision.reason or not decision.approve:
            return decision.reason or _DENIED
        result = self.tool_result if tool else self.response
        given = self.tool_input.values() if tool else ()
        return assent(prompt, message, [result, *given], ahead=result is None)

    return asked


def hook_tasks() -> None:
    """Let tasks (``human_input``) that run in this context ask through their turn."""
    set_provider(_Tasks())


class _Tasks(SyncHumanInputProvider):  # type: ignore[misc]  # Any, where CrewAI is not installed
    """Asks for feedback on a task's result until there is none."""

    def handle_feedback(self, formatted_answer: Any, context: Any) -> Any:
        """Return the result that a person is content with."""
        answer = formatted_answer
        while context.ask_for_human_input:
            if feedback := self._feedback(answer, context):
                context.messages.append(context._format_feedback_message(feedback))
                answer = context._invoke_loop()
            else:
                context.ask_for_human_input = False
        return answer

    async def handle_feedback_async(self, formatted_answer: Any, context: Any) -> Any:
        """Return the same, on an event loop of CrewAI's own, which may be blocked."""
        answer = formatted_answer
        while context.ask_for_human_input:
            if feedback := self._feedback(answer, context):
                context.messages.append(context._format_feedback_message(feedback))
                answer = await context._ainvoke_loop()
            else:
                context.ask_for_human_input = False
        return answer

    def _feedback(self, answer: Any, context: Any) -> str:
        task = context.task.description if context.task else ""
        told = {"task": task, "result": self._get_output_string(answer)}
        decision = _ask("human_input", told, _position(context))
        return decision.reason or ("" if decision.approve else _DENIED)


class _Flows:
    """A flow's provider of feedback and of input."""

    def request_feedback(self, context: Any, flow: Any) -> str:
        """Return what a person says to a method's result; empty for the default outcome."""
        told = {"message": context.message, "result": context.method_output, "outcomes": context.emit}
        decision = _ask("human_feedback", told, context.method_name)
        return decision.reason or ("" if decision.approve else _DENIED)

    def request_input(self, message: str, flow: Any, metadata: dict[str, Any] | None = None) -> str | None:
        """Return a person's answer to a question; None where they gave none."""
        return _ask("ask", {"message": message}, current_flow_method_name.get("")).reason


def _position(context: Any) -> str:
    """Return which of its crew's tasks an executor is at."""
    tasks = getattr(context.crew, "tasks", ()) if getattr(context, "crew", None) else ()
    return str(next((number for number, task in enumerate(tasks) if task is context.task), ""))


def _ask(name: str, told: dict[str, Any], place: str) -> Decision:
    run = current_run.get()
    if run is None:
        raise TurnError("a person was asked where no turn runs")
    return run.ask(name, told, place)
