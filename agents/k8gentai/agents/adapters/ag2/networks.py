"""Ends a turn when an agent of a network fails: AG2 writes that to a log, and the network waits for ever."""

from functools import wraps
from typing import Any

from ag2.network import Envelope, Hub, HubClient
from ag2.network.client import AgentClient

from k8gentai.agents.adapters.ag2.run import current_run

_HOOK = "on_turn_failed"


def follow_networks() -> None:
    """Hook the two places where what an agent of a network raises comes up."""
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


def _end(error: BaseException) -> None:
    run = current_run.get()
    if run is not None and isinstance(error, Exception):
        run.halt(error)


def _reacts(hub: Hub) -> bool:
    """Return whether the network's own code is to hear of failures: what comes of them is its affair then."""
    hooks = (getattr(listener, _HOOK, None) for listener in (hub, *hub._listeners))
    return any(hook is not None and not hook.__module__.startswith("ag2.") for hook in hooks)
