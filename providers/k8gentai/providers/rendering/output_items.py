"""The output items of a response while they grow: each knows its stream events and how it looks now.

An item writes its events through the ``Emit`` it was given, which adds the sequence number. Event names,
their order and fields are those of the OpenAI Responses API's streaming reference.
"""

from collections.abc import Sequence
from typing import Any, Protocol

from k8gentai.agents.contract.turn import Item


class Emit(Protocol):
    """Append one stream event."""

    def __call__(self, event_type: str, **fields: Any) -> None: ...


def rest_of(whole: str, streamed: str) -> str:
    """Return what is still to be streamed of ``whole``; nothing where it departs from what was streamed."""
    return whole[len(streamed) :] if whole.startswith(streamed) else ""


class OutputItem:
    """One output item.

    Args:
        emit: takes its events.
        id_: the item's id, see :func:`k8gentai.providers.ids.item_id`.
        index: the item's ``output_index``.
    """

    type: str

    def __init__(self, emit: Emit, id_: str, index: int) -> None:
        self.id = id_
        self.index = index
        self.status = "in_progress"
        self.shown = True
        """Whether the item stays in the response's output."""
        self._emit = emit

    @property
    def open(self) -> bool:
        return self.status == "in_progress"

    def view(self) -> Item:
        """Return the item as it is now, as a fresh dictionary."""
        raise NotImplementedError

    def close(self, status: str) -> None:
        """End an open item, with the events that complete it."""
        raise NotImplementedError

    def _added(self) -> None:
        self._emit("response.output_item.added", output_index=self.index, item=self.view())

    def _done(self, status: str) -> None:
        self.status = status
        self._emit("response.output_item.done", output_index=self.index, item=self.view())

    def _tell(self, event_type: str, **fields: Any) -> None:
        self._emit(event_type, item_id=self.id, output_index=self.index, **fields)


class Message(OutputItem):
    """An answer's text, in one content part."""

    type = "message"

    def __init__(self, emit: Emit, id_: str, index: int) -> None:
        super().__init__(emit, id_, index)
        self._text = ""
        self._annotations: list[dict[str, Any]] = []
        self._logprobs: list[dict[str, Any]] = []
        self._begun = False
        self._added()
        self._tell("response.content_part.added", content_index=0, part=self._part())
        self._begun = True

    def delta(self, delta: str, logprobs: Sequence[dict[str, Any]] = ()) -> None:
        """Append text.

        Args:
            delta: the text.
            logprobs: of its tokens.
        """
        if delta:
            self._text += delta
            self._tell("response.output_text.delta", content_index=0, delta=delta, logprobs=list(logprobs))

    def finish(
        self, text: str, annotations: list[dict[str, Any]], logprobs: Sequence[dict[str, Any]] = ()
    ) -> None:
        """End the message, which is whole."""
        self.delta(rest_of(text, self._text))
        self._text = text
        self._logprobs = list(logprobs)
        for position, annotation in enumerate(annotations):
            self._annotations.append(annotation)
            self._tell(
                "response.output_text.annotation.added",
                content_index=0,
                annotation_index=position,
                annotation=annotation,
            )
        self.close("completed")

    def close(self, status: str) -> None:
        self._tell("response.output_text.done", content_index=0, text=self._text, logprobs=self._logprobs)
        # As Llama Stack's builtin does it: the item has them, its part's event has not.
        self._tell("response.content_part.done", content_index=0, part={**self._part(), "logprobs": []})
        self._done(status)

    def view(self) -> Item:
        content = [self._part()] if self._begun else []
        return {
            "id": self.id,
            "type": "message",
            "role": "assistant",
            "status": self.status,
            "content": content,
        }

    def _part(self) -> dict[str, Any]:
        annotations = [dict(annotation) for annotation in self._annotations]
        return {
            "type": "output_text",
            "text": self._text,
            "annotations": annotations,
            "logprobs": list(self._logprobs),
        }


