"""From a definition and a turn to the request Llama Stack's Responses loop runs."""

import json
from typing import Any

from llama_stack_api import CreateResponseRequest, OpenAIResponseInput
from pydantic import TypeAdapter, ValidationError

from k8gentai.agents.adapters.base.parameters import permitted_tools
from k8gentai.agents.contract.turn import Item, RequestError, Turn
from k8gentai.agents.resources.agent import AgentDefinition

_ITEM: TypeAdapter[Any] = TypeAdapter(OpenAIResponseInput)

# Settled by whoever accepted the turn: its history is whole, nothing is stored here, the stream is ours.
_SETTLED = frozenset(
    {"input", "model", "instructions", "tools", "store", "stream", "stream_options", "background"}
    | {"conversation", "previous_response_id"}
)

# What the loop writes into each model call itself. Other parameters it does not know go to the model.
_WRITTEN_BY_LOOP = frozenset(
    {"messages", "response_format", "logprobs", "reasoning_effort", "max_completion_tokens"}
)


def definition_parameters(definition: AgentDefinition) -> dict[str, Any]:
    """Return what the definition says of the model, under the names of Responses API parameters."""
    model = definition.spec.model
    parameters = {
        "temperature": model.temperature,
        "top_p": model.top_p,
        "max_output_tokens": model.max_tokens,
        "frequency_penalty": model.frequency_penalty,
        "presence_penalty": model.presence_penalty,
    }
    return {name: value for name, value in parameters.items() if value is not None}


def build_request(definition: AgentDefinition, turn: Turn, model: str) -> CreateResponseRequest:
    """Return the request for one turn: the definition's parameters, overridden by the turn's own.

    Raises:
        RequestError: an item, tool or parameter cannot be used; the message names it.
    """
    asked = {k: v for k, v in turn.parameters.items() if v is not None and k not in _SETTLED}
    _refuse_unsupported(asked)
    fields = {
        **definition_parameters(definition),
        **asked,
        "model": model,
        "input": [_read_item(number, item) for number, item in enumerate([*turn.history, *_input(turn)])],
        "instructions": _instructions(definition, turn),
        "tools": _tools(turn) or None,
        "store": False,
        "stream": True,
        # ``auto`` allows to leave out what is too much, and the loop refuses it.
        "truncation": None,
    }
    try:
        return CreateResponseRequest.model_validate(fields)
    except ValidationError as error:
        raise RequestError(f"Llama Stack cannot run this request: {_first_fault(error)}") from error


def _tools(turn: Turn) -> list[dict[str, Any]]:
    """Return the request's tools. The loop sees to it by itself that the model calls no server's tool which it may
    not; of functions it would let the client run any.
    """
    permitted = permitted_tools(turn)
    return [tool for tool in turn.tools if tool.get("type") != "function" or tool in permitted]


def _instructions(definition: AgentDefinition, turn: Turn) -> str | None:
    """Return the agent's own prompt, then what this request adds to it."""
    parts = [part for part in (definition.spec.system_prompt, turn.instructions) if part]
    return "\n\n".join(parts) or None


def _input(turn: Turn) -> list[Item]:
    """Return the turn's own input. Clients send a call's output with the message that led to the call, which the
    history has: the model would read it as asked a second time.
    """
    asked = next((item for item in reversed(turn.history) if item.get("role") == "user"), None)
    if asked is None or all(item.get("type") != "function_call_output" for item in turn.input):
        return turn.input
    return [item for item in turn.input if (item.get("role"), item.get("content")) != ("user", asked["content"])]


def _read_item(number: int, item: Item) -> Any:
    if item.get("type") == "file_search_call" and item.get("results"):
        item = _told(item)
    if item.get("type") == "mcp_call" and item.get("output") is None and item.get("error"):
        # The loop shows the model a call's output alone; a call that failed must not look empty to it.
        item = {**item, "output": str(item["error"])}
    if item.get("type") == "compaction":
        # Llama Stack knows no such item; OGX shows it to the model in this way.
        item = {"type": "message", "role": "assistant", "content": item["encrypted_content"]}
    try:
        return _ITEM.validate_python(item)
    except ValidationError as error:
        kind = item.get("type", "message")
        raise RequestError(f"item {number} of the history and input, a {kind!r}, cannot be read") from error


def _told(search: Item) -> Item:
    """Return a file search of an earlier turn as a call with a result: the loop tells models of no other."""
    found = [f"{hit['filename']} ({hit['file_id']}): {hit['text']}" for hit in search["results"]]
    query = next(iter(search.get("queries") or ()), "")
    return {
        "type": "mcp_call",
        "id": search["id"],
        "name": "file_search",
        "server_label": "file_search",
        "arguments": json.dumps({"query": query}),
        "output": "\n".join(found),
    }


def _refuse_unsupported(parameters: dict[str, Any]) -> None:
    if clash := sorted(_WRITTEN_BY_LOOP & parameters.keys()):
        raise RequestError(f"{clash[0]!r} is no parameter of the Responses API")


def _first_fault(error: ValidationError) -> str:
    fault = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in fault["loc"])
    return f"{place}: {fault['msg']}"
