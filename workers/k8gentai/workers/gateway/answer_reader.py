"""Reads a model's answer as endpoints really send it, and makes of it what the OpenAI API documents.

Endpoints leave out ids, repeat them, number tool calls wrongly or not at all, cut characters in two, and report
usage several times. All frameworks are handed one form: every tool call has an id that is unique in the turn, its
head comes before its arguments, each choice has one finish reason, and the figures come once, last.
"""

from collections.abc import Collection
from typing import Any

from k8gentai.workers.gateway.answer_parts import Chunk, SentDeltas, answer_head, choice_index, sent_choices
from k8gentai.workers.gateway.call_ids import CallId
from k8gentai.workers.gateway.finish_reasons import sent_reason
from k8gentai.workers.gateway.message_reader import TEXTS, add_reasoning, apart, read_delta
from k8gentai.workers.gateway.optional_fields import of_answer, of_choice
from k8gentai.workers.gateway.streamed_choice import StreamedChoice, log_left_out
from k8gentai.workers.gateway.usage_figures import add_usage, figures, sent_usages


class AnswerReader:
    """Reads one streamed answer.

    Args:
        model: the model that was asked, for chunks that do not name it.
        tools: the names of the functions that the request offers.
        call_id: names the tool calls.
        several: the choices are to be shown apart, as the request asks for more than one. Otherwise the words of
            the first that has any are the answer, with the tool calls of that choice, or of the others where it
            has none: some endpoints put a model's words and each of its calls into choices of their own. What
            else there is belongs to other answers.
    """

    def __init__(self, model: str, tools: Collection[str], call_id: CallId, *, several: bool = False) -> None:
        self._several = several
        self.answer_head: Chunk = {"id": "", "object": "chat.completion.chunk", "created": 0, "model": model}
        self._tools = tools
        self._call_id = call_id
        self._choices: dict[int, StreamedChoice] = {}
        self._deltas = SentDeltas()
        self._left_out: set[int] = set()
        """The indexes of the choices whose calls are none of the answer's."""
        self._usage: dict[str, Any] = {}
        self.reasoning: dict[str, Any] = {}
        """The model's reasoning, by the name of the field it came in."""

    def calls(self) -> dict[str, str]:
        """Return the arguments of the tool calls by their ids, as the model wrote them."""
        return {call.id: call.arguments for choice in self._choices.values() for call in choice.calls}

    def extras(self) -> dict[str, dict[str, Any]]:
        """Return what the endpoint adds to the tool calls, by their ids."""
        return {call.id: call.extras for choice in self._choices.values() for call in choice.calls}

    def read(self, chunk: Chunk) -> list[Chunk]:
        """Read a chunk. Returns the chunks to show for it."""
        self.answer_head |= answer_head(chunk)
        for usage in sent_usages(chunk):
            add_usage(self._usage, usage)
        extras = of_answer(chunk)
        shown = [shown for choice in sent_choices(chunk) for shown in self._read_choice(choice)]
        return [self._chunk([choice], extras) for choice in shown]

    def end(self) -> list[Chunk]:
        """Return the chunks that end the answer, which is whole."""
        last: list[Chunk] = []
        if not self._choices:
            self._choice(0)
        for choice in self._choices.values():
            deltas: list[dict[str, Any]] = [{name: text} for name, text in choice.held_texts().items()]
            deltas += [{"tool_calls": [piece]} for piece in choice.end()]
            last += [self._chunk([_shown(choice.index, delta)]) for delta in deltas]
        for choice in self._choices.values():
            last.append(self._chunk([_shown(choice.index, {}, choice.finish_reason())]))
        if self._usage:
            last.append({**self._chunk([]), "usage": figures(self._usage)})
        return last

    def _chunk(self, choices: list[dict[str, Any]], extras: dict[str, Any] | None = None) -> Chunk:
        return {**self.answer_head, **(extras or {}), "choices": choices}

    def _read_choice(self, sent: dict[str, Any]) -> list[dict[str, Any]]:
        """Read a choice in a chunk. Returns what is shown of it."""
        index = choice_index(sent)
        choice = self._choice(index)
        if reason := sent_reason(sent):
            choice.finish_reasons[index] = reason
        given = self._deltas.read(sent)
        delta, pieces = read_delta(given)
        if choice.speaker is None and any(delta.get(name) for name in TEXTS):
            choice.speaker = index
        shown = self._read_words(choice, sent, given, delta) if choice.takes_words(index) else []
        if pieces and not choice.takes_calls(index):
            self._leave_out(index)
            return shown
        for piece in pieces:
            shown += [_shown(choice.index, {"tool_calls": [call]}) for call in choice.piece(piece, index)]
        return shown

    def _leave_out(self, index: int) -> None:
        if index not in self._left_out:
            self._left_out.add(index)
            log_left_out(index)

    def _read_words(
        self, choice: StreamedChoice, sent: dict[str, Any], given: dict[str, Any], delta: dict[str, Any]
    ) -> list[dict[str, Any]]:
        """Read what is no tool call in a choice. Returns what is shown of it.

        Args:
            choice: the choice as far as it was read.
            sent: the choice as it came in the chunk.
            given: the choice's delta as it came.
            delta: the delta without tool calls, as :func:`read_delta` returns it.
        """
        if choice.role:
            delta.pop("role", None)
        choice.role = choice.role or delta.get("role") or ""
        for name in TEXTS:
            if delta.get(name):
                delta[name] = choice.text(name, delta[name])
        if words := delta.get("content"):
            choice.words = words[-1]
        elif delta.get("refusal"):
            # Frameworks know no refusals in streams.
            delta["content"] = apart(choice.words, delta["refusal"])
            choice.words = ""
        add_reasoning(self.reasoning, given, delta)
        extras = of_choice(sent)
        if any(value is not None and value != "" for value in delta.values()) or any(extras.values()):
            shown = {**_shown(choice.index, delta), **extras}
            return [*self._thought_before(choice, delta), shown]
        return []

    def _thought_before(self, choice: StreamedChoice, delta: dict[str, Any]) -> list[dict[str, Any]]:
        """Take the reasoning out of a delta that has words as well: not all readers know that it came first."""
        if not (delta.get("content") and delta.get("reasoning_content")):
            return []
        return [_shown(choice.index, {"reasoning_content": delta.pop("reasoning_content")})]

    def _choice(self, index: int) -> StreamedChoice:
        """Return the choice that takes in what comes in the choice of this index."""
        if self._choices and not self._several:
            return next(iter(self._choices.values()))
        if index not in self._choices:
            self._choices[index] = StreamedChoice(index, self._tools, self._call_id)
        return self._choices[index]


def _shown(index: int, delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
    return {"index": index, "delta": delta, "finish_reason": finish_reason}
