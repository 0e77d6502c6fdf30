"""Reads the content of AG2's answers."""

from ag2.events import ModelResponse
from ag2.events.types import BinaryResult


def words_of(response: ModelResponse) -> str:
    """Return an answer's text. A file in it, which no text can hold, has a mark at its end."""
    return (response.content or "") + "".join(_mark(file) for file in response.files)


def _mark(file: BinaryResult) -> str:
    # Only image generation gives its files no type.
    kind = str(file.metadata.get("media_type") or file.metadata.get("mimeType") or "image")
    return "[image]" if kind.startswith("image") else "[file]"
