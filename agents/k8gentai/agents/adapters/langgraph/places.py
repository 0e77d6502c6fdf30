"""Names the place in a graph where the code at hand runs, in words that are the same whenever the graph runs
again.

LangGraph names a task by ids that differ in each run. Its callbacks name the task's step and path as well, which
follow from the graph alone.
"""

from typing import Any
from uuid import UUID

from langchain_core.messages import AIMessage, ToolCall
from langgraph.config import get_config

from k8gentai.agents.adapters.langgraph.tasks import TaskCallbacks
from k8gentai.agents.contract.idempotency import idempotency_key


class Places(TaskCallbacks):
    """The places of one attempt's tasks, heard of as they begin."""

    def __init__(self) -> None:
        self._tasks: dict[str, str] = {}
        self._calls: dict[str, list[ToolCall]] = {}

    def task_begins(self, task: str, run_id: UUID, inputs: Any, metadata: dict[str, Any]) -> None:
        if task not in self._tasks:
            self._tasks[task] = f"{metadata.get('langgraph_step')} {metadata.get('langgraph_path')}"
            self._calls[task] = last_calls(inputs)

    def here(self) -> str:
        """Name the place of the code at hand: the tasks around it, outermost first, and the tool call it is for.

        Raises:
            RuntimeError: it runs in no graph.
        """
        call = idempotency_key() or ""
        parts = _namespace().split("|")
        around = ["|".join(parts[: count + 1]) for count in range(len(parts))]
        tasks = [
            part if part.isdecimal() else f"{part.partition(':')[0]} {self._tasks.get(task, '')}"
            for part, task in zip(parts, around, strict=True)
            # A number counts the graphs that one task runs, as they begin. Those of a task's tool calls begin in
            # another order each time, and the calls have ids.
            if not (call and part.isdecimal())
        ]
        return "\n".join([*tasks, call])

    def calls(self) -> list[ToolCall]:
        """Return the tool calls of the last message that the task at hand was given."""
        return self._calls.get(_namespace(), [])


def _namespace() -> str:
    return str(get_config()["configurable"].get("checkpoint_ns", ""))


def last_calls(state: Any) -> list[ToolCall]:
    """Return the tool calls of the last message of a graph's state, if it has messages."""
    messages = state.get("messages") if isinstance(state, dict) else None
    last = messages[-1] if isinstance(messages, list) and messages else None
    return last.tool_calls if isinstance(last, AIMessage) else []
