"""Has a crew hear of all that a task of it raises that runs beside others: CrewAI tells it of ordinary exceptions,
and it would wait for ever."""

from concurrent.futures import Future
from functools import wraps
from typing import Any

from crewai import Task

from k8gentai.agents.code.exceptions import contained_in_thread


def hook_async_tasks() -> None:
    """Hook what runs a task (``async_execution``) in a thread of its own."""
    task: Any = Task
    execute = task._execute_task_async
    if hasattr(execute, "__wrapped__"):
        return

    @wraps(execute)
    def executed(self: Task, agent: Any, context: Any, tools: Any, future: Future[Any]) -> None:
        try:
            execute(self, agent, context, tools, future)
        except BaseException as error:  # noqa: BLE001 - it belongs to the crew, which waits
            future.set_exception(contained_in_thread(error))

    task._execute_task_async = executed
