"""Finds which of a model's tool calls code answers that runs a tool by itself."""

from collections.abc import Mapping
from typing import Any


def matching_call(arguments: Mapping[str, Any], asked: Mapping[str, Mapping[str, Any]]) -> str | None:
    """Return the id of the call that code means which runs its tool, perhaps with other arguments: the one of the
    same, or else the only one, or the only one whose arguments are among those. None where it may be several, or
    there is none.

    Args:
        arguments: the arguments that the tool is run with.
        asked: the arguments of the tool's calls that are to be answered, by their ids.
    """
    if same := [call_id for call_id, written in asked.items() if written == arguments]:
        return same[0]
    left = list(asked)
    if len(left) > 1:
        left = [call_id for call_id, written in asked.items() if written and written.items() <= arguments.items()]
    return left[0] if len(left) == 1 else None
