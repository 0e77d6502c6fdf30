"""What is left of models' answers, in several endpoints' ways of writing them, without the client's calls."""

from collections.abc import Mapping
from functools import reduce
from operator import add
from typing import Any

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk

from k8gentai.agents.adapters.langgraph.client_calls import put_back_calls, take_out_calls, take_out_pieces

CLIENTS = {"type": "tool_call", "name": "weather", "args": {"town": "Rome"}, "id": "c1"}
OWN = {"type": "tool_call", "name": "add", "args": {"a": 1}, "id": "c2"}


def is_clients(written: Mapping[str, Any]) -> bool:
    """Tell by the id, or by the index in answers whose second part is the client's call."""
    return (written.get("call_id") or written.get("id") or {1: "c1"}.get(written["index"])) == "c1"


def piece(index: int, args: str, call_id: str | None = None, name: str | None = None) -> dict[str, Any]:
    return {"type": "tool_call_chunk", "index": index, "args": args, "id": call_id, "name": name}


def plain(call: dict[str, Any]) -> Any:
    return ""


def anthropic(call: dict[str, Any]) -> Any:
    if call["id"]:
        return [{"type": "tool_use", "id": call["id"], "name": call["name"], "input": {}, "index": call["index"]}]
    return [{"type": "input_json_delta", "partial_json": call["args"], "index": call["index"]}]


def responses(call: dict[str, Any]) -> Any:
    begun = {"id": f"fc_{call['id']}", "call_id": call["id"], "name": call["name"]} if call["id"] else {}
    return [{"type": "function_call", "arguments": call["args"], "index": call["index"], **begun}]


def standard(call: dict[str, Any]) -> Any:
    return [call]


PIECES = [
    piece(1, "", "c1", "weather"),
    piece(1, '{"town":'),
    piece(1, '"Rome"}'),
    piece(2, "", "c2", "add"),
    piece(2, '{"a": 1}'),
]


def streamed(content: Any) -> list[ChatGenerationChunk]:
    """Return an answer of words, the client's call and one of the agent's own, in pieces."""
    words = "Both." if content is plain else [{"type": "text", "text": "Both.", "index": 0}]
    messages = [AIMessageChunk(content=words)]
    messages += (AIMessageChunk(content=content(call), tool_call_chunks=[call]) for call in PIECES)
    return [ChatGenerationChunk(message=message) for message in messages]


def of_model(message: BaseMessage) -> AIMessage:
    """Return a message as what it is here: a model's."""
    assert isinstance(message, AIMessage)
    return message


@pytest.mark.parametrize("content", [plain, anthropic, responses, standard])
def test_pieces_of_an_answer_add_up_to_one_without_the_clients_calls(content):
    chunks = streamed(content)
    for chunk in chunks:
        take_out_pieces(chunk, is_clients)
        take_out_pieces(chunk, is_clients)
    whole = of_model(reduce(add, (chunk.message for chunk in chunks)))
    assert (whole.tool_calls, whole.invalid_tool_calls, whole.text) == ([OWN], [], "Both.")
    assert "weather" not in str(whole)
    assert "Rome" not in str(whole)
    generation = chunks[0] + chunks[1:]
    put_back_calls(generation)
    assert of_model(generation.message).tool_calls == [OWN, CLIENTS]
    assert not generation.generation_info


def test_calls_that_stand_beside_the_content_are_not_read_as_the_messages_own():
    """LangChain reads them where a message has no others."""
    raw = [{"index": 1, "id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}]
    kept = {"reasoning_content": "Hm."}
    message = AIMessageChunk(content="", additional_kwargs={"tool_calls": raw, **kept})
    chunk = ChatGenerationChunk(message=message)
    take_out_pieces(chunk, is_clients)
    whole = of_model(chunk.message + AIMessageChunk(content="", chunk_position="last"))
    assert (whole.tool_calls, whole.additional_kwargs) == ([], kept)


def test_a_call_that_cannot_be_read_comes_back_as_such():
    calls = [piece(1, "[1]", "c1", "weather"), piece(2, "{}", "c2", "add")]
    chunk = ChatGenerationChunk(message=AIMessageChunk(content="", tool_call_chunks=calls))
    take_out_pieces(chunk, is_clients)
    assert [call["id"] for call in of_model(chunk.message).tool_calls] == ["c2"]
    assert not of_model(chunk.message).invalid_tool_calls
    put_back_calls(chunk)
    assert [(call["id"], call["args"]) for call in of_model(chunk.message).invalid_tool_calls] == [("c1", "[1]")]


def test_a_whole_answer_loses_the_clients_calls_and_gets_them_back_once():
    content: list[str | dict[Any, Any]] = [
        {"type": "text", "text": "Both."},
        {"type": "tool_use", "id": "c1", "name": "weather", "input": {}},
    ]
    given = AIMessage(content=content, tool_calls=[CLIENTS, OWN])
    generation = ChatGeneration(message=given)
    take_out_calls(generation, is_clients)
    assert of_model(generation.message).tool_calls == [OWN]
    assert generation.message.content == content[:1]
    put_back_calls(generation)
    put_back_calls(generation)
    assert of_model(generation.message).tool_calls == [OWN, CLIENTS]
