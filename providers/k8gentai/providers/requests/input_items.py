"""The input of a request: checked against the host's item types, and brought into one shape."""

from typing import Any, Literal

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from k8gentai.agents.contract.turn import Item
from k8gentai.providers import host
from k8gentai.providers.errors import ApiError, invalid
from k8gentai.providers.ids import MAX_INPUT_ITEMS, item_id


class _Compaction(BaseModel):
    """Only OGX has a type for it."""

    type: Literal["compaction"]
    id: str
    encrypted_content: str


_ITEM_TYPES: dict[str, type[BaseModel]] = {
    "message": host.types.OpenAIResponseMessage,
    "reasoning": host.types.OpenAIResponseOutputMessageReasoningItem,
    "function_call": host.types.OpenAIResponseOutputMessageFunctionToolCall,
    "function_call_output": host.types.OpenAIResponseInputFunctionToolCallOutput,
    "mcp_call": host.types.OpenAIResponseOutputMessageMCPCall,
    "mcp_list_tools": host.types.OpenAIResponseOutputMessageMCPListTools,
    "mcp_approval_request": host.types.OpenAIResponseMCPApprovalRequest,
    "mcp_approval_response": host.types.OpenAIResponseMCPApprovalResponse,
    "web_search_call": host.types.OpenAIResponseOutputMessageWebSearchToolCall,
    "file_search_call": host.types.OpenAIResponseOutputMessageFileSearchToolCall,
    "compaction": _Compaction,
}

_PARTS = "input_text", "input_image", "input_file", "output_text", "refusal"
_UNION_TAGS = frozenset({"str", "function", "mcp", "web_search", "file_search", *_PARTS, *_ITEM_TYPES})
"""The names that pydantic puts into the place of an error beside those of fields."""

_STRICT = frozenset({"mcp_approval_response"})
"""Items of which nothing is guessed: the text "false" is no denial, and "true" none either."""

_WITH_STATUS = frozenset({"message", "function_call", "function_call_output"})


def input_items(turn_id: str, value: Any) -> list[Item]:
    """Return a request's ``input`` as items that have a type, an id, and content in parts.

    Args:
        turn_id: names the items that came without an id.
        value: a string, which stands for a user's message, or a list of items.

    Raises:
        ApiError: naming the place that is wrong.
    """
    if isinstance(value, str):
        value = [{"type": "message", "role": "user", "content": value}]
    if not isinstance(value, list):
        raise invalid("'input' must be a string or a list of items.", "input")
    if len(value) > MAX_INPUT_ITEMS:
        raise invalid(f"'input' has {len(value)} items; {MAX_INPUT_ITEMS} are the most there may be.", "input")
    return [_item(turn_id, index, item) for index, item in enumerate(value)]


def _item(turn_id: str, index: int, item: Any) -> Item:
    param = f"input[{index}]"
    if not isinstance(item, dict):
        raise invalid(f"'{param}' must be an object.", param)
    item_type = item.get("type") or ("message" if "role" in item else None)
    if not isinstance(item_type, str) or item_type not in _ITEM_TYPES:
        known = ", ".join(_ITEM_TYPES)
        raise invalid(f"'{param}.type' must be one of {known}; it is {item_type!r}.", f"{param}.type")
    own_id = item_id(turn_id, index, item_type)
    named: Item = {**item, "type": item_type, "id": item.get("id") or own_id}
    for name in ("content", "output"):
        if isinstance(parts := named.get(name), list):
            named[name] = [_without_nulls(part) for part in parts]
    try:
        _ITEM_TYPES[item_type].model_validate(named, strict=item_type in _STRICT)
    except ValidationError as error:
        raise validation_error(error, param) from None
    for name in ("content", "output"):
        _check_images(named.get(name), f"{param}.{name}")
    if item_type in _WITH_STATUS:
        named["status"] = named.get("status") or "completed"
    if item_type == "message":
        named["content"] = _content(named["role"], named["content"])
    return named


def check_outputs(items: list[Item], history: list[Item]) -> None:
    """See that each output of a function has its call: no model takes one without.

    Args:
        items: a request's input.
        history: the items before it. Nothing is known of the calls that a compaction stands for.

    Raises:
        ApiError: naming the first output that has none (400).
    """
    if any(item["type"] == "compaction" for item in (*history, *items)):
        return
    calls = {item["call_id"] for item in history if item["type"] == "function_call"}
    for index, item in enumerate(items):
        if item["type"] == "function_call":
            calls.add(item["call_id"])
        elif item["type"] == "function_call_output" and item["call_id"] not in calls:
            place = f"input[{index}].call_id"
            raise invalid(f"'{place}': no call '{item['call_id']}' is before it.", place)


def _check_images(parts: Any, place: str) -> None:
    for index, part in enumerate(parts if isinstance(parts, list) else ()):
        if part.get("type") == "input_image" and not (part.get("image_url") or part.get("file_id")):
            place = f"{place}[{index}]"
            raise invalid(
                f"'{place}': an image needs 'image_url' or 'file_id'.", place, "missing_required_parameter"
            )


def _without_nulls(part: Any) -> Any:
    """Return a content part without the fields that say nothing, which the specification allows and the host does
    not.
    """
    return {name: value for name, value in part.items() if value is not None} if isinstance(part, dict) else part


def _content(role: str, content: Any) -> list[dict[str, Any]]:
    if isinstance(content, str):
        content = [{"type": "output_text" if role == "assistant" else "input_text", "text": content}]
    return [
        {"annotations": [], "logprobs": [], **part} if part["type"] == "output_text" else part for part in content
    ]


def validation_error(error: ValidationError, prefix: str = "") -> ApiError:
    """Return what pydantic found wrong, as an error that names the request's field.

    Of the ways a union could have matched, the one that came furthest is what the client meant.
    """
    found = error.errors(include_url=False, include_input=False)
    first = max(found, key=lambda each: len(each["loc"]))
    param = _place(first["loc"], prefix)
    code = "missing_required_parameter" if first["type"] == "missing" else "invalid_value"
    # Each way of the union knows its own values only.
    known = [
        each["ctx"]["expected"] for each in found if _is_other_value(each) and _place(each["loc"], prefix) == param
    ]
    words = f"Input should be {', '.join(dict.fromkeys(known))}" if _is_other_value(first) else first["msg"]
    return invalid(f"'{param}': {words.rstrip('.')}.", param or None, code)


def _is_other_value(error: ErrorDetails) -> bool:
    return error["type"] == "literal_error"


def _place(loc: tuple[int | str, ...], prefix: str) -> str:
    """Return the field of the request that pydantic means."""
    place = prefix
    for number, part in enumerate(loc):
        if isinstance(part, int):
            place += f"[{part}]"
        # What comes first is a field, which may have the name of a kind of item: ``reasoning``.
        elif not number or (part not in _UNION_TAGS and part.isidentifier()):
            place += f".{part}" if place else part
    return place
