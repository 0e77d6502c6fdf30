"""The requests of workers to the stack for turns that run, and its answers: the one contract of both ends.

A service is ``POST`` to its name under :data:`SERVICES_PATH`. Readers pass over fields that they do not know.
"""

import base64
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

SERVICES_PATH = "/v1/amf/services"


@dataclass(frozen=True)
class Service[Asked: BaseModel, Answer: BaseModel]:
    """One thing that the stack does for a turn.

    Args:
        name: the service's path, and the journal's name for its results.
        asked: the body of a request.
        answer: the model of an answer.
    """

    name: str
    asked: type[Asked]
    answer: type[Answer]


class FileSearch(BaseModel):
    """Search a vector store."""

    vector_store_id: str
    search: dict[str, Any]
    """The body of ``POST /v1/vector_stores/{id}/search``."""


class Found(BaseModel):
    """The passages that a vector store finds."""

    data: list[dict[str, Any]]


class WebSearch(BaseModel):
    """Search the web, with the arguments that a model gave the tool."""

    arguments: dict[str, Any]


class WebFound(BaseModel):
    """The findings of a search of the web."""

    text: str


class Moderation(BaseModel):
    """Ask one guardrail about a text."""

    text: str
    guardrail: str


class Verdict(BaseModel):
    """The verdict of a guardrail on a text."""

    violation: str | None
    """The reason why it blocks the text, for the client; None where it does not."""


class File(BaseModel):
    """Read a file."""

    file_id: str


class FileContent(BaseModel):
    """A file."""

    filename: str
    content: str
    """The file's content in base64."""

    @classmethod
    def of(cls, filename: str, content: bytes) -> "FileContent":
        """Return a file with that content."""
        return cls(filename=filename, content=base64.b64encode(content).decode())

    def decoded(self) -> bytes:
        """Return the content itself."""
        return base64.b64decode(self.content)


FILE_SEARCH = Service("file-search", FileSearch, Found)
WEB_SEARCH = Service("web-search", WebSearch, WebFound)
MODERATION = Service("moderation", Moderation, Verdict)
FILE = Service("file", File, FileContent)
