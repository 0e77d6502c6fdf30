"""Takes the calls of tools that the client runs out of models' answers before a graph has them: it knows none of
those tools, and runs its own first. They are kept beside the answer, where LangChain joins those of its pieces and
its caches keep them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk, ToolCallChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk

IsClients = Callable[[Mapping[str, Any]], bool]
"""Tells from what is written of a call (its id, or its index in the answer) whether it is the client's to make."""

_LEFT = "left_to_client"
"""Names, in what LangChain keeps beside an answer, the calls that were taken out of it."""

_CALLS = frozenset({"tool_use", "input_json_delta", "function_call", "tool_call", "tool_call_chunk"})
"""The types of the content blocks that hold calls: Anthropic's, those of the Responses API and LangChain's own."""


def take_out_pieces(chunk: ChatGenerationChunk, is_clients: IsClients) -> list[ToolCallChunk]:
    """Take the client's calls out of a piece of an answer, which code may read as it comes, or add up. Returns
    what was written of them."""
    message = chunk.message
    if not isinstance(message, AIMessageChunk):
        return []
    left = [piece for piece in message.tool_call_chunks if is_clients(piece)]
    if not left:
        return []
    rest = AIMessageChunk(
        content="", tool_call_chunks=[piece for piece in message.tool_call_chunks if not is_clients(piece)]
    )
    message.tool_call_chunks = rest.tool_call_chunks
    message.tool_calls, message.invalid_tool_calls = rest.tool_calls, rest.invalid_tool_calls
    _take_out_written(message, is_clients)
    _keep(chunk, left)
    return left


def take_out_calls(generation: ChatGeneration, is_clients: IsClients) -> None:
    """Take the client's calls out of a whole answer."""
    message = generation.message
    if not isinstance(message, AIMessage):
        return
    left = [call for call in message.tool_calls if is_clients(call)]
    message.tool_calls = [call for call in message.tool_calls if not is_clients(call)]
    _take_out_written(message, is_clients)
    _keep(generation, AIMessageChunk(content="", tool_calls=left).tool_call_chunks)


def put_back_calls(generation: ChatGeneration, pieces: Sequence[ToolCallChunk] = ()) -> None:
    """Put the calls that were taken out of an answer, or of its pieces, back behind the others.

    Args:
        generation: the answer.
        pieces: what was taken out of its pieces. Not all ways of streaming join what is kept beside them.
    """
    kept = (generation.generation_info or {}).pop(_LEFT, [])
    joined = AIMessageChunk(content="") + [AIMessageChunk(content="", tool_call_chunks=[each]) for each in pieces]
    left = joined.tool_call_chunks or kept
    message = generation.message
    # LangChain copies what is beside an answer into it.
    message.response_metadata.pop(_LEFT, None)
    if left and isinstance(message, AIMessage):
        calls = AIMessageChunk(content="", tool_call_chunks=left)
        message.tool_calls = [*message.tool_calls, *calls.tool_calls]
        message.invalid_tool_calls = [*message.invalid_tool_calls, *calls.invalid_tool_calls]


def _take_out_written(message: AIMessage, is_clients: IsClients) -> None:
    """Take the client's calls out of what else a message has of its calls, as its model's endpoint wrote them."""
    if raw := message.additional_kwargs.get("tool_calls"):
        kept = [call for call in raw if not is_clients(call)]
        others = {name: value for name, value in message.additional_kwargs.items() if name != "tool_calls"}
        message.additional_kwargs = {**others, "tool_calls": kept} if kept else others
    if isinstance(message.content, list):
        message.content = [block for block in message.content if not _holds_call(block, is_clients)]


def _holds_call(block: str | dict[Any, Any], is_clients: IsClients) -> bool:
    return isinstance(block, dict) and block.get("type") in _CALLS and is_clients(block)


def _keep(generation: ChatGeneration, left: Sequence[ToolCallChunk]) -> None:
    generation.generation_info = {**(generation.generation_info or {}), _LEFT: list(left)}
