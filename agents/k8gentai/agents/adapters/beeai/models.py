"""Follows the model calls of BeeAI's agents, whichever of them makes one, and has each answer streamed."""

import inspect
import json
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import wraps
from types import SimpleNamespace
from typing import Any

import beeai_framework.context
from beeai_framework.adapters.litellm import chat as litellm_chat
from beeai_framework.agents import BaseAgent
from beeai_framework.agents.react.runners.default import runner as react_runner
from beeai_framework.agents.react.runners.granite.prompts import GraniteSystemPromptTemplate
from beeai_framework.agents.requirement.prompts import RequirementAgentSystemPrompt
from beeai_framework.agents.requirement.utils._tool import FinalAnswerTool
from beeai_framework.agents.tool_calling.prompts import ToolCallingAgentSystemPrompt
from beeai_framework.backend import (
    AssistantMessage,
    ChatModel,
    ChatModelError,
    ChatModelOutput,
    MessageToolCallContent,
    ToolMessage,
)
from beeai_framework.backend.types import ChatModelInput
from beeai_framework.backend.utils import parse_broken_json
from beeai_framework.context import RunContext
from beeai_framework.emitter import EmitterOptions
from beeai_framework.errors import FrameworkError
from beeai_framework.tools import AnyTool
from beeai_framework.utils.strings import find_first_pair
from pydantic import ValidationError

from k8gentai.agents.adapters.base.inner_calls import making_calls
from k8gentai.agents.adapters.base.turn_time import turn_time
from k8gentai.agents.adapters.beeai.answers import (
    FINAL_ANSWER,
    ModelAnswer,
    final_tool,
    takes_text,
    text_answer,
)
from k8gentai.agents.adapters.beeai.long_answers import spare_long_answers
from k8gentai.agents.adapters.beeai.react import follow_react_agents, react_text
from k8gentai.agents.adapters.beeai.run import TurnRun, current_call, current_run
from k8gentai.agents.contract.events import ToolResult
from k8gentai.agents.contract.idempotency import enclosing_call
from k8gentai.agents.text.json_text import arguments_object

_AGENT = "k8gentai_agent"
"""The key under which a context keeps the name of its agent."""

_PARENT = "k8gentai_parent"
"""The key under which the context of a model's run keeps the context of the agent that runs it."""


def follow_models() -> None:
    """Have every model call of a turn followed. Call once."""
    ChatModel._ChatModel__run = _followed(ChatModel._ChatModel__run)
    ChatModel._fix_tool_calls = _unrepaired(ChatModel._fix_tool_calls)
    ChatModel._assert_tool_response = _lenient(ChatModel._assert_tool_response)
    RunContext.__init__ = _named(RunContext.__init__)
    beeai_framework.context.ensure_async = _at_once
    litellm_chat.acompletion = _noted(litellm_chat.acompletion)
    follow_react_agents()
    spare_long_answers()
    react_runner.datetime = SimpleNamespace(datetime=turn_time(_asked_at), UTC=UTC)
    for prompt in (RequirementAgentSystemPrompt, ToolCallingAgentSystemPrompt, GraniteSystemPromptTemplate):
        prompt._config.functions["formatDate"] = _dated(prompt._config.functions["formatDate"])


def _followed(call_model: Callable[..., Awaitable[ChatModelOutput]]) -> Callable[..., Awaitable[ChatModelOutput]]:
    @wraps(call_model)
    async def followed(
        self: ChatModel, asked: ChatModelInput, *, response: Any, context: RunContext, **options: Any
    ) -> ChatModelOutput:
        run = current_run.get()
        if run is None:
            return await call_model(self, asked, response=response, context=context, **options)
        with run.at_work():
            _answer_unknown(run, asked)
            if run.hands_over and current_call.get() is None:
                run.hand_over()
            step = run.begin(getattr(context, _AGENT), shown=current_call.get() is None)
            written = response.force_tool_call_via_response_format
            react = react_text(getattr(context, _PARENT))
            answer = ModelAnswer(run, step, final_tool(asked), written=written, react=react)
            asked.stream = asked.stream_partial_tool_calls = True
            forget = context.emitter.on("new_token", answer.take, EmitterOptions(is_blocking=True))
            opened: list[Any] = []
            token = _answers.set(opened)
            try:
                with making_calls(inner=not run.answers_now or current_call.get() is not None):
                    output = await call_model(self, asked, response=response, context=context, **options)
            except BaseException as error:
                answer.fail()
                if isinstance(error, FrameworkError) or not isinstance(error, Exception):
                    raise
                # The gateway knows better when a call may be made again.
                raise ChatModelError.ensure(error, model=self) from error
            finally:
                _answers.reset(token)
                forget()
                for opened_answer in opened:
                    await opened_answer.aclose()
            if written:
                for call in output.get_tool_calls():
                    # BeeAI's are random, and a call has to be known when the turn is run again.
                    inside = (key,) if (key := enclosing_call()) else ()
                    call.id = run.call_ids.make(call.tool_name, call.args, *inside)
            await answer.end(output)
            return output

    return followed


