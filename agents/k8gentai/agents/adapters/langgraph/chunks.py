"""Mends answers that agents' code joins of a model's chunks by itself, as :mod:`calls` does whole ones."""

from functools import wraps
from typing import Any

from langchain_core.messages import AIMessageChunk

from k8gentai.agents.adapters.langgraph.models import let_run
from k8gentai.agents.adapters.langgraph.run import current_run


def hook_chunks() -> None:
    """Wrap the joining of chunks. Doing it twice changes nothing."""
    chunk: Any = AIMessageChunk
    add = chunk.__add__
    if hasattr(add, "__wrapped__"):
        return

    @wraps(add)
    def joined(self: AIMessageChunk, other: Any) -> Any:
        whole = add(self, other)
        if (
            isinstance(whole, AIMessageChunk)
            and whole.chunk_position == "last"
            and current_run.get(None) is not None
        ):
            let_run(whole)
        return whole

    chunk.__add__ = joined
