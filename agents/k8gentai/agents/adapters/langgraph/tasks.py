"""Hears of the tasks of one run of a graph by its callbacks."""

from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler


class TaskCallbacks(BaseCallbackHandler):
    """Callbacks that know which task of the graph begins."""

    run_inline = True

    def on_chain_start(
        self,
        serialized: dict[str, Any],
        inputs: Any,
        *,
        run_id: UUID,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Called by LangChain: a task of the graph begins, or something within one."""
        known = metadata or {}
        if task := known.get("langgraph_checkpoint_ns"):
            self.task_begins(task, run_id, inputs, known)

    def task_begins(self, task: str, run_id: UUID, inputs: Any, metadata: dict[str, Any]) -> None:
        """Note that a task begins, or something within one.

        Args:
            task: names it, within the tasks around it.
            run_id: the id of LangChain's run.
            inputs: the inputs that it was given.
            metadata: the metadata that LangGraph has for it.
        """
        raise NotImplementedError
