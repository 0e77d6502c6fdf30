"""Messages, documents and tool responses of the classic API as items of the Responses API."""

from typing import Any

from k8gentai.agents.contract.turn import Item
from k8gentai.providers.agents_api.errors import not_supported
from k8gentai.providers.agents_api.shapes import (
    Document,
    Image,
    ImageItem,
    TextItem,
    ToolResponse,
    ToolResponseMessage,
    Url,
    UserMessage,
)
from k8gentai.providers.errors import invalid

Part = dict[str, Any]

_IMAGE_TYPES = {"iVBOR": "image/png", "/9j/": "image/jpeg", "R0lGOD": "image/gif", "UklGR": "image/webp"}
"""The media type of an image, by how its base64 text begins."""


def input_items(messages: list[UserMessage | ToolResponseMessage], documents: list[Document]) -> list[Item]:
    """Return what a turn begins with.

    Text of documents follows the last message, as the API has it.

    Raises:
        ApiError: a document or an image cannot be used, or documents come without a user's message.
    """
    items = [_message(index, message) for index, message in enumerate(messages)]
    attached = [
        part for index, document in enumerate(documents) for part in _document(f"documents[{index}]", document)
    ]
    if attached:
        asking = next((item for item in reversed(items) if item["type"] == "message"), None)
        if asking is None:
            raise invalid("'documents' need a message of the user's that they go with.", "documents")
        asking["content"] += attached
    return items


def tool_outputs(responses: list[ToolResponse]) -> list[Item]:
    """Return what the client's tools answered."""
    return [
        _output(response.call_id, f"tool_responses[{index}]", response.content)
        for index, response in enumerate(responses)
    ]


def _message(index: int, message: UserMessage | ToolResponseMessage) -> Item:
    place = f"messages[{index}]"
    if isinstance(message, ToolResponseMessage):
        return _output(message.call_id, place, message.content)
    parts = _parts(f"{place}.content", message.content)
    if message.context is not None:
        parts += _parts(f"{place}.context", message.context)
    return {"type": "message", "role": "user", "content": parts}


def _output(call_id: str, place: str, content: Any) -> Item:
    parts = _parts(f"{place}.content", content)
    if any(part["type"] != "input_text" for part in parts):
        raise not_supported(f"{place}.content", "a tool's response is text.")
    text = "\n".join(part["text"] for part in parts)
    return {"type": "function_call_output", "call_id": call_id, "output": text}


def _document(place: str, document: Document) -> list[Part]:
    if isinstance(document.content, Url):
        if not document.content.uri.startswith("data:"):
            raise not_supported(f"{place}.content", "the server fetches no addresses; send the document's text.")
        if not document.mime_type.startswith("image/"):
            raise not_supported(f"{place}.content", "only images come as data; send the document's text.")
        return [_image(f"{place}.content", Image(url=document.content))]
    if isinstance(document.content, str) and not document.mime_type.startswith("text/"):
        known = document.mime_type in ("application/json", "application/xml", "application/yaml")
        if not known:
            raise not_supported(f"{place}.mime_type", f"'{document.mime_type}' is no text.")
    return _parts(f"{place}.content", document.content)


def _parts(place: str, content: Any) -> list[Part]:
    if isinstance(content, str):
        return [{"type": "input_text", "text": content}]
    if isinstance(content, TextItem):
        return [{"type": "input_text", "text": content.text}]
    if isinstance(content, ImageItem):
        return [_image(f"{place}.image", content.image)]
    return [part for index, item in enumerate(content) for part in _parts(f"{place}[{index}]", item)]


def _image(place: str, image: Image) -> Part:
    if image.url is not None:
        return {"type": "input_image", "image_url": image.url.uri, "detail": "auto"}
    data = image.data or ""
    kind = next((kind for start, kind in _IMAGE_TYPES.items() if data.startswith(start)), None)
    if kind is None:
        raise invalid(f"'{place}' needs a url, or data that is a PNG, JPEG, GIF or WebP in base64.", place)
    return {"type": "input_image", "image_url": f"data:{kind};base64,{data}", "detail": "auto"}
