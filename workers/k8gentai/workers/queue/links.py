"""The connections under our Redis clients: redis-py's own, with what it gets wrong about links that died."""

from collections.abc import Iterable, Mapping
from math import inf
from typing import TYPE_CHECKING, Any, Final

from redis import connection as blocking
from redis import sentinel as blocking_sentinel
from redis.asyncio import connection, sentinel
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.exceptions import AskError, ClusterDownError, ReadOnlyError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from k8gentai.workers.queue.cluster import Address, Cluster
from k8gentai.workers.queue.patience import hearing


class StoreRefusesError(ResponseError):
    """Redis answers and does not do its work now: its disk is full, replicas are missing, a script is running."""


class NoConnectionFreeError(RedisConnectionError):
    """All connections that this process may have to Redis are in use, and none became free in time."""


_REFUSALS: Final = dict.fromkeys(("MISCONF", "NOREPLICAS", "BUSY", "UNBLOCKED"), StoreRefusesError)
"""Error codes that redis-py has no class for. ``UNBLOCKED`` is what a primary answers to those that wait inside it
when it becomes a replica."""

if TYPE_CHECKING:
    _Parser = Any
    _BlockingParser = Any
    _Connection = connection.AbstractConnection
    _BlockingConnection = blocking.AbstractConnection
else:
    _Parser = connection.DefaultParser
    _BlockingParser = blocking.DefaultParser
    _Connection = _BlockingConnection = object


class Parser(_Parser):  # type: ignore[misc]  # redis-py chooses the class when it is imported
    """Reads replies; raises a lost link as such.

    asyncio raises the kernel's ETIMEDOUT as a ``TimeoutError``, again at each read. redis-py takes that for the
    end of its own waiting: a subscription answers None at once, for ever, and holds up the event loop.
    """

    EXCEPTION_CLASSES: Final = {**_Parser.EXCEPTION_CLASSES, **_REFUSALS}

    async def read_response(self, *args: Any, **options: Any) -> Any:
        """Read one reply.

        Raises:
            RedisConnectionError: the link is lost.
        """
        try:
            return await super().read_response(*args, **options)
        except OSError as error:
            raise RedisConnectionError(f"The link to Redis was lost: {error}") from error


class BlockingParser(_BlockingParser):  # type: ignore[misc]  # as above
    """Reads replies, for threads."""

    EXCEPTION_CLASSES: Final = {**_BlockingParser.EXCEPTION_CLASSES, **_REFUSALS}


class _Link(_Connection):
    """Never writes into a closed transport, leaves a server that has become a replica, and takes what lies unread
    while the event loop is held up for no silence."""

    async def connect(self) -> None:
        await self._leave_closed()
        await super().connect()  # type: ignore[no-untyped-call]

    async def send_packed_command(self, command: bytes | str | Iterable[bytes], check_health: bool = True) -> None:
        await self._leave_closed()
        await super().send_packed_command(command, check_health)

    async def _connect(self) -> None:
        patience, self.socket_connect_timeout = self.socket_connect_timeout, None
        try:
            async with hearing(patience):
                await super()._connect()  # type: ignore[no-untyped-call, safe-super]  # of the class beside this one
        finally:
            self.socket_connect_timeout = patience

    async def read_response(self, *args: Any, **options: Any) -> Any:
        try:
            if options.get("timeout") is not None:
                return await super().read_response(*args, **options)
            async with hearing(self.socket_timeout):
                return await super().read_response(*args, **{**options, "timeout": inf})
        except TimeoutError:
            raise RedisTimeoutError(f"Redis at {self._host_error()} does not answer") from None
        except ReadOnlyError:
            # The name in the URL may stand for another server by now.
            await self.disconnect(nowait=True)
            raise

    async def _leave_closed(self) -> None:
        """Forget a transport that is closed or about to be.

        asyncio's ``writelines`` fails there with an AttributeError, or registers a file descriptor that is by then
        somebody else's.
        """
        if self._writer is None or self._reader is None:
            return
        if self._writer.is_closing() or self._reader.exception() is not None:
            await self.disconnect(nowait=True)


class Link(_Link, connection.Connection):
    """A connection by TCP."""


class SSLLink(_Link, connection.SSLConnection):
    """A connection by TLS."""


class UnixLink(_Link, connection.UnixDomainSocketConnection):
    """A connection by a unix socket."""


class SentinelLink(_Link, sentinel.SentinelManagedConnection):
    """A connection to the primary that sentinels name."""


class SentinelSSLLink(_Link, sentinel.SentinelManagedSSLConnection):
    """The same by TLS."""


class _ClusterLink(_Link):
    """Goes to the primary of our slot, and leaves a node that has it no more.

    Args:
        cluster: the nodes of the cluster.
        options: the options of each connection.
    """

    plain: type[_Link]
    """The kind of link that asks a node where our slot is."""

    def __init__(self, *, cluster: Cluster, **options: Any) -> None:
        super().__init__(**options)
        self._cluster = cluster
        self._options = options

    async def _connect(self) -> None:
        self.host, self.port = await self._primary()
        await super()._connect()

    async def read_response(self, *args: Any, **options: Any) -> Any:
        try:
            return await super().read_response(*args, **options)
        except (AskError, ClusterDownError) as error:
            self._cluster.moved(error)
            await self.disconnect(nowait=True)
            raise

    async def _primary(self) -> Address:
        """Ask one node after another where our slot's primary is.

        Raises:
            RedisConnectionError, RedisTimeoutError, ClusterDownError: none knows; what the last one asked came to.
        """
        failed: Exception = ClusterDownError("A Redis Cluster without nodes")
        for asked in self._cluster.to_ask():
            try:
                return self._cluster.primary(await self._slots(asked), asked)
            except (RedisConnectionError, RedisTimeoutError, ClusterDownError, OSError) as error:
                failed = error
        raise failed

    async def _slots(self, asked: Address) -> Any:
        host, port = asked
        link: Any = self.plain(
            **{**self._options, "host": host, "port": port, "retry": AsyncRetry(NoBackoff(), 0)}
        )
        try:
            await link.connect()
            await link.send_command("CLUSTER", "SLOTS")
            return await link.read_response()
        finally:
            await link.disconnect(nowait=True)


