"""One choice of a streamed answer: its words and tool calls as far as they came."""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import structlog

from k8gentai.agents.text.json_text import arguments_object
from k8gentai.agents.text.surrogates import Characters, EscapedCharacters
from k8gentai.agents.text.utf8 import encodable
from k8gentai.workers.gateway.call_ids import CallId
from k8gentai.workers.gateway.call_indexes import CallIndexes
from k8gentai.workers.gateway.finish_reasons import joint_reason
from k8gentai.workers.gateway.message_reader import TEXTS, Piece
from k8gentai.workers.gateway.shallow_json import ShallowJson

log = structlog.get_logger(__name__)

UNNAMED = "unnamed"
"""The name of a tool call whose model named no tool: there is no such tool, which the model is then told."""


def log_left_out(index: int) -> None:
    """Log that the calls of a choice are none of the answer's, by the choice's index."""
    log.warning("calls_of_another_answer_left_out", choice=index)


@dataclass
class _Call:
    """A tool call as far as it was read."""

    sent_id: str
    extras: dict[str, Any] = field(default_factory=dict)
    """The fields that an endpoint adds to the API's own, such as the signature of a thought."""
    name: str = ""
    arguments: str = ""
    number: int = -1
    """The call's number among those that were shown; -1 until it is."""
    id: str = ""
    """Empty until the call is shown."""
    characters: EscapedCharacters = field(default_factory=EscapedCharacters)
    shallow: ShallowJson = field(default_factory=ShallowJson)
    _judged: tuple[int, bool] = (0, False)
    """The length of the arguments when they were last read, and whether they were complete."""

    def whole(self) -> bool:
        """Return whether the arguments are complete."""
        length, is_whole = self._judged
        if len(self.arguments) != length:
            is_whole = self.arguments.rstrip().endswith("}") and arguments_object(self.arguments) is not None
            self._judged = len(self.arguments), is_whole
        return is_whole

    def comes_again(self, piece: Piece) -> bool:
        """Return whether a piece is the whole call once more, or its whole arguments."""
        names_it = bool(piece.name and self.name)
        return (names_it or piece.arguments == self.arguments) and self.whole()


class StreamedChoice:
    """One choice of the answer, which is nearly always the only one."""

    def __init__(self, index: int, tools: Collection[str], call_id: CallId) -> None:
        self.index = index
        self.finish_reasons: dict[int, str] = {}
        """The reasons why the choice, and those whose calls are taken into it, ended, by their indexes."""
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
        """The indexes of the calls, by the index of the choice that they came in."""
        self._by_index: dict[tuple[int, int], _Call] = {}
        """The calls, by the index of the choice that they came in, and their own."""
        self._tools = tools
        self._call_id = call_id
        self._characters = {name: Characters() for name in TEXTS}

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

    def piece(self, piece: Piece, choice: int) -> list[dict[str, Any]]:
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
        return joint_reason(
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

    def _in_another_choice(self, piece: Piece, choice: int) -> _Call | None:
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

    def _take(self, call: _Call, piece: Piece) -> list[dict[str, Any]]:
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
        call.name = encodable(call.name) or UNNAMED
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

    def _begins(self, call: _Call, piece: Piece) -> bool:
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


def _arguments(call: _Call, text: str) -> list[dict[str, Any]]:
    """Return the piece that shows more of a call's arguments, if there is more to show."""
    shown = call.shallow.feed(text)
    return [{"index": call.number, "function": {"arguments": shown}}] if shown else []


def _joined(name: str, more: str) -> str:
    """Return a name that comes in pieces, or again as far as it is known."""
    return more if more.startswith(name) else name + more
