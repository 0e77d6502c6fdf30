"""From the stream of Llama Stack's Responses loop to our events."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from llama_stack_api import OpenAIChatCompletionToolCall

from k8gentai.agents.adapters.base.model_call import NumberedCall
from k8gentai.agents.adapters.llama_stack.citations import MarkFilter, cited
from k8gentai.agents.contract.events import (
    CallItem,
    Event,
    ItemDone,
    ItemDropped,
    ItemProgress,
    ItemStarted,
    MessageDone,
    ReasoningDelta,
    StepCompleted,
    StepStarted,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    ToolCallStarted,
)

# Items that have events of their own here, and those whose events come from elsewhere (the tool boundary).
_OWN_EVENTS = frozenset(
    {"message", "function_call", "mcp_call", "file_search_call", "web_search_call", "reasoning"}
)


@dataclass(frozen=True)
class DecidedCall:
    """A tool call of the model, and who runs it: an MCP server, the stack (a search; ``server_label`` empty), or
    the client (None)."""

    call: OpenAIChatCompletionToolCall
    server_label: str | None
    shown_as: CallItem = "mcp_call"


@dataclass
class _Answer(NumberedCall):
    """One model call's answer so far."""

    text: str = ""
    reasoning: str = ""
    refusal: str = ""
    refusal_item: str | None = None
    calls: dict[str, str] = field(default_factory=dict)
    """The loop's item id -> call id, of calls the client runs."""
    marks: MarkFilter = field(default_factory=MarkFilter)
    logprobs: list[dict[str, Any]] = field(default_factory=list)


