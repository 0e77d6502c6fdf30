"""Hears what is published on channels of Redis: one connection a process, however many listen."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import ConnectionError as RedisConnectionError

from k8gentai.workers.queue.connection import AWAY, BLOCK_SECONDS

Heard = Callable[[bytes | None], None]
"""Called with what was published; with None where something may have been missed, so that one has to look: when
the subscription begins, and whenever the link was lost."""

_AGAIN_SECONDS = 0.25
_LINGER_SECONDS = 10.0
"""The seconds for which the connection is kept when nobody listens."""

log = structlog.get_logger(__name__)


class Notifications:
    """Channels that are listened to. The connection is there while anybody listens.

    Args:
        redis: a client from :func:`k8gentai.workers.queue.connection.connect`.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._listeners: dict[str, list[Heard]] = {}
        self._task: asyncio.Task[None] | None = None
        self._reading: asyncio.Timeout | None = None
        self._stopping: asyncio.TimerHandle | None = None

    @contextmanager
    def listening(self, channel: str, heard: Heard) -> Iterator[None]:
        """Listen to a channel, in the running event loop, for as long as the context is open.

        Args:
            channel: the channel's name.
            heard: called in the event loop; what it raises is logged.
        """
        self._listeners.setdefault(channel, []).append(heard)
        self._changed()
        try:
            yield
        finally:
            listeners = self._listeners[channel]
            listeners.remove(heard)
            if not listeners:
                del self._listeners[channel]
            self._changed()

    def _changed(self) -> None:
        loop = asyncio.get_running_loop()
        if self._stopping is not None:
            self._stopping.cancel()
            self._stopping = None
        if not self._listeners:
            self._stopping = loop.call_later(_LINGER_SECONDS, self._stop)
        elif self._task is None or self._task.done():
            self._task = loop.create_task(self._run(), name="notifications")
        if self._reading is not None:
            # Reading is broken off, so that one task alone uses the connection.
            self._reading.reschedule(loop.time())
            self._reading = None

    def _stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _run(self) -> None:
        while self._listeners:
            try:
                async with self._redis.pubsub() as pubsub:
                    await self._listen(pubsub)
            except AWAY as error:
                log.warning("redis_away", error=str(error))
            except Exception:
                log.exception("listening_failed")
            for channel in list(self._listeners):
                self._tell(channel, None)
            await asyncio.sleep(_AGAIN_SECONDS)

    async def _listen(self, pubsub: PubSub) -> None:
        subscribed: set[str] = set()
        while True:
            wanted = set(self._listeners)
            if new := wanted - subscribed:
                await pubsub.subscribe(*new)
            if old := subscribed - wanted:
                await pubsub.unsubscribe(*old)
            subscribed = wanted
            try:
                async with asyncio.timeout(None) as reading:
                    # Whoever came while the above was under way is seen at once.
                    if set(self._listeners) == subscribed:
                        self._reading = reading
                        await self._read(pubsub)
            except TimeoutError:
                if not reading.expired():
                    raise
            finally:
                self._reading = None

    async def _read(self, pubsub: PubSub) -> None:
        asked = False
        while True:
            message: dict[str, Any] | None = await pubsub.get_message(timeout=BLOCK_SECONDS)
            if message is None:
                if asked:
                    raise RedisConnectionError("Redis does not answer on a subscription")
                await pubsub.ping()
                asked = True
                continue
            asked = False
            if message["type"] == "message":
                self._tell(message["channel"].decode(), message["data"])
            elif message["type"] == "subscribe":
                self._tell(message["channel"].decode(), None)

    def _tell(self, channel: str, data: bytes | None) -> None:
        for heard in list(self._listeners.get(channel, ())):
            try:
                heard(data)
            except Exception:
                # The others wait for theirs.
                log.exception("listener_failed", channel=channel)
