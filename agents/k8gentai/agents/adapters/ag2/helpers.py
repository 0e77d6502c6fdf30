"""Follows the agents that work in the background (``background_agent_tool``), so that nothing of theirs is lost.

AG2 hears them where it happens to call a model when they are done, and not at all where its agent is done before
them. Run again, all comes at other times. So what they came to is kept until the agent has nothing more to do, and
the agent waits for them then, as AG2's documentation says. The tool that starts one runs in each attempt; the ids
that it makes are those of its call.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping
from contextvars import ContextVar
from functools import wraps
from typing import Any
from uuid import UUID, uuid4, uuid5

from ag2.context import ConversationContext
from ag2.events import Input, ModelRequest, ToolCallEvent
from ag2.tools.subagents import background

from k8gentai.agents.adapters.ag2.run import current_call, current_run
from k8gentai.agents.code.exceptions import contained_in_thread
from k8gentai.agents.contract.idempotency import idempotency_key

_IDS = UUID("6f2f1d0c-0c0e-4a53-9d2a-1a7a4a3f5b52")
"""The namespace of the ids of what works in the background."""

Work = Callable[..., Coroutine[Any, Any, None]]
"""Has an agent work in the background."""


class Helper:
    """An agent at work in the background.

    Args:
        call_id: the call that started it; empty where none did.
        context: the context of the agent that it works for.
    """

    def __init__(self, call_id: str, context: ConversationContext) -> None:
        self.call_id = call_id
        self.context = context
        self.said: list[Any] = []
        """The results of its work, for the inbox of the agent that it works for."""
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def work(self, doing: Coroutine[Any, Any, None]) -> None:
        """Do its work, to be stopped with the turn."""
        run = current_run.get()
        assert run is not None  # noqa: S101 - it is followed in turns only
        current_helper.set(self)
        with run.at_work():
            try:
                await doing
            except BaseException as error:
                task = asyncio.current_task()
                if task is not None and task.cancelling():
                    self.ended.cancel()
                    raise
                # Its agent raises it. AG2 would write it to a log.
                self.ended.set_exception(contained_in_thread(error))
            else:
                self.ended.set_result(None)


class Helpers:
    """Those that one turn of an agent started."""

    def __init__(self) -> None:
        self._at_work: list[Helper] = []

    def add(self, helper: Helper) -> None:
        """Take one that begins."""
        self._at_work.append(helper)

    async def heard(self, calls: Iterable[str]) -> ModelRequest | None:
        """Wait for those at work. Returns what they came to, for the agent's model; None where there are none.

        Args:
            calls: the ids of the agent's calls in their order, in which their helpers are heard.

        Raises:
            Exception: what ended one that did not come to its end.
        """
        helpers, self._at_work = self._at_work, []
        if not helpers:
            return None
        await asyncio.wait([helper.ended for helper in helpers])
        places: Mapping[str, int] = {call_id: place for place, call_id in enumerate(calls)}
        helpers.sort(key=lambda helper: (places.get(helper.call_id, len(places)), helper.call_id))
        for helper in helpers:
            helper.ended.result()
        said = [Input.ensure_input(each) for helper in helpers for each in helper.said]
        return ModelRequest(said) if said else None


current_helper: ContextVar[Helper | None] = ContextVar("current_helper", default=None)
"""The helper that the code at hand works for, if for one."""

current_helpers: ContextVar[Helpers | None] = ContextVar("current_helpers", default=None)
"""The helpers of the agent whose turn the code at hand works in; None outside of one."""


def starts_helper(event: ToolCallEvent) -> bool:
    """Return whether the tool of a call has an agent work in the background."""
    return (event.source or "").startswith(f"function:{background.__name__}:")


def makes_helpers(function: object) -> bool:
    """Return whether that is the function of such a tool."""
    return getattr(function, "__module__", None) == background.__name__


def follow_helpers() -> None:
    """Have the agents followed that work in the background. Call once."""
    background._run_and_deliver = _followed(background._run_and_deliver)
    background.uuid4 = _own_id
    enqueue = ConversationContext.enqueue

    @wraps(enqueue)
    def enqueued(self: ConversationContext, *content: Any) -> None:
        helper = current_helper.get()
        if helper is not None and self.pending_messages is helper.context.pending_messages:
            helper.said.extend(content)
        else:
            enqueue(self, *content)

    ConversationContext.enqueue = enqueued


def _followed(work: Work) -> Work:
    @wraps(work)
    def followed(*given: Any, parent_context: ConversationContext, **options: Any) -> Coroutine[Any, Any, None]:
        helpers, call = current_helpers.get(), current_call.get()
        doing = work(*given, parent_context=parent_context, **options)
        if helpers is None:
            return doing
        helper = Helper(call.id if call else "", parent_context)
        helpers.add(helper)
        return helper.work(doing)

    return followed


def _own_id() -> UUID:
    """Return the id of what begins to work: the same whenever its call is made again."""
    key = idempotency_key()
    return uuid4() if key is None else uuid5(_IDS, key)
