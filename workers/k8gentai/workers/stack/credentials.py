"""The credentials of a worker's requests to the stack, and the attempt that a request is made for."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from redis.asyncio import Redis

from k8gentai.workers.queue.attempts import Started
from k8gentai.workers.queue.connection import until_back
from k8gentai.workers.queue.grants import PARENT_HEADER, Parent, signed, signing_key


@dataclass(frozen=True)
class Caller:
    """The attempt that a request to the stack is made for.

    Args:
        turn_id: the attempt's turn.
        attempt: the attempt's number.
        trace: the trace context that the request continues, as HTTP headers.
        grant: what the request may do in the turn's name; None for one that the worker may make for any turn, as a
            model call.
    """

    turn_id: str
    attempt: int
    trace: Mapping[str, str] = field(default_factory=dict)
    grant: Parent | None = None


def caller_of(started: Started) -> Caller:
    """Return an attempt as the caller of what it asks without a grant."""
    return Caller(started.lease.turn_id, started.lease.attempt, started.accepted.trace)


class Credentials(Protocol):
    """Gives a request what shows the stack who sends it, and for whom."""

    async def headers(self, caller: Caller | None) -> dict[str, str]:
        """Return the HTTP headers of one request. Asked for anew for each try, so what they hold may expire.

        Args:
            caller: the attempt that the request is made for; None for one of the worker's own.
        """
        ...


class StaticKey:
    """One key of the stack for all requests of a worker.

    Args:
        api_key: the key; None where the stack asks for none.
    """

    def __init__(self, api_key: str | None = None) -> None:
        self._headers = {"authorization": f"Bearer {api_key}"} if api_key else {}

    async def headers(self, caller: Caller | None) -> dict[str, str]:
        """Return the key's header, whoever the request is made for."""
        return self._headers


class SignedGrants:
    """One key for all requests of a worker, with a signed grant where a request has one.

    Args:
        api_key: the key; None where the stack asks for none.
        redis: has the secret that workers and servers of one stack sign with.
    """

    def __init__(self, api_key: str | None, redis: Redis) -> None:
        self._key = StaticKey(api_key)
        self._redis = redis

    async def headers(self, caller: Caller | None) -> dict[str, str]:
        """Return the key's header, and that of the caller's grant. Waits while Redis is away."""
        headers = await self._key.headers(caller)
        if caller is None or caller.grant is None:
            return headers
        secret = await until_back(partial(signing_key, self._redis), turn=caller.turn_id)
        return {**headers, PARENT_HEADER: signed(caller.grant, secret)}
