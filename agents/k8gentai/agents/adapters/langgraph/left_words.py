"""Tells which of a graph's words are no part of what it has come to so far: those that were said in a node that
has ended and did not pass them on. A turn may end before its graph does, as a person is asked.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any
from uuid import UUID

from langchain_core.messages import AIMessage, BaseMessage
from langgraph.types import Command

from k8gentai.agents.adapters.langgraph.answers import Published, messages_of
from k8gentai.agents.adapters.langgraph.content import text_and_reasoning
from k8gentai.agents.adapters.langgraph.tasks import TaskCallbacks

_WITHIN = "|"
"""Stands between the names of a task and of one inside of it."""

_DEPTH = 5
"""The depth to which the values that a node returns are searched for messages."""


class LeftWords(TaskCallbacks):
    """Follows the tasks of one run of a graph.

    Args:
        published: the messages published so far.
        leave_out: takes a message's id, and whether it is no part of what the graph has come to.
    """

    def __init__(self, published: list[Published], leave_out: Callable[[str, bool], None]) -> None:
        self._published = published
        self._leave_out = leave_out
        self._running: dict[UUID, str] = {}
        """The tasks under way, by the ids of LangChain's runs."""
        self._ended: set[str] = set()

    def task_begins(self, task: str, run_id: UUID, inputs: Any, metadata: dict[str, Any]) -> None:
        if task not in self._running.values():
            self._running[run_id] = task

    def on_chain_end(self, outputs: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """Note that a task has ended: what was said in it counts as far as it returns that."""
        task = self._running.pop(run_id, None)
        if task is not None:
            self._ended.add(task)
            self._hold(task, list(_messages_in(outputs)))

    def on_chain_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """Note that a task broke off: it may begin again, or have handed over what it said."""
        self._running.pop(run_id, None)

    def take(self, state: Any) -> None:
        """Take the state of the whole graph, after its tasks."""
        messages = messages_of(state)
        for task in self._ended:
            if _WITHIN not in task:
                self._hold(task, messages)

    def _hold(self, task: str, messages: Sequence[BaseMessage]) -> None:
        texts = {text_and_reasoning(message)[0].strip() for message in messages}
        ids = {message.id for message in messages}
        for said in list(self._published):
            if said.task == task or said.task.startswith(f"{task}{_WITHIN}"):
                counts = said.text.strip() in texts if said.text.strip() else bool(ids & said.ids)
                self._leave_out(said.message_id, not counts)


def _messages_in(value: Any, depth: int = _DEPTH) -> Iterable[BaseMessage]:
    """Find the messages in what a node returned; a text of the functional API is one."""
    if isinstance(value, str):
        yield AIMessage(value)
        return
    yield from messages_of(value)
    if isinstance(value, Command):
        value = value.update
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, list | tuple | set):
        value = vars(value).values() if hasattr(value, "__dict__") and not isinstance(value, BaseMessage) else ()
    if depth:
        for part in value:
            if not isinstance(part, str):
                yield from _messages_in(part, depth - 1)