def _unrepaired(repair: Callable[..., None]) -> Callable[..., None]:
    """Leave arguments that are no JSON object to the tool boundary, which answers such calls with an error: BeeAI
    would run the tool with what it makes of them, or end the turn."""

    @wraps(repair)
    def unrepaired(self: ChatModel, result: ChatModelOutput) -> None:
        for call in result.get_tool_calls() if current_run.get() is not None else ():
            if call.tool_name != FINAL_ANSWER and arguments_object(call.args) is None:
                call.args = "{}"
        repair(self, result)

    return unrepaired


def _lenient(check: Callable[..., None]) -> Callable[..., None]:
    """Take plain words for an answer where a call of ``final_answer`` was wanted: BeeAI would ask again and again,
    and take them in the end."""

    @wraps(check)
    def checked(self: ChatModel, *, input: ChatModelInput, output: ChatModelOutput) -> None:  # noqa: A002
        run, words = current_run.get(), output.get_text_content()
        final = final_tool(input)
        if run is None or final is None or not words or output.get_tool_calls():
            check(self, input=input, output=output)
        elif _wants_call(final, input, words):
            call = _final_answer(run, final, words)
            if call is None:
                check(self, input=input, output=output)
            else:
                output.output = [AssistantMessage(call)]

    return checked


def _wants_call(final: AnyTool, asked: ChatModelInput, words: str) -> bool:
    """Return whether an agent does not make the call of plain words by itself, or one of other words."""
    if isinstance(final, FinalAnswerTool):
        # It takes an object in the words for the call's arguments, and asks again where they are none.
        return not final.custom_schema and "{" in words
    # A workflow's agents know an answer by nothing but the call.
    return asked.tool_choice not in (None, "auto") or (takes_text(final) and _object(words) is not None)


def _object(words: str) -> dict[str, Any] | None:
    """Return the object in plain words that BeeAI takes for the arguments of ``final_answer``, if there is one."""
    found = find_first_pair(words, ("{", "}")) if '"response"' in words else None
    read = parse_broken_json(found.outer, fallback=None) if found else None
    return read if isinstance(read, dict) else None


def _final_answer(run: TurnRun, final: AnyTool, words: str) -> MessageToolCallContent | None:
    """Return the call of ``final_answer`` that plain words stand for; None where they are not of its shape."""
    if takes_text(final):
        given = _object(words) or text_answer(words)
    else:
        given = parse_broken_json(words, fallback=None)
        try:
            final.input_schema.model_validate(given)
        except ValidationError:
            return None
    arguments = json.dumps(given, ensure_ascii=False)
    return MessageToolCallContent(
        id=run.call_ids.make(FINAL_ANSWER, arguments), tool_name=FINAL_ANSWER, args=arguments
    )


def _named(make: Callable[..., None]) -> Callable[..., None]:
    """Let a context know the name of the agent it belongs to."""

    @wraps(make)
    def named(self: RunContext, instance: Any, *, parent: RunContext | None = None, **options: Any) -> None:
        make(self, instance, parent=parent, **options)
        setattr(
            self, _AGENT, instance.meta.name if isinstance(instance, BaseAgent) else getattr(parent, _AGENT, None)
        )
        setattr(self, _PARENT, parent)

    return named


def _at_once(function: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
    """Have a context's own small steps done where they are: BeeAI would take a thread for each."""

    async def done(*args: Any) -> Any:
        result = function(*args)
        return await result if inspect.isawaitable(result) else result

    return done


def _noted(complete: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Note the answers that a model call opens: they are left open where it is cancelled."""

    @wraps(complete)
    async def noted(**options: Any) -> Any:
        # With tools it would look for those of an MCP gateway of its own, in a package that is not there.
        answer = await complete(_skip_mcp_handler=True, **options)
        if hasattr(answer, "aclose"):
            _answers.get([]).append(answer)
        return answer

    return noted


_answers: ContextVar[list[Any]] = ContextVar("answers")
"""The streams of the model call at hand."""


def _dated(date: Callable[[Any], str]) -> Callable[[Any], str]:
    """Let prompts say the same date whenever a turn is run again."""

    def dated(data: Any) -> str:
        run = current_run.get()
        return date(data) if run is None else f"{run.asked_at:%Y-%m-%dT%H:%M:%SZ}"

    return dated


def _asked_at() -> datetime | None:
    run = current_run.get()
    return None if run is None else run.asked_at


def _answer_unknown(run: TurnRun, asked: ChatModelInput) -> None:
    """Publish the results of calls that came to no tool."""
    for message in asked.messages:
        for result in message.get_tool_results() if isinstance(message, ToolMessage) else ():
            if run.waits_for(result.tool_call_id):
                run.publish(ToolResult(call_id=result.tool_call_id, output=str(result.result), is_error=True))
