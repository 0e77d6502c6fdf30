"""Ids of turns and their items.

A turn's id is ``resp_`` and 32 hex digits that begin with the time of the server's clock, so that lists of
responses can be paged by it. Servers' clocks differ: what must come in its order goes by Redis' order. An item's
id names its turn and its place in it (``msg_{turn hex}{index:04x}``): the same turn always gives the same ids, and
without their prefixes a turn's items sort in the order they came. The layout is UUID version 7 with a
sub-millisecond clock (RFC 9562, section 6.2, method 3).
"""

import re
import secrets
import time

MAX_INPUT_ITEMS = 0x8000
"""Input items of one turn: half of what an item id's four digits can number; output has the rest."""

_PREFIXES = {
    "message": "msg",
    "reasoning": "rs",
    "function_call": "fc",
    "function_call_output": "fco",
    "mcp_call": "mcp",
    "mcp_list_tools": "mcpl",
    "mcp_approval_request": "mcpr",
    "mcp_approval_response": "mcpa",
    "web_search_call": "ws",
    "file_search_call": "fs",
    "compaction": "cmp",
}

_TURN_ID = re.compile(r"resp_[0-9a-f]{32}")
_ITEM_ID = re.compile(r"[a-z]+_([0-9a-f]{36})")


def new_turn_id() -> str:
    """Return a fresh turn id."""
    milliseconds, rest = divmod(time.time_ns(), 1_000_000)
    fraction = rest * 4096 // 1_000_000
    value = milliseconds << 80 | 0x7 << 76 | fraction << 64 | 0b10 << 62 | secrets.randbits(62)
    return f"resp_{value:032x}"


def is_turn_id(id_: str) -> bool:
    """Return whether an id has the form of those that :func:`new_turn_id` makes."""
    return _TURN_ID.fullmatch(id_) is not None


def item_id(turn_id: str, index: int, item_type: str) -> str:
    """Return the id of the item at ``index`` (from 0, input before output) of a turn."""
    return f"{_PREFIXES.get(item_type, 'item')}_{turn_id.removeprefix('resp_')}{index:04x}"


def belongs_to(turn_id: str, id_: str | None) -> bool:
    """Return whether an item id was made by :func:`item_id` for this turn."""
    match = _ITEM_ID.fullmatch(id_ or "")
    return match is not None and match[1].startswith(turn_id.removeprefix("resp_"))


def turn_of(id_: str) -> str | None:
    """Return the turn an item id was made for; None if it is none of ours."""
    match = _ITEM_ID.fullmatch(id_)
    return f"resp_{match[1][:32]}" if match else None