class Translator:
    """Translates one turn's stream. Ids count from 0 within the turn, so that a second run gives the same.

    Args:
        emit: takes the events, in order.
        on_client: whether the client runs a tool of that name.
        cites: whether answers may cite files.
    """

    def __init__(
        self, emit: Callable[[Event], None], on_client: Callable[[str], bool], *, cites: bool = False
    ) -> None:
        self._emit = emit
        self._cites = cites
        self._on_client = on_client
        self._answer = _Answer(number=-1)
        self._items: dict[str, str] = {}

    def model_called(self) -> None:
        """Begin a model call."""
        self._answer = _Answer(self._answer.number + 1)
        self._emit(StepStarted(step_id=self._answer.step_id, kind="inference"))

    def take(self, event: Any) -> None:
        """Translate one of the loop's stream events (``llama_stack_api.OpenAIResponseObjectStream``)."""
        answer = self._answer
        match event.type:
            case "response.output_text.delta":
                answer.text += event.delta
                logprobs = [_token(_dump(token)) for token in event.logprobs or ()]
                answer.logprobs += logprobs
                if shown := answer.marks.feed(event.delta) if self._cites else event.delta:
                    self._emit(TextDelta(message_id=answer.message_id, delta=shown, logprobs=logprobs))
            case "response.reasoning_text.delta":
                answer.reasoning += event.delta
                self._emit(ReasoningDelta(message_id=answer.message_id, delta=event.delta))
            case "response.function_call_arguments.delta":
                if call_id := answer.calls.get(event.item_id):
                    self._emit(ToolCallDelta(call_id=call_id, delta=event.delta))
            case "response.content_part.added" | "response.content_part.done" if event.part.type == "refusal":
                self._refuse(event)
            case "response.refusal.delta":
                answer.refusal += event.delta
                self._refuse(event)
            case "response.refusal.done":
                self._refuse(event)
            case "response.output_item.added":
                self._item_added(event.item)
            case "response.output_item.done" if event.item.type not in _OWN_EVENTS:
                self._item_done(event.item)

    def model_answered(self, calls: Sequence[DecidedCall], files: Mapping[str, str]) -> None:
        """Take the model's answer, which is whole: the loop has decided who runs its tool calls.

        Args:
            calls: the calls that run.
            files: names of the files that searches found so far, by id.
        """
        answer = self._answer
        for decided in calls:
            self._emit(_tool_call(decided))
        if answer.refusal_item is not None:
            content = [{"type": "refusal", "refusal": answer.refusal}]
            self._emit(ItemDone(item=_message(answer.refusal_item, "completed", content)))
        # An answer may be empty, and is still an answer.
        if answer.text or answer.reasoning or not (calls or answer.refusal_item):
            text, citations = cited(answer.text, files) if self._cites else (answer.text, [])
            done = MessageDone(
                message_id=answer.message_id,
                text=text,
                reasoning=answer.reasoning,
                annotations=citations,
                logprobs=answer.logprobs,
            )
            self._emit(done)
        self._emit(StepCompleted(step_id=answer.step_id, kind="inference"))

    def blocked(self, reason: str) -> None:
        """Put a refusal in the place of the input, or of the answer under way, that a guardrail blocked.

        Args:
            reason: for the client.
        """
        answer = self._answer
        if answer.text or answer.reasoning:
            self._emit(ItemDropped(item_id=answer.message_id))
        for call_id in answer.calls.values():
            self._emit(ItemDropped(item_id=call_id))
        item_id = self._item_id("blocked")
        self._emit(ItemStarted(item=_message(item_id, "in_progress", [])))
        empty, whole = ({"type": "refusal", "refusal": text} for text in ("", reason))
        for event in (
            {"type": "response.content_part.added", "part": empty},
            {"type": "response.refusal.delta", "delta": reason},
            {"type": "response.refusal.done", "refusal": reason},
            {"type": "response.content_part.done", "part": whole},
        ):
            self._progress(item_id, {**event, "content_index": 0})
        self._emit(ItemDone(item=_message(item_id, "completed", [whole])))
        if answer.number >= 0:
            self._emit(StepCompleted(step_id=answer.step_id, kind="inference"))

    def _item_added(self, item: Any) -> None:
        if item.type == "function_call":
            if self._on_client(item.name):
                self._answer.calls[item.id] = item.call_id
                self._emit(ToolCallStarted(call_id=item.call_id, name=item.name, side="client"))
        elif item.type not in _OWN_EVENTS:
            started = {**_dump(item), "id": self._item_id(item.id)}
            self._emit(ItemStarted(item=started))
            if item.type == "mcp_list_tools":
                self._progress(started["id"], {"type": "response.mcp_list_tools.in_progress"})

    def _item_done(self, item: Any) -> None:
        done = {**_dump(item), "id": self._item_id(item.id)}
        if item.type == "mcp_list_tools":
            self._progress(done["id"], {"type": "response.mcp_list_tools.completed"})
        self._emit(ItemDone(item=done))

    def _refuse(self, event: Any) -> None:
        """Make an item of a refusal. The loop announces no item for it, and counts it as part 2."""
        if self._answer.refusal_item is None:
            self._answer.refusal_item = self._item_id(f"{event.item_id}:refusal")
            self._emit(ItemStarted(item=_message(self._answer.refusal_item, "in_progress", [])))
        self._progress(self._answer.refusal_item, {**_dump(event), "content_index": 0})

    def _progress(self, item_id: str, event: dict[str, Any]) -> None:
        dropped = {"response_id", "output_index", "sequence_number"}
        fields = {name: value for name, value in event.items() if name not in dropped}
        self._emit(ItemProgress(item_id=item_id, event={**fields, "item_id": item_id}))

    def _item_id(self, original: str) -> str:
        return self._items.setdefault(original, f"i{len(self._items)}")


def _token(token: dict[str, Any]) -> dict[str, Any]:
    """Return a token's probability with all that the Responses API has of it: models may leave out the bytes."""
    return {**_with_bytes(token), "top_logprobs": [_with_bytes(other) for other in token.get("top_logprobs", ())]}


def _with_bytes(token: dict[str, Any]) -> dict[str, Any]:
    return {"bytes": list(token["token"].encode()), **token}


def _tool_call(decided: DecidedCall) -> ToolCall:
    call = decided.call
    if call.function is None:
        raise ValueError("the loop runs no tool call without a function")
    return ToolCall(
        call_id=call.id or "",
        name=call.function.name or "",
        arguments=call.function.arguments or "{}",
        side="client" if decided.server_label is None else "worker",
        server_label=decided.server_label or "",
        shown_as=decided.shown_as,
    )


def _message(item_id: str, status: str, content: list[dict[str, Any]]) -> dict[str, Any]:
    return {"id": item_id, "type": "message", "role": "assistant", "status": status, "content": content}


def _dump(model: Any) -> dict[str, Any]:
    fields: dict[str, Any] = model.model_dump(mode="json", exclude_none=True)
    return fields
