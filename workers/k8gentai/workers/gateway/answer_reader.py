"""Reads a model's answer as endpoints really send it, and makes of it what the OpenAI API documents.

Endpoints leave out ids, repeat them, number tool calls wrongly or not at all, cut characters in two, and report
usage several times. All frameworks are handed one form: every tool call has an id that is unique in the turn, its
head comes before its arguments, each choice has one finish reason, and the figures come once, last.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog

from k8gentai.agents.text.json_text import arguments_object
from k8gentai.agents.text.surrogates import Characters, EscapedCharacters, encodable_json
from k8gentai.agents.text.utf8 import encodable
from k8gentai.workers.gateway.added_fields import DETAILS, joined_details
from k8gentai.workers.gateway.answer_parts import (
    LEGACY_CALL,
    SentDeltas,
    choice_index,
    sent_calls,
    sent_choices,
    whole_message,
)
from k8gentai.workers.gateway.call_indexes import CallIndexes
from k8gentai.workers.gateway.optional_fields import of_answer, of_choice, of_message
from k8gentai.workers.gateway.shallow_json import ShallowJson

log = structlog.get_logger(__name__)

Chunk = dict[str, Any]

CallId = Callable[[str, int, int], str]
"""Returns a tool call's id, given the one that the model sent, the index of its choice, and its place in that."""

_UNNAMED = "unnamed"
"""The name of a tool call whose model named no tool: there is no such tool, which the model is then told."""
_LARGEST = 2**53
"""The largest whole number that every reader of JSON takes."""
_CALL_FIELDS = ("index", "id", "type", "function", "custom")
"""The API's own fields of a tool call."""
_TEXTS = ("content", "reasoning_content", "refusal")
_RESPONSES_NAMES = {
    "prompt_tokens": "input_tokens",
    "completion_tokens": "output_tokens",
    "prompt_tokens_details": "input_tokens_details",
    "completion_tokens_details": "output_tokens_details",
}
"""The names of figures in chat completions, and in the Responses API."""
_DETAILS = "_tokens_details"
"""How the names of a usage's objects end: any other field is a figure, or nothing to count with."""
_ANTHROPIC_CACHED = ("cache_read_input_tokens", "cache_creation_input_tokens")
_OTHER = "not a JSON object: "
"""What goes before arguments that are JSON, and no object."""
_WHOLE = ("stop", "tool_calls", LEGACY_CALL)
"""The finish reasons of what the model wrote to its end."""


@dataclass
class _Piece:
    """A piece of a tool call."""

    sent: dict[str, Any]
    """The piece as it came."""
    position: int
    """Its place among the pieces of its chunk."""
    sent_id: str
    name: str
    arguments: str
    extras: dict[str, Any]


@dataclass
class _Call:
    """A tool call as far as it was read."""

    sent_id: str
    extras: dict[str, Any] = field(default_factory=dict)
    """What an endpoint adds to the API's own fields, such as the signature of a thought."""
    name: str = ""
    arguments: str = ""
    number: int = -1
    """Its place among those that were shown, once it is."""
    id: str = ""
    """Empty until the call is shown."""
    characters: EscapedCharacters = field(default_factory=EscapedCharacters)
    shallow: ShallowJson = field(default_factory=ShallowJson)
    _judged: tuple[int, bool] = (0, False)
    """How long the arguments were when they were last read, and whether they were complete."""

    def whole(self) -> bool:
        """Return whether the arguments are complete."""
        length, is_whole = self._judged
        if len(self.arguments) != length:
            is_whole = self.arguments.rstrip().endswith("}") and arguments_object(self.arguments) is not None
            self._judged = len(self.arguments), is_whole
        return is_whole

    def comes_again(self, piece: _Piece) -> bool:
        """Return whether a piece is the whole call once more, or its whole arguments."""
        names_it = bool(piece.name and self.name)
        return (names_it or piece.arguments == self.arguments) and self.whole()