class Reasoning(OutputItem):
    """The model's reasoning before an answer or a call, in one content part."""

    type = "reasoning"

    def __init__(self, emit: Emit, id_: str, index: int) -> None:
        super().__init__(emit, id_, index)
        self._text = ""
        self._begun = False
        self._added()
        self._tell("response.content_part.added", content_index=0, part=self._part())
        self._begun = True

    def delta(self, delta: str) -> None:
        """Append reasoning text."""
        if delta:
            self._text += delta
            self._tell("response.reasoning_text.delta", content_index=0, delta=delta)

    def close(self, status: str) -> None:
        self._tell("response.reasoning_text.done", content_index=0, text=self._text)
        self._tell("response.content_part.done", content_index=0, part=self._part())
        self._done(status)

    def view(self) -> Item:
        content = [self._part()] if self._begun else []
        return {"id": self.id, "type": "reasoning", "status": self.status, "summary": [], "content": content}

    def _part(self) -> dict[str, Any]:
        return {"type": "reasoning_text", "text": self._text}


class WrittenCall(OutputItem):
    """A tool call, whose arguments a model writes piece by piece.

    Its events begin with ``response.`` and the item's type.
    """

    def __init__(self, emit: Emit, id_: str, index: int) -> None:
        super().__init__(emit, id_, index)
        self._arguments = ""

    def delta(self, delta: str) -> None:
        """Append a piece of the arguments."""
        if delta:
            self._arguments += delta
            self._tell(f"response.{self.type}_arguments.delta", delta=delta)

    def _whole(self, arguments: str, **fields: Any) -> None:
        """Take the arguments as they are at their end.

        Args:
            arguments: JSON text.
            fields: the event's other fields.
        """
        self.delta(rest_of(arguments, self._arguments))
        self._arguments = arguments
        self._tell(f"response.{self.type}_arguments.done", **fields, arguments=arguments)

    def close(self, status: str) -> None:
        # A call without a result is never complete, whatever became of the turn.
        self._done("incomplete")


class FunctionCall(WrittenCall):
    """A call of a tool that runs on the client."""

    type = "function_call"

    def __init__(self, emit: Emit, id_: str, index: int, call_id: str, name: str) -> None:
        super().__init__(emit, id_, index)
        self._call_id = call_id
        self._name = name
        self._added()

    def called(self, arguments: str) -> None:
        """End the call, which is whole; the client takes over."""
        self._whole(arguments, name=self._name)
        self._done("completed")

    def view(self) -> Item:
        return {
            "id": self.id,
            "type": "function_call",
            "status": self.status,
            "call_id": self._call_id,
            "name": self._name,
            "arguments": self._arguments,
        }


class McpCall(WrittenCall):
    """A call of a tool that runs in the worker."""

    type = "mcp_call"

    def __init__(
        self,
        emit: Emit,
        id_: str,
        index: int,
        name: str,
        server_label: str,
        approval_request_id: str | None = None,
    ) -> None:
        super().__init__(emit, id_, index)
        self.name = name
        self.server_label = server_label
        self._approval_request_id = approval_request_id
        self._output: str | None = None
        self._error: str | None = None
        self._added()
        self._tell("response.mcp_call.in_progress")

    def called(self, arguments: str) -> None:
        """Take the arguments, which are whole; the tool runs."""
        self._whole(arguments)

    def result(self, output: str, *, is_error: bool) -> None:
        """Take the tool's result. ``error`` is text, as the host's types have it."""
        if is_error:
            self._error = output
        else:
            self._output = output
        self._tell("response.mcp_call.failed" if is_error else "response.mcp_call.completed")
        self._done("failed" if is_error else "completed")

    def view(self) -> Item:
        return {
            "id": self.id,
            "type": "mcp_call",
            "status": self.status,
            "name": self.name,
            "server_label": self.server_label,
            "arguments": self._arguments,
            "output": self._output,
            "error": self._error,
            "approval_request_id": self._approval_request_id,
        }


class WholeItem(OutputItem):
    """An item that comes ready-made in Responses API shape: as the framework gave it, under an id of ours."""

    def __init__(self, emit: Emit, id_: str, index: int, item: Item) -> None:
        super().__init__(emit, id_, index)
        self.type = item["type"]
        self._item = item
        self._added()

    def progress(self, event: dict[str, Any]) -> None:
        """Pass on a stream event about the item."""
        own = {"type", "item_id", "output_index", "sequence_number"}
        self._tell(event["type"], **{name: value for name, value in event.items() if name not in own})

    def finish(self, item: Item) -> None:
        """Return the item as it looks at its end."""
        self._item = item
        self._done(item.get("status") or "completed")

    def close(self, status: str) -> None:
        self._item = {**self._item, "status": "incomplete"}
        self._done("incomplete")

    def view(self) -> Item:
        # Items that have no status with OpenAI have one here: openresponses.org, "Required item fields".
        return {"status": self.status, **self._item, "id": self.id}
