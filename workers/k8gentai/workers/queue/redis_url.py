"""Reads the address of Redis: one server, the primary that sentinels name, or the one of a cluster that has our
keys."""

import re
import ssl
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from redis.connection import parse_url
from redis.exceptions import RedisError

from k8gentai.workers.queue.links import BLOCKING_LINKS, LINKS

BLOCK_SECONDS = 4
"""The longest a command waits inside Redis before it is asked again."""

SCHEMES = ("redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster")

_SENTINEL = "+sentinel"
_SENTINEL_PORT = 26379
_CLUSTER = "+cluster"
_PORT = 6379
_SENTINEL_PREFIX = "sentinel_"

_DATABASE = re.compile(r"[0-9]*")

_TLS_OPTIONS = {
    "ssl_ca_certs",
    "ssl_ca_data",
    "ssl_ca_path",
    "ssl_cert_reqs",
    "ssl_certfile",
    "ssl_check_hostname",
    "ssl_ciphers",
    "ssl_exclude_verify_flags",
    "ssl_include_verify_flags",
    "ssl_keyfile",
    "ssl_min_version",
    "ssl_password",
}
OPTIONS = {
    "client_name",
    "db",
    "health_check_interval",
    "max_connections",
    "password",
    "retry_on_timeout",
    "socket_connect_timeout",
    "socket_keepalive",
    "socket_read_size",
    "socket_timeout",
    "username",
}
"""The options that connections of asyncio and blocking ones take alike, and a URL can hold; not those that shape
the replies, which are read as redis-py reads them by itself."""
_POOL_OPTIONS = {"max_connections", "timeout"}
"""Options that are not a connection's, but of the pool that keeps them."""
_MAY_BE_ZERO = {"db", "health_check_interval"}
_DAY_SECONDS = 86_400
_MOST = {
    "health_check_interval": _DAY_SECONDS,
    "socket_connect_timeout": _DAY_SECONDS,
    "socket_read_size": 16 * 1024 * 1024,
    "socket_timeout": _DAY_SECONDS,
    "timeout": _DAY_SECONDS,
}
"""The most that numbers may be: blocking sockets take no endless time, and a buffer is as large as it says."""
_CLIENT_NAME = re.compile(r"[!-~]*")
"""The form that Redis takes for the name of a client."""


@dataclass(frozen=True)
class RedisUrl:
    """A ``REDIS_URL``, read."""

    scheme: str
    options: dict[str, Any]
    """The options of redis-py's connections: address, database, credentials, certificates."""
    sentinels: tuple[tuple[str, int], ...] = ()
    """Host and port of each."""
    service: str = ""
    """The name by which the sentinels know the primary."""
    sentinel_options: dict[str, Any] | None = None
    """The options of connections to the sentinels; None where there are none."""
    nodes: tuple[tuple[str, int], ...] = ()
    """Host and port of nodes of a cluster."""


def read_url(url: str) -> RedisUrl:
    """Read a ``REDIS_URL``.

    Args:
        url: ``redis://``, ``rediss://`` (TLS) or ``unix://`` as redis-py reads them, or
            ``redis+sentinel://[user:password@]host[:port][,host[:port]…]/service[/database]``, with
            ``rediss+sentinel://`` for TLS, or ``redis+cluster://[user:password@]host[:port][,host[:port]…]``, with
            ``rediss+cluster://`` for TLS. ``?name=value`` sets an option of connections to it, with the prefix
            ``sentinel_`` one of those to the sentinels.

    Raises:
        ValueError: the URL is none of these.
    """
    scheme = url.partition("://")[0]
    if scheme not in SCHEMES:
        known = ", ".join(f"{known}://" for known in SCHEMES)
        raise ValueError(f"it must begin with one of {known}")
    if scheme.endswith(_SENTINEL):
        return _read_sentinel_url(scheme, url)
    if scheme.endswith(_CLUSTER):
        return _read_cluster_url(scheme, url)
    database = unquote(urlsplit(url).path).strip("/")
    if scheme != "unix" and not _DATABASE.fullmatch(database):
        raise ValueError(f"the database is a number, not {database!r}")
    options = dict(parse_url(url))  # type: ignore[no-untyped-call]
    options.pop("connection_class", None)
    address = {"path"} if scheme == "unix" else {"host", "port"}
    _check_options(scheme, options, address | {"timeout"})
    _check_patience(options)
    return RedisUrl(scheme, options)


def _read_sentinel_url(scheme: str, url: str) -> RedisUrl:
    parts = urlsplit(url)
    credentials, _, hosts = parts.netloc.rpartition("@")
    service, _, database = parts.path.strip("/").partition("/")
    database = unquote(database)
    if not hosts or not service or not _DATABASE.fullmatch(database):
        raise ValueError("it must read redis+sentinel://host:port,host:port/service/database")
    given = parse_qsl(parts.query)
    options = _typed(credentials, [pair for pair in given if not pair[0].startswith(_SENTINEL_PREFIX)])
    options.setdefault("db", int(database or 0))
    to_sentinels = {name: value for name, value in options.items() if name.startswith(("ssl_", "socket_"))}
    prefixed = [pair for pair in given if pair[0].startswith(_SENTINEL_PREFIX)]
    to_sentinels |= _typed("", [(name.removeprefix(_SENTINEL_PREFIX), value) for name, value in prefixed])
    _check_options(scheme, options, {"timeout"})
    _check_patience(options)
    _check_options(scheme, to_sentinels)
    sentinels = tuple(_address(host, _SENTINEL_PORT, "a sentinel") for host in hosts.split(","))
    return RedisUrl(scheme, options, sentinels, unquote(service), to_sentinels)


