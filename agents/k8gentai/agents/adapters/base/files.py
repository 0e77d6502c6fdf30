"""Puts the files that a turn's items name by id into them, as models outside of the stack know no such ids."""

import base64
import mimetypes
from typing import Any

from k8gentai.agents.contract.stack_services import StackServices
from k8gentai.agents.contract.turn import Item, RequestError, ToolFailedError, Turn


async def with_files(turn: Turn, stack: StackServices) -> Turn:
    """Fetch the files of a turn's history and input. Each is fetched once.

    Raises:
        RequestError: the stack does not have one for the turn's owner.
    """
    fetched: dict[str, dict[str, str]] = {}
    for file_id in _named([*turn.history, *turn.input]):
        if file_id not in fetched:
            fetched[file_id] = await _fetch(file_id, stack)
    if not fetched:
        return turn
    history, given = ([_filled(item, fetched) for item in items] for items in (turn.history, turn.input))
    return turn.model_copy(update={"history": history, "input": given})


async def _fetch(file_id: str, stack: StackServices) -> dict[str, str]:
    """Return a file's name, and its content as a data URL."""
    try:
        file = await stack.file(file_id)
    except ToolFailedError as error:
        raise RequestError(f"the file {file_id!r} of the input cannot be read: {error}") from error
    kind = mimetypes.guess_type(file.filename)[0] or "application/octet-stream"
    return {"filename": file.filename, "data": f"data:{kind};base64,{base64.b64encode(file.content).decode()}"}


def _named(items: list[Item]) -> list[str]:
    return [part["file_id"] for item in items for name in ("content", "output") for part in _parts(item, name)]


def _parts(item: Item, name: str) -> list[dict[str, Any]]:
    """Return the parts of an item's content, or of a tool's output, that name a file."""
    parts = item.get(name)
    if not isinstance(parts, list):
        return []
    return [part for part in parts if part.get("type") in ("input_image", "input_file") and part.get("file_id")]


def _filled(item: Item, files: dict[str, dict[str, str]]) -> Item:
    changed = dict(item)
    for name in ("content", "output"):
        if _parts(item, name):
            changed[name] = [_part(part, files) for part in item[name]]
    return changed


def _part(part: dict[str, Any], files: dict[str, dict[str, str]]) -> dict[str, Any]:
    file = files.get(part.get("file_id") or "")
    if file is None:
        return part
    rest = {name: value for name, value in part.items() if name != "file_id"}
    if part["type"] == "input_image":
        return {**rest, "image_url": file["data"]}
    return {"filename": file["filename"], **rest, "file_data": file["data"]}
