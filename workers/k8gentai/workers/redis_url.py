"""Where Redis is: one server, or the primary that sentinels name."""

import inspect
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from redis.connection import Connection, SSLConnection, UnixDomainSocketConnection, parse_url
from redis.exceptions import RedisError

SCHEMES = ("redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel")

_SENTINEL_PORT = 26379
_SENTINEL_PREFIX = "sentinel_"

_POOL_OPTIONS = {"max_connections", "timeout"}
"""Options that are not a connection's, but of the pool that keeps them."""


@dataclass(frozen=True)
class RedisUrl:
    """A ``REDIS_URL``, read."""

    scheme: str
    options: dict[str, Any]
    """What redis-py's connections take: address, database, credentials, certificates."""
    sentinels: tuple[tuple[str, int], ...] = ()
    """Host and port of each."""
    service: str = ""
    """The name by which the sentinels know the primary."""
    sentinel_options: dict[str, Any] | None = None
    """What connections to the sentinels take."""


def read_url(url: str) -> RedisUrl:
    """Read a ``REDIS_URL``.

    Args:
        url: ``redis://``, ``rediss://`` (TLS) or ``unix://`` as redis-py reads them, or
            ``redis+sentinel://[user:password@]host[:port][,host[:port]…]/service[/database]``, with
            ``rediss+sentinel://`` for TLS. ``?name=value`` sets an option of redis-py's connections, with the
            prefix ``sentinel_`` one of those to the sentinels.

    Raises:
        ValueError: the URL is none of these.
    """
    scheme = url.partition("://")[0]
    if scheme not in SCHEMES:
        known = ", ".join(f"{known}://" for known in SCHEMES)
        raise ValueError(f"it must begin with one of {known}")
    if scheme.endswith("+sentinel"):
        return _read_sentinel_url(scheme, url)
    database = urlsplit(url).path.strip("/")
    if scheme != "unix" and not (database or "0").isdigit():
        raise ValueError(f"the database is a number, not {database!r}")
    options = dict(parse_url(url))  # type: ignore[no-untyped-call]
    options.pop("connection_class", None)
    _check_options(scheme, options)
    return RedisUrl(scheme, options)


def _read_sentinel_url(scheme: str, url: str) -> RedisUrl:
    parts = urlsplit(url)
    credentials, _, hosts = parts.netloc.rpartition("@")
    service, _, database = parts.path.strip("/").partition("/")
    if not hosts or not service or not (database or "0").isdigit():
        raise ValueError("it must read redis+sentinel://host:port,host:port/service/database")
    # redis-py knows the types of the options; the host is a stand-in.
    one_server = urlunsplit(("redis", f"{credentials}@-" if credentials else "-", "", parts.query, ""))
    given = dict(parse_url(one_server))  # type: ignore[no-untyped-call]
    del given["host"]
    options = {name: value for name, value in given.items() if not name.startswith(_SENTINEL_PREFIX)}
    options.setdefault("db", int(database or 0))
    to_sentinels = {name: value for name, value in options.items() if name.startswith(("ssl_", "socket_"))}
    for name in given.keys() - options.keys():
        to_sentinels[name.removeprefix(_SENTINEL_PREFIX)] = given[name]
    _check_options(scheme, options)
    _check_options(scheme, to_sentinels)
    sentinels = tuple(_address(host) for host in hosts.split(","))
    return RedisUrl(scheme, options, sentinels, unquote(service), to_sentinels)


def _check_options(scheme: str, options: dict[str, Any]) -> None:
    """Raise ValueError where redis-py's connections do not take the options: it says so at the first command."""
    kind = _connection_class(scheme)
    parents = (vars(parent).get("__init__") for parent in kind.__mro__[:-1])
    known = {name for init in parents if init for name in inspect.signature(init).parameters}
    given = {name: value for name, value in options.items() if name not in _POOL_OPTIONS}
    for name in given.keys() - known:
        hint = "; those of TLS are for rediss://" if name.startswith("ssl_") else ""
        raise ValueError(f"connections of {scheme}:// have no option {name!r}{hint}")
    try:
        kind(**given)
    except (RedisError, TypeError, ValueError) as error:
        raise ValueError(f"its options are not accepted: {error}") from error


def _connection_class(scheme: str) -> type[Connection | UnixDomainSocketConnection]:
    if scheme == "unix":
        return UnixDomainSocketConnection
    return SSLConnection if scheme.startswith("rediss") else Connection


def _address(host: str) -> tuple[str, int]:
    parts = urlsplit(f"//{host}")
    if not parts.hostname:
        raise ValueError("a sentinel has no host")
    return parts.hostname, parts.port or _SENTINEL_PORT


def masked(url: str) -> str:
    """Return the URL as a log or an error may show it: without passwords."""
    parts = urlsplit(url)
    credentials, _, hosts = parts.netloc.rpartition("@")
    user, has_password, _ = credentials.partition(":")
    if has_password:
        parts = parts._replace(netloc=f"{user}:***@{hosts}")
    query = "&".join(_masked_option(option) for option in parts.query.split("&"))
    return urlunsplit(parts._replace(query=query))


def _masked_option(option: str) -> str:
    name, equals, _ = option.partition("=")
    return f"{name}=***" if equals and "password" in name else option