def _read_cluster_url(scheme: str, url: str) -> RedisUrl:
    parts = urlsplit(url)
    credentials, _, hosts = parts.netloc.rpartition("@")
    if not hosts or parts.path.strip("/") not in ("", "0"):
        raise ValueError("it must read redis+cluster://host:port,host:port, as a cluster has database 0 alone")
    options = _typed(credentials, parse_qsl(parts.query))
    if options.get("db"):
        raise ValueError("a cluster has database 0 alone")
    _check_options(scheme, options, {"timeout"})
    _check_patience(options)
    nodes = tuple(_address(host, _PORT, "a node") for host in hosts.split(","))
    return RedisUrl(scheme, options, nodes=nodes)


def _typed(credentials: str, pairs: list[tuple[str, str]]) -> dict[str, Any]:
    """Return options as redis-py reads them of a URL: it knows their types."""
    # The host is a stand-in.
    address = f"{credentials}@-" if credentials else "-"
    options = dict(parse_url(f"redis://{address}?{urlencode(pairs)}"))  # type: ignore[no-untyped-call]
    del options["host"]
    return options


def _check_options(scheme: str, options: dict[str, Any], more: AbstractSet[str] = frozenset()) -> None:
    """Raise ValueError where connections do not take the options: redis-py does so at the first command.

    Args:
        more: options that are allowed here beside those of all connections.
    """
    has_tls = scheme.startswith("rediss")
    for name in sorted(options.keys() - OPTIONS - more - (_TLS_OPTIONS if has_tls else set())):
        hint = "; those of TLS are for rediss://" if name in _TLS_OPTIONS else ""
        raise ValueError(f"{scheme}:// has no option {name!r}{hint}")
    for name, value in options.items():
        if type(value) in (int, float) and not _is_possible(name, value):
            raise ValueError(f"its option {name!r} cannot be {value}")
    if not _CLIENT_NAME.fullmatch(options.get("client_name", "")):
        raise ValueError("its option 'client_name' can hold ASCII letters, digits and signs, and no space")
    given = {name: value for name, value in options.items() if name not in _POOL_OPTIONS}
    server = scheme.removesuffix(_SENTINEL).removesuffix(_CLUSTER)
    try:
        BLOCKING_LINKS[server](**given)
        link = LINKS[server](**given)
        if has_tls:
            _check_tls(link)
    except (RedisError, TypeError, ValueError, ssl.SSLError) as error:
        raise ValueError(f"its options are not accepted: {error}") from error


def _is_possible(name: str, value: float) -> bool:
    """Return whether an option of this name can have the value."""
    if value == 0:
        return name in _MAY_BE_ZERO
    return value > 0 and value <= _MOST.get(name, value)


def _check_patience(options: dict[str, Any]) -> None:
    """Raise ValueError where answers would be waited for less long than commands wait inside Redis: each that
    waits for a turn would lose its link, and what Redis gave it."""
    if options.get("socket_timeout", inf) <= BLOCK_SECONDS:
        raise ValueError(
            f"its option 'socket_timeout' must be above {BLOCK_SECONDS}: so long commands wait in Redis"
        )


def _check_tls(link: Any) -> None:
    """Raise ValueError or ``ssl.SSLError`` for options of which no link makes use: an unknown cipher or version, a
    key that is none. A file that is not there may come."""
    with suppress(FileNotFoundError):
        link.ssl_context.get()


def _address(host: str, port: int, whose: str) -> tuple[str, int]:
    parts = urlsplit(f"//{host}")
    if not parts.hostname:
        raise ValueError(f"{whose} has no host")
    return parts.hostname, parts.port or port


def masked(url: str) -> str:
    """Return the URL as a log or an error may show it: without passwords. Of one that is none, its scheme."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return f"{url.partition('://')[0]}://…"
    credentials, _, hosts = parts.netloc.rpartition("@")
    user, has_password, _ = credentials.partition(":")
    if has_password:
        parts = parts._replace(netloc=f"{user}:***@{hosts}")
    query = "&".join(_masked_option(option) for option in parts.query.split("&"))
    shown = urlunsplit(parts._replace(query=query))
    # It leaves out the slashes before a path of a scheme that it does not know, as unix is.
    return shown.replace(":", "://", 1) if "://" in url and "://" not in shown else shown


def _masked_option(option: str) -> str:
    name, equals, _ = option.partition("=")
    return f"{name}=***" if equals and "password" in name else option
