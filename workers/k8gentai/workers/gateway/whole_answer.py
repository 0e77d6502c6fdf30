"""Reads an answer in one piece as endpoints really send it, and brings it into the form of the OpenAI API."""

import json
from collections.abc import Iterable
from typing import Any

from k8gentai.agents.text.surrogates import encodable_json
from k8gentai.agents.text.utf8 import encodable
from k8gentai.workers.gateway.answer_parts import Chunk, answer_head, sent_choices, whole_message
from k8gentai.workers.gateway.call_ids import CallId
from k8gentai.workers.gateway.finish_reasons import finish_reason, joint_reason, sent_reason
from k8gentai.workers.gateway.message_reader import (
    CALL_FIELDS,
    TEXTS,
    Piece,
    add_reasoning,
    read_delta,
    with_refusal,
)
from k8gentai.workers.gateway.optional_fields import of_answer, of_choice
from k8gentai.workers.gateway.shallow_json import ShallowJson
from k8gentai.workers.gateway.streamed_choice import UNNAMED, log_left_out
from k8gentai.workers.gateway.usage_figures import figures, sent_usages

_OTHER = "not a JSON object: "
"""The words put before arguments that are JSON and no object."""


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
    usages, choices = sent_usages(completion), sent_choices(completion)
    head = {"id": "", "object": "chat.completion", "created": 0, "model": model, **answer_head(completion)}
    extras = of_answer(completion)
    completion.clear()
    completion |= {**head, **extras, "choices": choices if several else _merged(choices)}
    if usages:
        completion["usage"] = figures(usages[0])
    for place, choice in enumerate(completion["choices"]):
        index, sent, reason = _index_of(choice, place), whole_message(choice), sent_reason(choice)
        others = of_choice(choice)
        choice.clear()
        message, pieces = read_delta(sent)
        add_reasoning(reasoning, sent, message)
        message |= {name: encodable(message[name]) for name in TEXTS if message.get(name)}
        calls = []
        for number, piece in enumerate(pieces):
            arguments = encodable_json(piece.arguments)
            function = {"name": encodable(piece.name) or UNNAMED, "arguments": arguments}
            if not arguments.strip():
                function["arguments"] = "{}"
            own = call_id(piece.sent_id, index, number)
            written[own] = function["arguments"]
            function["arguments"] = ShallowJson().feed(function["arguments"])
            calls.append({"id": own, "type": "function", **piece.extras, "function": function})
        choice |= {"index": index, **others, "message": {"role": "assistant", **message}}
        choice["message"]["content"] = with_refusal(message.get("content"), message.get("refusal"))
        if calls:
            choice["message"]["tool_calls"] = calls
        choice["finish_reason"] = finish_reason(reason, called=bool(calls))
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


def _merged(choices: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the first of some choices that has words, with the tool calls of the others where it has none."""
    read = [(choice, *read_delta(whole_message(choice))) for choice in choices]
    speakers = (place for place, (_, said, _) in enumerate(read) if any(said.get(name) for name in TEXTS))
    place = next(speakers, 0)
    others = [(number, pieces) for number, (_, _, pieces) in enumerate(read) if pieces and number != place]
    if others and read[place][2]:
        for number, _ in others:
            log_left_out(_index_of(choices[number], number))
        others = []
    if not others:
        return choices[place : place + 1]
    calls = [piece.sent for piece in _once_each(others)]
    reasons = [sent_reason(choices[number]) for number, _ in others]
    first = choices[place]
    return [
        {
            **first,
            "message": {**whole_message(first), "tool_calls": calls},
            "finish_reason": joint_reason(sent_reason(first), reasons, called=True),
        }
    ]


def _once_each(sent: Iterable[tuple[int, list[Piece]]]) -> list[Piece]:
    """Return the calls of several choices without those that another choice holds already.

    Args:
        sent: the places of the choices, each with its calls.
    """
    kept: list[tuple[int, Piece]] = []
    for place, pieces in sent:
        for piece in pieces:
            if not any(other != place and _comes_again(known, piece) for other, known in kept):
                kept.append((place, piece))
    return [piece for _, piece in kept]


def _comes_again(call: Piece, piece: Piece) -> bool:
    """Return whether a call is one of another choice once more, whatever its index is, and what endpoints add to
    it; see :meth:`StreamedChoice.piece`.
    """
    return (
        bool(piece.sent_id)
        and piece.sent_id == call.sent_id
        and piece.name in ("", call.name)
        and piece.arguments in ("", call.arguments)
    )


def _index_of(choice: dict[str, Any], place: int) -> int:
    """Return the index of a choice of an answer in one piece; where an endpoint leaves it out, its place."""
    return choice["index"] if isinstance(choice.get("index"), int) else place


def call_extras(completion: Chunk) -> dict[str, dict[str, Any]]:
    """Return what an endpoint adds to the tool calls of an answer that :func:`read_whole` read, by their ids."""
    calls = [call for choice in completion["choices"] for call in choice["message"].get("tool_calls", ())]
    return {call["id"]: {n: v for n, v in call.items() if n not in CALL_FIELDS} for call in calls}
