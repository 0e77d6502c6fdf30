"""Gives a turn's messages and parameters the form that a graph takes: messages in a state, or the one parameter of
the functional API."""

from typing import Any, get_origin

from langchain_core.messages import BaseMessage
from langgraph.pregel import Pregel

from k8gentai.agents.adapters.base.messages import to_text
from k8gentai.agents.adapters.base.request_parts import check_text_only
from k8gentai.agents.contract.turn import AgentLoadError, Turn

_MESSAGES = "messages"
_START, _PREVIOUS = "__start__", "__previous__"


def check_input(graph: Pregel[Any, Any, Any, Any], entrypoint: str | None) -> None:
    """See that a graph can be talked to.

    Raises:
        AgentLoadError: it takes neither messages nor a text.
    """
    if _MESSAGES in graph.channels:
        return
    if not _is_functional(graph):
        raise AgentLoadError(f"{entrypoint}: the graph's state has no 'messages', by which it would be talked to")
    if _parameter(graph) is None:
        raise AgentLoadError(
            f"{entrypoint}: its parameter must be a list of messages, a dict with 'messages', or a str"
        )


def graph_input(graph: Pregel[Any, Any, Any, Any], turn: Turn, messages: list[BaseMessage]) -> Any:
    """Return what the graph is run with.

    Args:
        messages: the turn's history, input and instructions.

    Raises:
        RequestError: it takes a text, and the input holds more.
    """
    kind = _parameter(graph) if _is_functional(graph) else dict
    if kind is str:
        check_text_only(turn, "function of a text")
        return to_text([*turn.history, *turn.input], turn.instructions)
    return messages if kind is list else {_MESSAGES: messages}


def takes_text(graph: Pregel[Any, Any, Any, Any]) -> bool:
    """Return whether a graph is a function of a text."""
    return _is_functional(graph) and _parameter(graph) is str


def _is_functional(graph: Pregel[Any, Any, Any, Any]) -> bool:
    """Return whether it is a function under ``@entrypoint``."""
    return _PREVIOUS in graph.channels


def _parameter(graph: Pregel[Any, Any, Any, Any]) -> type | None:
    """Return what a function's parameter is by its annotation; a list where it has none."""
    annotation = getattr(graph.channels[_START], "typ", Any)
    if annotation is Any:
        return list
    kind = get_origin(annotation) or annotation
    if not isinstance(kind, type):
        return {"str": str, "dict": dict}.get(str(kind), list if str(kind).startswith("list") else None)
    return next((known for known in (str, list, dict) if issubclass(kind, known)), None)
