"""Publishes what a model says, as it says it, and no more of it than the agent takes for its answer.

BeeAI's agents have a model answer by a call of a tool, ``final_answer``: what it says beside that call, and
answers that the tool does not take, are no part of what the agent says.
"""

import json

from beeai_framework.backend import (
    ChatModelNewTokenEvent,
    ChatModelOutput,
    MessageReasoningContent,
    MessageTextContent,
    MessageToolCallContent,
)
from beeai_framework.backend.types import ChatModelInput
from beeai_framework.tools import AnyTool
from pydantic import ValidationError

from k8gentai.agents.adapters.base.run import ModelStep
from k8gentai.agents.adapters.beeai.long_answers import WrittenText
from k8gentai.agents.adapters.beeai.react import ReActText
from k8gentai.agents.adapters.beeai.run import TurnRun
from k8gentai.agents.contract.events import ItemDropped, ToolCall, ToolCallDelta, ToolCallStarted, ToolSide

FINAL_ANSWER = "final_answer"
"""The tool that BeeAI's agents have the model call to answer."""

_RESPONSE = "response"
"""The argument of that tool that holds the answer, where the answer is a text."""


def final_tool(asked: ChatModelInput) -> AnyTool | None:
    """Return the tool that a model may answer by; None where it is not offered."""
    offered = [*(asked.tools or ()), *([asked.fallback_tool] if asked.fallback_tool else ())]
    return next((tool for tool in offered if tool.name == FINAL_ANSWER), None)


def takes_text(final: AnyTool) -> bool:
    """Return whether the answer that a ``final_answer`` takes is a text."""
    return list(final.input_schema.model_fields) == [_RESPONSE]


def text_answer(words: str) -> dict[str, str]:
    """Return the arguments of a ``final_answer`` that takes a text."""
    return {_RESPONSE: words}


class ModelAnswer:
    """An answer of a model, as it is streamed.

    Args:
        run: the turn's.
        step: the model call.
        final: the tool that it may answer by.
        written: its text is a tool call that the model was made to write, as it has no API for it.
        react: reads its text, where that is written for a ``ReActAgent``.
    """

    def __init__(
        self, run: TurnRun, step: ModelStep, final: AnyTool | None, *, written: bool, react: ReActText | None
    ) -> None:
        self._run = run
        self._step = step
        self._final = final
        self._written = written
        self._react = react
        self._calls: dict[str, MessageToolCallContent] = {}
        self._texts: dict[str, WrittenText] = {}
        """The texts of the calls of ``final_answer``, by the ids of these."""
        self._answering = False
        """Whether a call of ``final_answer`` has begun."""

    async def take(self, event: ChatModelNewTokenEvent, _: object = None) -> None:
        """Take a piece of the answer."""
        for message in event.value.output:
            for part in message.content:
                if isinstance(part, MessageReasoningContent):
                    self._step.reasoning(part.text)
                elif isinstance(part, MessageTextContent):
                    await self._text(part.text)
                elif isinstance(part, MessageToolCallContent):
                    self._piece(part)

    def fail(self) -> None:
        """Drop the answer, which is none: its tool calls will not be made."""
        for call_id, call in self._calls.items():
            self._run.context.tools.exempt(call_id)
            if call.tool_name != FINAL_ANSWER:
                self._run.publish(ItemDropped(item_id=call_id))
        self._run.broke_off(self._step)

    async def end(self, output: ChatModelOutput) -> None:
        """End the answer, which is whole: its tool calls are as the agent will make them."""
        if self._react is not None:
            self._step.be(await self._react.end())
        made = output.get_tool_calls()
        finals = [call for call in made if call.tool_name == FINAL_ANSWER]
        if finals:
            self._conclude(finals)
        calls = [self._whole(call) for call in made if call.tool_name != FINAL_ANSWER]
        self._step.end(calls)
        ids = [call.call_id for call in calls]
        self._run.beside.update(dict.fromkeys(ids, ids))
        self._run.hands_over |= any(call.side == "client" for call in calls)

    def _conclude(self, finals: list[MessageToolCallContent]) -> None:
        """Have the last answer that the tool takes be what the model says."""
        for call in finals:
            # Where it is not offered, no tool runs.
            self._run.context.tools.exempt(call.id)
            self._run.answers[call.id] = self._step
        taken = [answer for call in finals if (answer := self._taken(call)) is not None]
        self._step.be(taken[-1] if taken else "")

    def _taken(self, call: MessageToolCallContent) -> str | None:
        """Return the answer that a call of ``final_answer`` brings; None where the tool does not take it."""
        if self._final is None:
            return None
        try:
            given = self._final.input_schema.model_validate(json.loads(call.args))
        except (ValidationError, ValueError):
            return None
        return str(getattr(given, _RESPONSE)) if takes_text(self._final) else call.args

    def _whole(self, call: MessageToolCallContent) -> ToolCall:
        written = self._calls.get(call.id, call).args
        side = self._side(call.tool_name)
        return ToolCall(call_id=call.id, name=call.tool_name, arguments=written, side=side)

    async def _text(self, text: str) -> None:
        if self._react is not None:
            self._step.text(await self._react.add(text))
        elif not (self._written or self._answering):
            self._step.text(text)

    def _piece(self, piece: MessageToolCallContent) -> None:
        # Only the first piece of a call has its id.
        call_id = piece.id or next(reversed(self._calls), "")
        call = self._calls.get(call_id)
        if call is None:
            call = self._calls[call_id] = piece.model_copy()
            self._begin(call_id, call.tool_name)
        else:
            call.args += piece.args
        if call.tool_name == FINAL_ANSWER:
            self._answer(call)
        elif piece.args:
            self._run.publish(ToolCallDelta(call_id=call_id, delta=piece.args))

    def _begin(self, call_id: str, name: str) -> None:
        if name == FINAL_ANSWER:
            self._answering = True
            self._step.take_back()
        else:
            self._run.publish(ToolCallStarted(call_id=call_id, name=name, side=self._side(name)))

    def _answer(self, call: MessageToolCallContent) -> None:
        """Publish what is new of the answer that a call of ``final_answer`` brings."""
        if self._final is None or not takes_text(self._final):
            return
        text = self._texts.setdefault(call.id, WrittenText(_RESPONSE)).read(call.args)
        if text is not None:
            self._step.be(text)

    def _side(self, name: str) -> ToolSide:
        return "client" if name in self._run.client_tools else "worker"
