"""The registry in Redis: one hash, replaced as a whole, whose readers hear of each replacement."""

import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import structlog
from pydantic import BeforeValidator
from redis.client import PubSub
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, WatchError

from k8gentai.agents.registry.file_store import FileStore
from k8gentai.agents.registry.store import NoRegistryError, RegistryReplacedError, RegistryStore, Stored
from k8gentai.workers.queue import keys
from k8gentai.workers.queue.connection import AWAY, BLOCK_SECONDS, connect_blocking, masked

IN_REDIS: Final = "redis"
"""``AMF_REGISTRY`` for the Redis that has the queue; ``Redis`` is the same. A file of that name is ``./redis``."""

_AGAIN_SECONDS = 1.0
"""The seconds after which a link that was lost is made again."""

log = structlog.get_logger(__name__)


def place_named(value: str | Path) -> Path | Literal["redis"]:
    """Read ``AMF_REGISTRY``: `IN_REDIS`, or the path of a file.

    Raises:
        ValueError: it is a URL.
    """
    if isinstance(value, str) and "://" in value:
        raise ValueError("it is a file's path, or 'redis' for the Redis that REDIS_URL names, and no URL")
    return IN_REDIS if isinstance(value, str) and value.lower() == IN_REDIS else Path(value)


Place = Annotated[Path | Literal["redis"], BeforeValidator(place_named)]
"""The place where the registry is kept."""


def store_at(place: Path | Literal["redis"], redis_url: str) -> RegistryStore:
    """Return a store for who looks once, or writes.

    Args:
        place: the place where the registry is kept.
        redis_url: the address of Redis, as :func:`k8gentai.workers.queue.redis_url.read_url` reads it.
    """
    return FileStore(place) if isinstance(place, Path) else RedisStore(redis_url)


def followed_store_at(place: Path | Literal["redis"], redis_url: str) -> RegistryStore:
    """Return a store for a server or worker, which looks for every turn.

    Args:
        place: the place where the registry is kept.
        redis_url: the address of Redis, as :func:`k8gentai.workers.queue.redis_url.read_url` reads it.
    """
    # Agents' code may change the working directory.
    return FileStore(place.absolute()) if isinstance(place, Path) else FollowedStore(redis_url)


