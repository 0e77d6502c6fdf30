"""Reads the body of ``POST /v1/responses``."""

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any, get_args
from urllib.parse import urlsplit

from pydantic import ValidationError

from k8gentai.agents.contract.turn import Item
from k8gentai.agents.resources.agent import MultitaskStrategy
from k8gentai.agents.text.header_value import header_value
from k8gentai.agents.text.http_address import is_http_address
from k8gentai.providers import host
from k8gentai.providers.errors import invalid
from k8gentai.providers.requests.answer_formats import check_format
from k8gentai.providers.requests.input_items import input_items, validation_error
from k8gentai.workers.queue.origin import Origin

RESPONSES = Origin(api="responses")
"""The origin of the turns that such a request brings."""

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""RFC 9110, section 5.1."""
_NOT_PARAMETERS = frozenset(
    {
        "model",
        "input",
        "instructions",
        "tools",
        "conversation",
        "previous_response_id",
        "store",
        "stream",
        "stream_options",
        "background",
        "metadata",
        "multitask_strategy",
        "prompt",
    }
)

_NOT_DONE = {"text": frozenset({"verbosity"})}
"""Fields of parameters that a host may know, and that no agent keeps."""


@dataclass(frozen=True)
class CreateRequest:
    """A request for a turn, checked."""

    model: str
    input: list[Item]
    instructions: str | None
    tools: list[dict[str, Any]]
    prompt: Any | None
    """The host's ``OpenAIResponsePrompt``."""
    parameters: dict[str, Any]
    conversation: str | None
    previous_response_id: str | None
    store: bool
    stream: bool
    obfuscate: bool
    """Whether the events of its stream are to be padded."""
    background: bool
    multitask_strategy: MultitaskStrategy | None
    echo: dict[str, Any]
    """The parameters that the response repeats, and a digest of the body, by which a reused idempotency key is
    told from a repeated request."""


def read_request(turn_id: str, body: Any) -> CreateRequest:
    """Check a request's body.

    Args:
        turn_id: the id its turn will have.
        body: the JSON as it came.

    Raises:
        ApiError: naming the field at fault.
    """
    if not isinstance(body, dict):
        raise invalid("The body must be a JSON object.")
    if "input" not in body:
        raise invalid("'input' is required.", "input", "missing_required_parameter")
    items = input_items(turn_id, body["input"])
    conversation = _conversation_id(body.get("conversation"))
    body = {**body, "tools": _tools(body.get("tools"))}
    request = _as_host_reads(body, conversation)
    tools: list[dict[str, Any]] = body["tools"] or []
    _check_tools(tools)
    given = request.model_dump(mode="json", exclude_unset=True)
    if not isinstance(given.get("user"), str | None):
        # The host's types do not have it.
        raise invalid("'user' must be a string.", "user")
    _check_known(body, given)
    check_format((given.get("text") or {}).get("format") or {})
    _check_combinations(request, conversation)
    _check_items(items, request, conversation)
    return CreateRequest(
        model=request.model,
        input=items,
        instructions=request.instructions,
        # As they came: the host's types leave out a tool's credentials, which the agent needs.
        tools=tools,
        prompt=request.prompt,
        parameters={
            name: value for name, value in given.items() if name not in _NOT_PARAMETERS and value is not None
        },
        conversation=conversation,
        previous_response_id=request.previous_response_id,
        store=request.store is not False,
        stream=bool(request.stream),
        obfuscate=(body.get("stream_options") or {}).get("include_obfuscation") is True,
        background=bool(request.background),
        multitask_strategy=_strategy(body.get("multitask_strategy")),
        echo={
            **{name: value for name, value in given.items() if name not in ("input", "tools")},
            "digest": hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest(),
        },
    )


def _as_host_reads(body: dict[str, Any], conversation: str | None) -> Any:
    """Return a body without its input as the host's type of a request, of which nothing is guessed: the text "no"
    is no false, and ``true`` no number.

    Raises:
        ApiError: naming the field at fault.
    """
    # The input is checked apart, with errors that name the item.
    read = {**body, "input": "", "conversation": conversation, "prompt": _prompt(body.get("prompt"))}
    try:
        # Of Python's values strict types take no text for a member of an enumeration.
        return host.CreateResponseRequest.model_validate_json(json.dumps(_with_whole_numbers(read)), strict=True)
    except ValidationError as error:
        raise validation_error(error) from None


def _with_whole_numbers(body: dict[str, Any]) -> dict[str, Any]:
    """Return a body whose parameters are whole numbers where they are written as ``16.0``: JSON has one type of
    numbers.
    """
    known = host.CreateResponseRequest.model_fields
    return {
        name: int(value) if name in known and isinstance(value, float) and value.is_integer() else value
        for name, value in body.items()
    }


def _check_items(items: list[Item], request: Any, conversation: str | None) -> None:
    """See that there is something to answer, and that it may stand where it is to."""
    has_history = conversation is not None or request.previous_response_id is not None
    if not items and not has_history and request.prompt is None:
        message = "'input' is empty, and neither 'previous_response_id' nor 'conversation' brings anything."
        raise invalid(message, "input")
    if conversation and any(item["type"] == "compaction" for item in items):
        raise invalid("A compaction stands for a whole history, and cannot join a conversation.", "conversation")


