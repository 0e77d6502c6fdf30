"""Ends a turn when an agent of a network fails: AG2 writes that to a log, and the network waits for ever."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any

from ag2.network import Envelope, Hub, HubClient
from ag2.network.client import AgentClient

from k8gentai.agents.adapters.ag2.run import current_run

_HOOK = "on_turn_failed"


def follow_networks() -> None:
    """Hook the places where what an agent of a network raises comes up, and the tasks that nobody awaits."""
    report = HubClient.report_turn_failure
    receive = AgentClient.receive

    @wraps(report)
    async def reported(self: HubClient, *, exc: BaseException, **where: Any) -> None:
        await report(self, exc=exc, **where)
        if not (self._hub is not None and _reacts(self._hub)):
            _end(exc)

    @wraps(receive)
    async def received(self: AgentClient, envelope: Envelope) -> None:
        try:
            await receive(self, envelope)
        except Exception as error:
            _end(error)
            raise

    HubClient.report_turn_failure = reported
    AgentClient.receive = received
    HubClient._dispatch_notify_safe = _ending(HubClient._dispatch_notify_safe)
    Hub._handle_endpoint = _ending(Hub._handle_endpoint)


def _ending(serve: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    """Around what deals with every ``Exception`` itself: anything else would end its task unseen."""

    @wraps(serve)
    async def served(*given: Any) -> None:
        try:
            await serve(*given)
        except BaseException as error:
            if not _being_closed():
                _end(error)
            raise

    return served


def _end(error: BaseException) -> None:
    if (run := current_run.get()) is not None:
        run.failed(error)


def _being_closed() -> bool:
    """Return whether the network stops the task at hand, rather than code in it."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _reacts(hub: Hub) -> bool:
    """Return whether the network's own code is to hear of failures: what comes of them is its affair then."""
    hooks = (getattr(listener, _HOOK, None) for listener in (hub, *hub._listeners))
    return any(hook is not None and not hook.__module__.startswith("ag2.") for hook in hooks)
