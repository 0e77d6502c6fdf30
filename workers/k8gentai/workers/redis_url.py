"""Where Redis is: one server, or the primary that sentinels name."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from redis.connection import parse_url

SCHEMES = ("redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel")

_SENTINEL_PORT = 26379
_SENTINEL_PREFIX = "sentinel_"


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
    options = dict(parse_url(url))  # type: ignore[no-untyped-call]
    options.pop("connection_class", None)
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
    sentinels = tuple(_address(host) for host in hosts.split(","))
    return RedisUrl(scheme, options, sentinels, unquote(service), to_sentinels)


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
