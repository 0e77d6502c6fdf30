"""The parts of a stack as children: how each is started, and when it is there."""

import asyncio
import os
import socket
from collections.abc import Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

from k8gentai.stack.environments.hosts import RUN_YAML, Host
from k8gentai.stack.environments.installed import Say
from k8gentai.stack.local import valkey
from k8gentai.stack.local.children import ChildError, Children, how_it_ended
from k8gentai.stack.local.restarts import KeptProcess
from k8gentai.workers.queue import keys
from k8gentai.workers.queue.connection import connect
from k8gentai.workers.queue.worker_name import pid_in

START_SECONDS = 120
"""The seconds that a part may take until it answers."""

WORKER_SECONDS = 300
"""The seconds that a worker may take to import its framework and its agents."""


async def unless_a_child_fails[T](children: Children, work: Coroutine[object, object, T]) -> T:
    """Await something that would wait in vain once a child is gone.

    Raises:
        ChildError: a child ended first.
    """
    working = asyncio.create_task(work)
    failing = asyncio.create_task(children.failed())
    try:
        await asyncio.wait({working, failing}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            await failing
        return await working
    finally:
        for task in (working, failing):
            task.cancel()
        await asyncio.gather(working, failing, return_exceptions=True)


async def answers(children: Children, name: str, url: str) -> None:
    """Wait until a child answers.

    Raises:
        ChildError: it does not within START_SECONDS, or it or another ended.
    """

    async def healthy() -> None:
        async with httpx.AsyncClient(timeout=START_SECONDS) as client:
            while True:
                try:
                    if (await client.get(url)).is_success:
                        return
                except httpx.TransportError:
                    pass
                # There is no event to wait for: another program's port opens without a word.
                await asyncio.sleep(0.05)

    try:
        async with asyncio.timeout(START_SECONDS):
            await unless_a_child_fails(children, healthy())
    except TimeoutError:
        raise ChildError(name, f"did not answer within {START_SECONDS} s", children.log(name)) from None


async def start_redis(children: Children, directory: Path) -> str:
    """Start the embedded Redis. Returns its URL.

    Args:
        children: the children that it joins.
        directory: of its data.

    Raises:
        SetUpError: another has the directory, or there is no such server for this machine.
        ChildError: it ended.
    """
    claimed = await asyncio.to_thread(valkey.claim, directory)
    try:
        await children.start("redis", valkey.command(directory), os.environ, pass_fds=[claimed])
    finally:
        os.close(claimed)
    url = valkey.redis_url(directory)
    waiting = asyncio.to_thread(valkey.wait_until_ready, url, START_SECONDS, lambda: children.runs("redis"))
    await unless_a_child_fails(children, waiting)
    return url


async def start_server(
    children: Children,
    host: Host,
    port: int,
    environment: Mapping[str, str],
    say: Say,
    run_yaml: Path = RUN_YAML,
) -> KeptProcess:
    """Start a stack server as the child ``stack``, and wait until it answers. Returns what would start it again.

    Args:
        children: where it belongs.
        host: whose server it is.
        port: of loopback, where it listens.
        environment: all of its environment.
        say: is told what takes a while.
        run_yaml: what it serves.

    Raises:
        SetUpError: its environment cannot be made.
        ChildError: it, or another child, ended, or it does not answer.
    """
    command = await asyncio.to_thread(host.command, port, say, run_yaml)
    server = KeptProcess("stack", command, dict(environment), essential=True)
    await server.start(children)
    await answers(children, server.name, health_url(port))
    return server


def health_url(port: int) -> str:
    """Return the URL at which a stack server answers once it serves."""
    return f"http://127.0.0.1:{port}/v1/health"


async def start_worker(
    children: Children,
    name: str,
    python: str | Path,
    framework: str,
    options: Sequence[str],
    environment: Mapping[str, str],
) -> KeptProcess:
    """Start a worker, which :func:`takes_turns` waits for. Returns what would start it again.

    Args:
        children: where it belongs.
        name: the child's.
        python: the interpreter of the framework's environment.
        framework: whose turns it runs.
        options: of ``k8gentai worker``.
        environment: all of its environment.

    Raises:
        OSError: it cannot be started.
    """
    worker = KeptProcess(name, worker_command(python, framework, *options), dict(environment))
    await worker.start(children)
    return worker


def worker_command(python: str | Path, framework: str, *options: str) -> list[str]:
    """Return what starts a worker.

    Args:
        python: the interpreter of the framework's environment.
        framework: the framework whose turns it runs.
        options: of ``k8gentai worker``.
    """
    return [str(python), "-m", "k8gentai.stack.commands.cli", "worker", framework, *options]


async def takes_turns(children: Children, name: str, redis_url: str) -> None:
    """Wait until a worker that was started as a child is registered.

    Raises:
        ChildError: it is not within WORKER_SECONDS, or it ended.
    """
    # redis-py types a reply as all that any of its modes gives; ours gives bytes.
    redis: Any = connect(redis_url)
    try:
        async with asyncio.timeout(WORKER_SECONDS):
            while children.pid(name) not in map(pid_in, await redis.smembers(keys.RQ_ALL_WORKERS)):
                if not children.runs(name):
                    how = how_it_ended(await children.ended(name))
                    raise ChildError(name, f"ended with {how}", children.log(name))
                # There is no event to wait for: RQ registers a worker without a word.
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise ChildError(name, f"took no turns within {WORKER_SECONDS} s", children.log(name)) from None
    finally:
        await redis.aclose()


def free_port() -> int:
    """Return a port of loopback that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port
