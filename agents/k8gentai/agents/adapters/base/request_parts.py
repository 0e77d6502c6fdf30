"""The parts of a request that not every agent takes: tools that the client runs, images and files."""

from collections.abc import Iterable, Iterator
from typing import Any

from k8gentai.agents.contract.turn import Adapter, Item, LoadedAgent, RequestError, RequestPart, Turn


def refused_parts[A: LoadedAgent](adapter: Adapter[A], agent: A) -> frozenset[RequestPart]:
    """Find what a loaded agent is known to take of no request: nothing of it runs."""
    # An adapter of a third party may lack the method.
    return adapter.refuses(agent) if hasattr(adapter, "refuses") else frozenset()


def file_parts(items: Iterable[Item]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the files and images of input items, each with its place in the request."""
    for index, item in enumerate(items):
        for field in ("content", "output"):
            parts = item.get(field)
            for number, part in enumerate(parts if isinstance(parts, list) else ()):
                if part.get("type") in ("input_file", "input_image"):
                    yield f"input[{index}].{field}[{number}]", part


def check_text_only(turn: Turn, kind: str) -> None:
    """See that a turn's input holds no files nor images, for an agent that takes text alone.

    Args:
        turn: the turn.
        kind: the kind of agent, in words for a person.

    Raises:
        RequestError: naming the first of them.
    """
    for place, part in file_parts(turn.input):
        raise RequestError(f"{place}: {turn.agent!r} is a {kind} and takes no {part['type']}")
