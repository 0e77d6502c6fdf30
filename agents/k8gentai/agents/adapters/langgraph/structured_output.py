"""Finds the tools that nobody runs: with ``ToolStrategy`` a model calls one to answer in a structure."""

import inspect
from collections.abc import Callable, Iterator
from typing import Any, cast

from langchain.agents.structured_output import OutputToolBinding
from langgraph.prebuilt import ToolNode
from langgraph.pregel import Pregel


def structured_tools(graph: Pregel[Any, Any, Any, Any]) -> frozenset[str]:
    """Find the names of a graph's tools for structured answers, those of its subgraphs included, and of the graphs
    that its functions and tools name.

    The call's arguments are the answer, and the state has it as ``structured_response``: no tool boundary sees it.
    """
    return frozenset(_found(graph, set()))


def _found(part: object, seen: set[int]) -> Iterator[str]:
    if id(part) in seen:
        return
    seen.add(id(part))
    for value in _inner(part):
        if isinstance(value, dict):
            yield from (name for name, bound in value.items() if isinstance(bound, OutputToolBinding))
        elif value is not None:
            yield from _found(value, seen)


def _inner(part: object) -> list[object]:
    if isinstance(part, Pregel):
        return [bound for node in part.nodes.values() for bound in (node.bound, *(node.subgraphs or ()))]
    if isinstance(part, ToolNode):
        return list(part.tools_by_name.values())
    if inspect.isfunction(part):
        return _named(part)
    inner = [getattr(part, "bound", None), *(getattr(part, "steps", None) or ())]
    for name in ("func", "afunc", "coroutine"):
        inner += _named(getattr(part, name, None))
    return inner


def _named(function: object) -> list[object]:
    """Return the graphs, tool nodes and dictionaries that a function's code names, and the functions around it."""
    try:
        named = inspect.getclosurevars(cast("Callable[..., Any]", function))
    except (TypeError, ValueError):
        # Not a Python function, or one that names what is not defined yet.
        return []
    values = (*named.nonlocals.values(), *named.globals.values())
    inner: list[object] = [value for value in values if isinstance(value, ToolNode | Pregel | dict)]
    return inner + [value for value in named.nonlocals.values() if inspect.isfunction(value)]