class RedisStore:
    """Asks Redis at each look.

    Args:
        url: as :func:`k8gentai.workers.queue.redis_url.read_url` reads it; by another Redis is out of reach.
    """

    directory = None

    def __init__(self, url: str) -> None:
        self._url = url

    @cached_property
    def _redis(self) -> Any:
        return connect_blocking(self._url)

    @property
    def name(self) -> str:
        return f"{keys.REGISTRY} in {masked(self._url)}"

    def look(self, seen: object) -> Stored | None:
        with self._errors():
            version = self._version()
            if version is None and not self._redis.exists(keys.REGISTRY):
                raise NoRegistryError(f"there is no {self.name}")
            return None if version is not None and version == seen else self._read()

    def refresh(self) -> None:
        """Do nothing: each look is at Redis itself."""

    @contextmanager
    def claim(self) -> Iterator[None]:
        """See that Redis is in reach. Others are not kept away: `write` finds what they wrote."""
        with self._errors():
            self._redis.ping()
        yield

    def write(self, content: str, over: object) -> None:
        version = secrets.token_hex(8)
        with self._errors():
            try:
                with self._redis.pipeline() as pipe:
                    self._replace(pipe, content, version, over)
            except (WatchError, *AWAY) as error:
                # Where the answer was lost, Redis knows whether it was written.
                found = self._version()
                if found == version.encode():
                    return
                if isinstance(error, WatchError) and found != over:
                    raise RegistryReplacedError(self._replaced()) from error
                raise

    def _replace(self, pipe: Any, content: str, version: str, over: object) -> None:
        pipe.watch(keys.REGISTRY)
        if pipe.hget(keys.REGISTRY, keys.REGISTRY_VERSION) != over:
            raise RegistryReplacedError(self._replaced())
        pipe.multi()
        fields = {
            keys.REGISTRY_MAP: content,
            keys.REGISTRY_VERSION: version,
            keys.REGISTRY_WRITTEN_AT: f"{time.time():.3f}",
        }
        pipe.hset(keys.REGISTRY, mapping=fields)
        pipe.publish(keys.REGISTRY, version)
        pipe.execute()

    def _replaced(self) -> str:
        return f"another update wrote {self.name} meanwhile, and nothing was changed: run it again"

    def _version(self) -> bytes | None:
        version: bytes | None = self._redis.hget(keys.REGISTRY, keys.REGISTRY_VERSION)
        return version

    def _read(self) -> Stored:
        names = (keys.REGISTRY_VERSION, keys.REGISTRY_MAP, keys.REGISTRY_WRITTEN_AT)
        version, content, written_at = self._redis.hmget(keys.REGISTRY, names)
        if version is None:
            raise OSError(f"{self.name} is no registry: it has no field {keys.REGISTRY_VERSION}")
        # Of a version its reader finds out by itself that there is none of the rest, and may replace it.
        return Stored(version, content or b"", _seconds(written_at))

    def subscribed(self) -> PubSub:
        """Return a subscription to replacements."""
        subscription: PubSub = self._redis.pubsub()
        subscription.subscribe(keys.REGISTRY)
        return subscription

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Raise errors of Redis as those of a store."""
        try:
            yield
        except (RedisError, ValueError, TypeError) as error:
            raise OSError(f"{self.name}: {error}") from error


def _seconds(written_at: bytes | None) -> float:
    try:
        return float(written_at or 0)
    except ValueError:
        return 0.0


@dataclass(frozen=True)
class _State:
    latest: Stored | None
    """The registry as it was read last; None before that."""
    trouble: str | None
    """The reason why it may be older than what is kept; None where it is not."""


class FollowedStore:
    """Keeps a copy, which a thread renews when it hears of a replacement: only the first look waits for Redis.

    A registry that is not in Redis any more stays: nobody takes it away on purpose.

    Args:
        url: as :func:`k8gentai.workers.queue.redis_url.read_url` reads it; by another Redis is out of reach.
    """

    directory = None

    def __init__(self, url: str) -> None:
        self._store = RedisStore(url)
        self._state = _State(None, None)
        self._renewing = threading.Lock()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = threading.Event()

    @property
    def name(self) -> str:
        return self._store.name

    def look(self, seen: object) -> Stored | None:
        if self._thread is None:
            self._start()
        state = self._state
        if state.trouble is not None:
            raise OSError(state.trouble)
        if state.latest is None:
            raise NoRegistryError(f"there is no {self.name}")
        return None if state.latest.version == seen else state.latest

    def refresh(self) -> None:
        with self._renewing:
            latest = self._state.latest
            try:
                found = self._store.look(latest.version if latest else None)
            except NoRegistryError:
                gone = f"{self.name} is gone; its agents stay until there is one again"
                self._state = _State(latest, gone if latest else None)
            except OSError as error:
                self._state = _State(latest, str(error))
            else:
                self._state = _State(found or latest, None)

    def claim(self) -> AbstractContextManager[None]:
        return self._store.claim()

    def write(self, content: str, over: object) -> None:
        self._store.write(content, over)

    def close(self) -> None:
        """Have the thread end, within the seconds that it may wait for Redis."""
        self._closed.set()

    def _start(self) -> None:
        with self._starting:
            if self._thread is None:
                self.refresh()
                self._thread = threading.Thread(target=self._follow, name="registry", daemon=True)
                self._thread.start()

    def _follow(self) -> None:
        while not self._closed.is_set():
            try:
                with self._store.subscribed() as subscription:
                    self._listen(subscription)
            except AWAY as error:
                log.warning("redis_away", error=str(error))
            except Exception:
                # The thread has to go on: nobody else would hear of a replacement.
                log.exception("registry_not_followed")
            self.refresh()
            self._closed.wait(_AGAIN_SECONDS)

    def _listen(self, subscription: PubSub) -> None:
        asked = False
        while not self._closed.is_set():
            message = subscription.get_message(timeout=BLOCK_SECONDS)
            if message is None:
                if asked:
                    raise RedisConnectionError("Redis does not answer on a subscription")
                subscription.ping()
            asked = message is None
            # After silence as well: a replica that became the primary may have published nothing.
            if message is None or message["type"] != "pong":
                self.refresh()