def _check_known(body: dict[str, Any], given: dict[str, Any]) -> None:
    """See that the parameters that are objects ask for nothing that the host's types leave out, or nobody does."""
    for name in ("text", "reasoning"):
        asked = {part: value for part, value in (body.get(name) or {}).items() if value is not None}
        known = (given.get(name) or {}).keys() - _NOT_DONE.get(name, frozenset())
        if unknown := sorted(asked.keys() - known):
            place = f"{name}.{unknown[0]}"
            raise invalid(f"'{place}' is not known here: leave it out.", place, "unsupported_parameter")


def _conversation_id(value: Any) -> str | None:
    if isinstance(value, dict):
        value = value.get("id")
        if not isinstance(value, str):
            raise invalid("'conversation.id' must be a string.", "conversation.id")
    if value is not None and not isinstance(value, str):
        raise invalid("'conversation' must be an id or an object with an id.", "conversation")
    if value == "":
        raise invalid("'conversation' is empty: leave it out, or name one.", "conversation")
    return value


def _prompt(value: Any) -> Any:
    """Return a prompt whose variables are content parts: OpenAI's API takes plain texts as well, the host does
    not.
    """
    if not isinstance(value, dict) or not isinstance(value.get("variables"), dict):
        return value
    variables = {
        name: {"type": "input_text", "text": given} if isinstance(given, str) else given
        for name, given in value["variables"].items()
    }
    return {**value, "variables": variables}


def _strategy(value: Any) -> MultitaskStrategy | None:
    strategies: tuple[MultitaskStrategy, ...] = get_args(MultitaskStrategy)
    if value is None:
        return None
    for strategy in strategies:
        if value == strategy:
            return strategy
    raise invalid(f"'multitask_strategy' must be one of {', '.join(strategies)}.", "multitask_strategy")


def _tools(given: Any) -> Any:
    """Return the tools, and of a function that takes nothing ``parameters`` that say so: the host wants
    the field.
    """
    if not isinstance(given, list):
        return given
    return [
        {"parameters": None, **tool} if isinstance(tool, dict) and tool.get("type") == "function" else tool
        for tool in given
    ]


def _check_tools(tools: list[dict[str, Any]]) -> None:
    for index, tool in enumerate(tools):
        headers = tool.get("headers")
        if isinstance(headers, dict) and any(name.lower() == "authorization" for name in headers):
            place = f"tools[{index}].headers"
            raise invalid(f"'{place}': credentials go into the 'authorization' parameter of the tool.", place)
        if tool.get("type") == "mcp":
            _check_server(tool, f"tools[{index}]")
            _check_headers(tool, f"tools[{index}]")
        if tool.get("type") == "function" and not tool.get("name"):
            raise invalid(f"'tools[{index}].name' is empty.", f"tools[{index}].name")
        if tool.get("external_web_access") is False:
            # The host's search would ask the web all the same.
            raise invalid(
                "There is no offline web search here: no tool is searched with 'external_web_access' false.",
                f"tools[{index}].external_web_access",
                "unsupported_parameter",
            )


def _check_combinations(request: Any, conversation: str | None) -> None:
    if conversation and request.previous_response_id:
        raise invalid(
            "'conversation' and 'previous_response_id' cannot be used together: each brings a history.",
            "previous_response_id",
            "mutually_exclusive_parameters",
        )
    if request.previous_response_id == "":
        raise invalid("'previous_response_id' is empty: leave it out, or name one.", "previous_response_id")
    if request.background and request.store is False:
        raise invalid("'background' needs 'store': a response nobody keeps cannot be fetched.", "background")


def _check_server(tool: dict[str, Any], place: str) -> None:
    """Refuse an address that is none, or has what is a credential."""
    if not (url := tool.get("server_url")):
        return
    field = f"{place}.server_url"
    if not is_http_address(url):
        raise invalid(f"'{field}' must be an http or https URL with a host.", field)
    if "@" in urlsplit(url).netloc:
        raise invalid(f"'{field}': credentials go into the 'authorization' parameter of the tool.", field)


def _check_headers(tool: dict[str, Any], place: str) -> None:
    """Refuse what cannot be sent to an MCP server as it is."""
    for name in tool.get("headers") or {}:
        if not _HEADER_NAME.fullmatch(name):
            raise invalid(f"'{place}.headers': {name!r} is no name of an HTTP header.", f"{place}.headers")
    sent = {f"{place}.headers.{name}": value for name, value in (tool.get("headers") or {}).items()}
    for field, value in {f"{place}.authorization": tool.get("authorization") or "", **sent}.items():
        if not isinstance(value, str):
            raise invalid(f"'{field}' must be a string.", field)
        try:
            is_sent_as_it_is = header_value(value) == value
        except ValueError as error:
            raise invalid(f"'{field}' cannot be sent: {error}.", field) from None
        if not is_sent_as_it_is:
            raise invalid(f"'{field}' has white space around it, which no HTTP header has.", field)