class ClusterLink(_ClusterLink, connection.Connection):
    """A connection to the primary of a cluster that has our keys."""

    plain = Link


class ClusterSSLLink(_ClusterLink, connection.SSLConnection):
    """The same by TLS."""

    plain = SSLLink


class _BlockingLink(_BlockingConnection):
    """Leaves a server that has become a replica."""

    def read_response(self, *args: Any, **options: Any) -> Any:
        try:
            return super().read_response(*args, **options)
        except ReadOnlyError:
            self.disconnect()  # type: ignore[no-untyped-call]
            raise


class BlockingLink(_BlockingLink, blocking.Connection):
    """A connection by TCP, for threads."""


class BlockingSSLLink(_BlockingLink, blocking.SSLConnection):
    """A connection by TLS, for threads."""


class BlockingUnixLink(_BlockingLink, blocking.UnixDomainSocketConnection):
    """A connection by a unix socket, for threads."""


class BlockingSentinelLink(_BlockingLink, blocking_sentinel.SentinelManagedConnection):
    """A connection to the primary that sentinels name, for threads."""


class BlockingSentinelSSLLink(_BlockingLink, blocking_sentinel.SentinelManagedSSLConnection):
    """The same by TLS."""


class _BlockingClusterLink(_BlockingLink):
    """As `_ClusterLink`, for threads."""

    plain: type[_BlockingLink]

    def __init__(self, *, cluster: Cluster, **options: Any) -> None:
        super().__init__(**options)
        self._cluster = cluster
        self._options = options

    def _connect(self) -> Any:
        self.host, self.port = self._primary()
        return super()._connect()  # type: ignore[no-untyped-call, safe-super]  # of the class beside this one

    def read_response(self, *args: Any, **options: Any) -> Any:
        try:
            return super().read_response(*args, **options)
        except (AskError, ClusterDownError) as error:
            self._cluster.moved(error)
            self.disconnect()  # type: ignore[no-untyped-call]
            raise

    def _primary(self) -> Address:
        failed: Exception = ClusterDownError("A Redis Cluster without nodes")
        for asked in self._cluster.to_ask():
            try:
                return self._cluster.primary(self._slots(asked), asked)
            except (RedisConnectionError, RedisTimeoutError, ClusterDownError, OSError) as error:
                failed = error
        raise failed

    def _slots(self, asked: Address) -> Any:
        host, port = asked
        link: Any = self.plain(**{**self._options, "host": host, "port": port, "retry": Retry(NoBackoff(), 0)})
        try:
            link.connect()
            link.send_command("CLUSTER", "SLOTS")
            return link.read_response()
        finally:
            link.disconnect()


class BlockingClusterLink(_BlockingClusterLink, blocking.Connection):
    """A connection to the primary of a cluster that has our keys, for threads."""

    plain = BlockingLink


class BlockingClusterSSLLink(_BlockingClusterLink, blocking.SSLConnection):
    """The same by TLS."""

    plain = BlockingSSLLink


LINKS: Final[Mapping[str, Any]] = {
    "redis": Link,
    "rediss": SSLLink,
    "unix": UnixLink,
    "redis+sentinel": SentinelLink,
    "rediss+sentinel": SentinelSSLLink,
    "redis+cluster": ClusterLink,
    "rediss+cluster": ClusterSSLLink,
}
"""The kinds of links, by the scheme of a URL."""

BLOCKING_LINKS: Final[Mapping[str, Any]] = {
    "redis": BlockingLink,
    "rediss": BlockingSSLLink,
    "unix": BlockingUnixLink,
    "redis+sentinel": BlockingSentinelLink,
    "rediss+sentinel": BlockingSentinelSSLLink,
    "redis+cluster": BlockingClusterLink,
    "rediss+cluster": BlockingClusterSSLLink,
}


CLUSTER_LINKS: Final = {ClusterLink, ClusterSSLLink, BlockingClusterLink, BlockingClusterSSLLink}


class LinkPool(connection.BlockingConnectionPool):
    """Connections of one process. Who finds all in use waits for one."""

    async def get_connection(self, *args: Any, **options: Any) -> Any:
        try:
            return await super().get_connection(*args, **options)  # type: ignore[no-untyped-call]
        except RedisConnectionError as error:
            if isinstance(error.__cause__, TimeoutError) and "No connection available" in str(error):
                raise NoConnectionFreeError(f"All {self.max_connections} connections are in use") from error
            raise


class SentinelLinkPool(LinkPool, sentinel.SentinelConnectionPool):
    """The same to the primary that sentinels name."""

    async def aclose(self) -> None:
        """Close the connections to the sentinels too."""
        await super().aclose()
        await self.sentinel_manager.aclose()
