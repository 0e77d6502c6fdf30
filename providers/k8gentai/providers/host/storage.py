"""The SQL databases under the host's stores: what is raised while one is away, and how long it is waited for.

Importing this sets it for every engine of SQLAlchemy's in the process: the host makes its own out of our reach.
"""

import sqlite3
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from sqlalchemy import event
from sqlalchemy.engine import Dialect, Engine, ExceptionContext
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

_ASYNCPG = "asyncpg"
_CONNECT_SECONDS = 5
_ANSWER_SECONDS = 15
"""The seconds that PostgreSQL may take for an answer. The host waits for it without end where a lock is held or
the network is silent, and for SQLite for 5 s."""

_SQLITE = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL,
    }
)
_POSTGRES = ("08", "25006", "40", "53", "55P03", "57")
"""Beginnings of SQLSTATE codes: connections, read-only, rolled back by others, resources, locks, an operator."""


class StorageAwayError(Exception):
    """The database does not answer or does no work now. It passes, or an operator makes it pass."""


STORAGE_AWAY: Final = (StorageAwayError, PoolTimeoutError)
"""The errors that are raised where the database is away, or all connections to it are in use."""


@event.listens_for(Engine, "do_connect")
def _connect(dialect: Dialect, _record: Any, args: Any, options: Any) -> Any:
    """Connect within a time, and raise what is no error of the database's own as such."""
    if dialect.driver == _ASYNCPG:
        options.setdefault("timeout", _CONNECT_SECONDS)
        options.setdefault("command_timeout", _ANSWER_SECONDS)
    # SQLAlchemy passes on what comes of a connection that it tries before use, without an event.
    vars(dialect).setdefault("do_ping", partial(_ping, dialect.do_ping))
    try:
        return dialect.connect(*args, **options)
    except OSError as error:
        raise _away(error) from error


def _ping(ping: Callable[[Any], bool], connection: Any) -> bool:
    """Try a connection before use, and raise its silence as such."""
    try:
        return ping(connection)
    except OSError as error:
        raise _away(error) from error


@event.listens_for(Engine, "handle_error")
def _name(context: ExceptionContext) -> StorageAwayError | None:
    """Return what is raised instead of an error; None leaves it as it is."""
    error = context.original_exception
    if context.is_disconnect or isinstance(error, OSError) or _is_away(error):
        return _away(error)
    return None


def _is_away(error: BaseException) -> bool:
    if (code := getattr(error, "sqlite_errorcode", None)) is not None:
        # An extended code has the primary one in its low byte.
        return code & 0xFF in _SQLITE
    return str(getattr(error, "sqlstate", None) or "").startswith(_POSTGRES)


def _away(error: BaseException) -> StorageAwayError:
    return StorageAwayError(f"The database is away: {str(error) or 'it does not answer in time'}")