class _Choice:
    """One choice of the answer, which is nearly always the only one."""

    def __init__(self, index: int, tools: Collection[str], call_id: CallId) -> None:
        self.index = index
        self.finish_reasons: dict[int, str] = {}
        """Why the choice, and those whose calls are taken into it, ended, by their indexes."""
        self.role = ""
        self.words = ""
        """The end of its words so far, a refusal's aside."""
        self.speaker: int | None = None
        """The index of the choice that the words come in, once they do."""
        self.caller: int | None = None
        """The index of the choice that the first call came in, once one did."""
        self.calls: list[_Call] = []
        self._shown: list[_Call] = []
        self._held: defaultdict[int, list[dict[str, Any]]] = defaultdict(list)
        """Pieces that wait for an earlier call to be whole, by the place of their own."""
        self._current = 0
        """The place of the call whose pieces are shown."""
        self._indexes: defaultdict[int, CallIndexes] = defaultdict(CallIndexes)
        """By the index of the choice that the calls came in."""
        self._by_index: dict[tuple[int, int], _Call] = {}
        """By the index of the choice that the call came in, and its own."""
        self._tools = tools
        self._call_id = call_id
        self._characters = {name: Characters() for name in _TEXTS}

    def takes_words(self, index: int) -> bool:
        """Return whether words in the choice of this index are the answer's: in the first that has any."""
        return self.speaker in (None, index)

    def takes_calls(self, index: int) -> bool:
        """Return whether calls in the choice of this index are the answer's. Where the choice of the words has
        calls as well, those in others are of other answers: both would be made.
        """
        if self.caller is None:
            self.caller = index
        speaker = self.speaker or 0
        return index == self.caller or speaker not in (self.caller, index)

    def text(self, name: str, sent: str) -> str:
        """Return a piece of a text; half a character is kept until the other half comes."""
        return self._characters[name].feed(sent)

    def held_texts(self) -> dict[str, str]:
        """Return what is left of the texts at their end."""
        return {name: left for name, held in self._characters.items() if (left := held.end())}

    def piece(self, piece: _Piece, choice: int) -> list[dict[str, Any]]:
        """Take a piece of a tool call that came in the choice of this index. Returns the pieces to show."""
        index = choice, self._indexes[choice].index(piece.sent, piece.position)
        call = self._by_index.get(index) or self._in_another_choice(piece, choice)
        if call is None or self._begins(call, piece):
            call = _Call(piece.sent_id)
            self.calls.append(call)
        self._by_index[index] = call
        if call.comes_again(piece):
            return []
        call.sent_id = call.sent_id or piece.sent_id
        return self._in_turn(self._take(call, piece) + self._show_ready())

    def finish_reason(self) -> str:
        """Return why the answer ended: first of all, what cut it or the calls from other choices off."""
        first = self.index if self.speaker is None else self.speaker
        others = {choice for choice, _ in self._by_index} - {first}
        return _joint_reason(
            self.finish_reasons.get(first),
            [self.finish_reasons.get(choice) for choice in sorted(others)],
            called=bool(self.calls),
        )

    def end(self) -> list[dict[str, Any]]:
        """Show what is left of the calls: the answer is whole."""
        shown: list[dict[str, Any]] = []
        for call in self.calls:
            if not call.id:
                shown += self._show(call)
            rest = call.characters.end() or ("" if call.arguments.strip() else "{}")
            call.arguments += rest
            shown += _arguments(call, rest)
        shown = self._in_turn(shown)
        return shown + [piece for _, held in sorted(self._held.items()) for piece in held]

    def _in_another_choice(self, piece: _Piece, choice: int) -> _Call | None:
        """Return the call that came in another choice with the id of a piece: some repeat calls there."""
        calls = (call for (other, _), call in self._by_index.items() if other != choice)
        return next((call for call in calls if piece.sent_id and call.sent_id == piece.sent_id), None)

    def _in_turn(self, pieces: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the pieces to show now. Endpoints may send those of several calls by turns, and some frameworks
        take a piece without an id for one of the call that began last.
        """
        for piece in pieces:
            self._held[piece["index"]].append(piece)
        shown: list[dict[str, Any]] = []
        for number in sorted(self._held):
            if number > self._current:
                if not all(call.whole() for call in self._shown[self._current : number]):
                    break
                self._current = number
            shown += self._held.pop(number)
        return shown

    def _take(self, call: _Call, piece: _Piece) -> list[dict[str, Any]]:
        sent = call.characters.feed(piece.arguments)
        call.arguments += sent
        call.extras.update(piece.extras)
        if call.id:
            return [{**piece.extras, **shown} for shown in _arguments(call, sent)]
        call.name = _joined(call.name, piece.name)
        return []

    def _show_ready(self) -> list[dict[str, Any]]:
        """Show the calls whose names are whole, in the order in which the calls began."""
        shown: list[dict[str, Any]] = []
        for call in self.calls:
            if not call.id and not self._is_ready(call):
                break
            if not call.id:
                shown += self._show(call)
        return shown

    def _is_ready(self, call: _Call) -> bool:
        if all(open_call is not call for open_call in self._by_index.values()):
            # Another call has its index: nothing more comes of it.
            return True
        if not call.name or self._may_go_on(call.name):
            return False
        return bool(call.arguments) or (call is not self.calls[-1] and not self._is_beginning(call.name))

    def _show(self, call: _Call) -> list[dict[str, Any]]:
        call.name = encodable(call.name) or _UNNAMED
        call.number = len(self._shown)
        self._shown.append(call)
        call.id = self._call_id(call.sent_id, self.index, call.number)
        function = {"name": call.name, "arguments": ""}
        head = {"index": call.number, "id": call.id, "type": "function", **call.extras, "function": function}
        return [head, *_arguments(call, call.arguments)]

    def _may_go_on(self, name: str) -> bool:
        """Return whether a name is only the beginning of a tool's."""
        return name not in self._tools and self._is_beginning(name)

    def _is_beginning(self, name: str) -> bool:
        return any(tool != name and tool.startswith(name) for tool in self._tools)

    def _begins(self, call: _Call, piece: _Piece) -> bool:
        """Return whether a piece begins another call, though its index is that of ``call``."""
        if piece.sent_id and call.sent_id and piece.sent_id != call.sent_id:
            # Some give each piece an id of its own; only the first has the name then.
            return bool(piece.name) or (bool(piece.arguments.strip()) and call.whole())
        if not piece.name or not call.name:
            return False
        if piece.name == call.name:
            repeated = bool(piece.sent_id) and piece.arguments == call.arguments
            return call.whole() and bool(piece.arguments) and not repeated
        joined = _joined(call.name, piece.name)
        if call.id or (call.arguments and not self._may_go_on(call.name)):
            return True
        return not (joined in self._tools or self._may_go_on(joined))


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
        self._head: Chunk = {"id": "", "object": "chat.completion.chunk", "created": 0, "model": model}
        self._tools = tools
        self._call_id = call_id
        self._choices: dict[int, _Choice] = {}
        self._deltas = SentDeltas()
        self._left_out: set[int] = set()
        """The indexes of the choices whose calls are none of the answer's."""
        self._usage: dict[str, Any] = {}
        self.reasoning: dict[str, Any] = {}
        """What the model thought, by the name of the field it came in."""

    def calls(self) -> dict[str, str]:
        """Return the arguments of the tool calls by their ids, as the model wrote them."""
        return {call.id: call.arguments for choice in self._choices.values() for call in choice.calls}

    def extras(self) -> dict[str, dict[str, Any]]:
        """Return what the endpoint adds to the tool calls, by their ids."""
        return {call.id: call.extras for choice in self._choices.values() for call in choice.calls}

    def read(self, chunk: Chunk) -> list[Chunk]:
        """Read a chunk. Returns the chunks to show for it."""
        self._head |= _head(chunk)
        for usage in _usages(chunk):
            _add_usage(self._usage, usage)
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
            last.append({**self._chunk([]), "usage": _figures(self._usage)})
        return last

    def _chunk(self, choices: list[dict[str, Any]], extras: dict[str, Any] | None = None) -> Chunk:
        return {**self._head, **(extras or {}), "choices": choices}

    def _read_choice(self, sent: dict[str, Any]) -> list[dict[str, Any]]:
        """Read a choice in a chunk. Returns what is shown of it."""
        index = choice_index(sent)
        choice = self._choice(index)
        if reason := _sent_reason(sent):
            choice.finish_reasons[index] = reason
        given = self._deltas.read(sent)
        delta, pieces = _read_delta(given)
        if choice.speaker is None and any(delta.get(name) for name in _TEXTS):
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
            _log_left_out(index)

    def _read_words(
        self, choice: _Choice, sent: dict[str, Any], given: dict[str, Any], delta: dict[str, Any]
    ) -> list[dict[str, Any]]:
        """Read what is no tool call in a choice. Returns what is shown of it.

        Args:
            choice: the choice as far as it was read.
            sent: the choice as it came in the chunk.
            given: its delta as it came.
            delta: the same without tool calls, as :func:`_read_delta` returns it.
        """
        if choice.role:
            delta.pop("role", None)
        choice.role = choice.role or delta.get("role") or ""
        for name in _TEXTS:
            if delta.get(name):
                delta[name] = choice.text(name, delta[name])
        if words := delta.get("content"):
            choice.words = words[-1]
        elif delta.get("refusal"):
            # Frameworks know no refusals in streams.
            delta["content"] = _apart(choice.words, delta["refusal"])
            choice.words = ""
        _add_reasoning(self.reasoning, given, delta)
        extras = of_choice(sent)
        if any(value is not None and value != "" for value in delta.values()) or any(extras.values()):
            shown = {**_shown(choice.index, delta), **extras}
            return [*self._thought_before(choice, delta), shown]
        return []

    def _thought_before(self, choice: _Choice, delta: dict[str, Any]) -> list[dict[str, Any]]:
        """Take the reasoning out of a delta that has words as well: not all readers know that it came first."""
        if not (delta.get("content") and delta.get("reasoning_content")):
            return []
        return [_shown(choice.index, {"reasoning_content": delta.pop("reasoning_content")})]

    def _choice(self, index: int) -> _Choice:
        """Return the choice that takes in what comes in the choice of this index."""
        if self._choices and not self._several:
            return next(iter(self._choices.values()))
        if index not in self._choices:
            self._choices[index] = _Choice(index, self._tools, self._call_id)
        return self._choices[index]


def read_whole(
    completion: Chunk, call_id: CallId, *, model: str = "", several: bool = False
) -> tuple[dict[str, str], dict[str, Any]]:
    """Bring an answer in one piece into the API's form, in place.

    Args:
        completion: the answer.
        call_id: names the tool calls.
        model: the model that was asked, for an answer that does not name it.
        several: the choices stay apart, as the request asks for more than one; otherwise they become one as in
            :class:`AnswerReader`.

    Returns:
        The arguments of its tool calls by their ids, as the model wrote them; and what the model thought, by the
        name of the field it came in.
    """
    written: dict[str, str] = {}
    reasoning: dict[str, Any] = {}
    usages, choices = _usages(completion), sent_choices(completion)
    head = {"id": "", "object": "chat.completion", "created": 0, "model": model, **_head(completion)}
    extras = of_answer(completion)
    completion.clear()
    completion |= {**head, **extras, "choices": choices if several else _merged(choices)}
    if usages:
        completion["usage"] = _figures(usages[0])
    for place, choice in enumerate(completion["choices"]):
        index, sent, reason = _index_of(choice, place), whole_message(choice), _sent_reason(choice)
        others = of_choice(choice)
        choice.clear()
        message, pieces = _read_delta(sent)
        _add_reasoning(reasoning, sent, message)
        message |= {name: encodable(message[name]) for name in _TEXTS if message.get(name)}
        calls = []
        for number, piece in enumerate(pieces):
            arguments = encodable_json(piece.arguments)
            function = {"name": encodable(piece.name) or _UNNAMED, "arguments": arguments}
            if not arguments.strip():
                function["arguments"] = "{}"
            own = call_id(piece.sent_id, index, number)
            written[own] = function["arguments"]
            function["arguments"] = ShallowJson().feed(function["arguments"])
            calls.append({"id": own, "type": "function", **piece.extras, "function": function})
        choice |= {"index": index, **others, "message": {"role": "assistant", **message}}
        choice["message"]["content"] = _with_refusal(message.get("content"), message.get("refusal"))
        if calls:
            choice["message"]["tool_calls"] = calls
        choice["finish_reason"] = _finish_reason(reason, called=bool(calls))
    return written, reasoning


def with_parsable_calls(completion: Chunk) -> Chunk:
    """Return an answer in one piece, as :func:`read_whole` left it, whose calls frameworks can parse.

    They expect arguments that are no JSON. Some fail on those that are a number or a list, which are brought to
    them as such a text: the tool boundary knows what the model wrote, and shows that.
    """
    choices = []
    for choice in completion["choices"]:
        message = choice["message"]
        calls = [_parsable(call) for call in message.get("tool_calls", ())]
        choices.append({**choice, "message": {**message, "tool_calls": calls} if calls else message})
    return {**completion, "choices": choices}


def _parsable(call: dict[str, Any]) -> dict[str, Any]:
    function = call["function"]
    try:
        is_other = not isinstance(json.loads(function["arguments"]), dict)
    except (ValueError, RecursionError):
        return call
    return {**call, "function": {**function, "arguments": _OTHER + function["arguments"]}} if is_other else call


def _read_delta(sent: dict[str, Any]) -> tuple[dict[str, Any], list[_Piece]]:
    """Return a delta or message without its tool calls, and their pieces."""
    delta = of_message(sent)
    if sent.get("role"):
        # Whichever an endpoint names: another's message is nothing that frameworks expect of a model.
        delta["role"] = "assistant"
    content, thoughts = read_content(sent.get("content"))
    if "content" in sent:
        delta["content"] = content
    reasoning = sent.get("reasoning_content") or sent.get("reasoning")
    if reasoning or thoughts:
        delta["reasoning_content"] = (reasoning if isinstance(reasoning, str) else "") + thoughts
    elif "reasoning_content" in sent:
        delta["reasoning_content"] = ""
    if isinstance(refusal := sent.get("refusal"), str):
        delta["refusal"] = refusal
    return delta, [_read_piece(position, call) for position, call in enumerate(sent_calls(sent))]


def _with_refusal(content: str | None, refusal: str | None) -> str | None:
    """Return what a message says: its words, and what it refuses with."""
    if not refusal or refusal == content:
        return content
    return f"{content or ''}{_apart(content or '', refusal)}"


def _apart(words: str, refusal: str) -> str:
    """Return a refusal as it stands behind words, which it may follow without a space."""
    return refusal if not words or words[-1].isspace() else f"\n\n{refusal}"


def _merged(choices: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the first of some choices that has words, with the tool calls of the others where it has none."""
    read = [(choice, *_read_delta(whole_message(choice))) for choice in choices]
    speakers = (place for place, (_, said, _) in enumerate(read) if any(said.get(name) for name in _TEXTS))
    place = next(speakers, 0)
    others = [(number, pieces) for number, (_, _, pieces) in enumerate(read) if pieces and number != place]
    if others and read[place][2]:
        for number, _ in others:
            _log_left_out(_index_of(choices[number], number))
        others = []
    if not others:
        return choices[place : place + 1]
    calls = [piece.sent for piece in _once_each(others)]
    reasons = [_sent_reason(choices[number]) for number, _ in others]
    first = choices[place]
    return [
        {
            **first,
            "message": {**whole_message(first), "tool_calls": calls},
            "finish_reason": _joint_reason(_sent_reason(first), reasons, called=True),
        }
    ]


def _once_each(sent: Iterable[tuple[int, list[_Piece]]]) -> list[_Piece]:
    """Return the calls of several choices without those that another choice holds already.

    Args:
        sent: the places of the choices, each with its calls.
    """
    kept: list[tuple[int, _Piece]] = []
    for place, pieces in sent:
        for piece in pieces:
            if not any(other != place and _comes_again(known, piece) for other, known in kept):
                kept.append((place, piece))
    return [piece for _, piece in kept]


def _comes_again(call: _Piece, piece: _Piece) -> bool:
    """Return whether a call is one of another choice once more, as :meth:`_Choice.piece` has it: whatever its
    index is, and what endpoints add to it.
    """
    return (
        bool(piece.sent_id)
        and piece.sent_id == call.sent_id
        and piece.name in ("", call.name)
        and piece.arguments in ("", call.arguments)
    )


def _log_left_out(index: int) -> None:
    log.warning("calls_of_another_answer_left_out", choice=index)


def _index_of(choice: dict[str, Any], place: int) -> int:
    """Return the index of a choice of an answer in one piece; where an endpoint leaves it out, its place."""
    return choice["index"] if isinstance(choice.get("index"), int) else place


def _sent_reason(choice: dict[str, Any]) -> str | None:
    """Return the finish reason of a choice; None where it has none, or one that is no text and tells nothing."""
    reason = choice.get("finish_reason")
    return encodable(reason) if reason and isinstance(reason, str) else None


def _joint_reason(first: str | None, others: Sequence[str | None], *, called: bool) -> str:
    """Return why an answer ended, in today's words: first of all, what cut it off.

    Args:
        first: the finish reason of its words.
        others: those of the choices that its other calls came in.
        called: it holds calls.
    """
    if cut_off := next((reason for reason in (first, *others) if reason and reason not in _WHOLE), None):
        return cut_off
    return _finish_reason("tool_calls" if others else first, called=called)


def _finish_reason(sent: str | None, *, called: bool) -> str:
    """Return why an answer ended, in today's words."""
    return "tool_calls" if sent == LEGACY_CALL else sent or ("tool_calls" if called else "stop")


def _read_piece(position: int, sent: dict[str, Any]) -> _Piece:
    function = sent["function"] if isinstance(sent.get("function"), dict) else {}
    if not function and isinstance(custom := sent.get("custom"), dict):
        # Nobody offered such a tool, and not all frameworks can read its call: as a function's, the model is told.
        function = {"name": custom.get("name"), "arguments": custom.get("input")}
    extras = {name: value for name, value in sent.items() if name not in _CALL_FIELDS}
    return _Piece(
        sent,
        position,
        str(sent.get("id") or ""),
        str(function.get("name") or ""),
        written_arguments(function.get("arguments")),
        extras,
    )


def written_arguments(sent: Any) -> str:
    """Return a call's arguments as text: some endpoints send the object itself, or nothing."""
    if sent is None or isinstance(sent, str):
        return sent or ""
    return json.dumps(sent, ensure_ascii=False)


def read_content(content: Any) -> tuple[str | None, str]:
    """Return a content's text, and the reasoning in it: some endpoints send a list of parts, or a number."""
    if content is None or isinstance(content, str):
        return content, ""
    if isinstance(content, int | float):
        return json.dumps(content), ""
    text, thoughts = "", ""
    for part in content if isinstance(content, list) else [content]:
        if isinstance(part, str):
            text += part
        elif isinstance(part, dict) and isinstance(thinking := part.get("thinking"), str | list):
            thoughts += read_content(thinking)[0] or ""
        elif isinstance(part, dict) and isinstance(part.get("text"), str):
            text += part["text"]
    return text, thoughts


def _add_reasoning(known: dict[str, Any], sent: dict[str, Any], read: dict[str, Any]) -> None:
    """Keep the reasoning of a delta or message under the name that the endpoint gives it."""
    if isinstance(more := read.get("reasoning_content"), str):
        name = "reasoning" if "reasoning" in sent and "reasoning_content" not in sent else "reasoning_content"
        known[name] = known.get(name, "") + more
    if isinstance(details := read.get(DETAILS), list):
        known[DETAILS] = joined_details(known.get(DETAILS, []), details)


def call_extras(completion: Chunk) -> dict[str, dict[str, Any]]:
    """Return what an endpoint adds to the tool calls of an answer that :func:`read_whole` read, by their ids."""
    calls = [call for choice in completion["choices"] for call in choice["message"].get("tool_calls", ())]
    return {call["id"]: {n: v for n, v in call.items() if n not in _CALL_FIELDS} for call in calls}


def _usages(sent: Chunk) -> list[dict[str, Any]]:
    """Return the usage in a chunk or completion, and in the other places where endpoints have it."""
    places = [sent, sent.get("x_groq"), *sent_choices(sent)]
    found = [place.get("usage") for place in places if isinstance(place, dict)]
    return [usage for usage in found if usage and isinstance(usage, dict)]


def read_usage(sent: Any) -> dict[str, Any] | None:
    """Return a usage without the counts of tokens that cannot be counted with; None where it has none. What
    endpoints tell beside these, as a price, is left as it is."""
    if not isinstance(sent, dict):
        return None
    others = {name: value for name, value in sent.items() if not name.endswith(("_tokens", _DETAILS))}
    return {**others, **_counts(sent), **_details(sent)}


def _add_usage(known: dict[str, Any], sent: Any) -> None:
    """Take figures that may have come before: those of a stream only ever grow."""
    for name, value in sent.items() if isinstance(sent, dict) else ():
        if name.endswith(_DETAILS):
            if isinstance(value, dict):
                _add_usage(known.setdefault(name, {}), value)
        elif (count := token_count(value)) is not None:
            known[name] = max(count, token_count(known.get(name)) or 0)
        elif value is not None:
            known.setdefault(name, value)


def _figures(sent: dict[str, Any]) -> dict[str, Any]:
    """Return the usage of an answer with all the counts that the API documents; 0 where none can be read."""
    usage = _renamed(sent)
    counts = {"prompt_tokens": 0, "completion_tokens": 0, **_counts(usage)}
    total = counts["prompt_tokens"] + counts["completion_tokens"]
    return {"total_tokens": total, **counts, **_details(usage)}


def embedding_figures(sent: Any) -> dict[str, int]:
    """Return the usage of an embedding with the counts that the API documents; 0 where none can be read."""
    counts = _counts(sent) if isinstance(sent, dict) else {}
    return {"prompt_tokens": 0, "total_tokens": counts.get("prompt_tokens", 0), **counts}


def _details(usage: dict[str, Any]) -> dict[str, dict[str, int]]:
    """Return what a usage counts of its figures' parts."""
    return {name: _counts(value) for name, value in usage.items() if _are_details(name, value)}


def _are_details(name: str, value: Any) -> bool:
    return name.endswith(_DETAILS) and isinstance(value, dict)


def _renamed(usage: dict[str, Any]) -> dict[str, Any]:
    """Return a usage in the words of chat completions, where it is in those of the Responses API or of Anthropic,
    which counts what was cached beside its input."""
    old = {new: usage.get(name) for new, name in _RESPONSES_NAMES.items() if usage.get(new) is None}
    named = {**usage, **{name: value for name, value in old.items() if value is not None}}
    cached = [_counts(usage).get(name, 0) for name in _ANTHROPIC_CACHED]
    if "prompt_tokens" in old and any(cached):
        named["prompt_tokens"] = _counts(named).get("prompt_tokens", 0) + sum(cached)
        named.setdefault("prompt_tokens_details", {"cached_tokens": cached[0]})
    return named


def _counts(sent: dict[str, Any]) -> dict[str, int]:
    counted = ((name, token_count(value)) for name, value in sent.items() if not name.endswith(_DETAILS))
    return {name: count for name, count in counted if count is not None}


def token_count(sent: Any) -> int | None:
    """Return a figure of a usage; None where it is no whole number that can be counted with, as one below zero."""
    if isinstance(sent, str) and sent.isascii() and sent.isdecimal():
        sent = int(sent[: len(str(_LARGEST)) + 1])
    if isinstance(sent, bool) or not isinstance(sent, int | float):
        return None
    return int(sent) if 0 <= sent <= _LARGEST and sent == int(sent) else None


def _head(sent: Chunk) -> Chunk:
    """Return what is the same in all chunks of an answer, as far as it is there, in the types of the API."""
    named = {name: sent.get(name) for name in ("id", "model")}
    texts = {name: str(value) for name, value in named.items() if value and isinstance(value, str | int)}
    created = sent.get("created")
    if isinstance(created, int | float) and 0 < created <= _LARGEST:
        return {**texts, "created": int(created)}
    return texts


def _shown(index: int, delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
    return {"index": index, "delta": delta, "finish_reason": finish_reason}


def _arguments(call: _Call, text: str) -> list[dict[str, Any]]:
    """Return the piece that shows more of a call's arguments, if there is more to show."""
    shown = call.shallow.feed(text)
    return [{"index": call.number, "function": {"arguments": shown}}] if shown else []


def _joined(name: str, more: str) -> str:
    """Return a name that comes in pieces, or again as far as it is known."""
    return more if more.startswith(name) else name + more
