"""The children of ``up``: stopped in order, and gone when ``up`` is."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from k8gentai.stack.local import children as children_module
from k8gentai.stack.local import restarts
from k8gentai.stack.local.children import ChildError, Children, tail
from k8gentai.stack.local.restarts import KeptProcess, kept_running
from k8gentai.workers.isolation.process_exits import REPLACE

SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]
PARENT = """
import asyncio, os, sys
from pathlib import Path
from k8gentai.stack.local.children import Children

async def main():
    async with Children(Path(sys.argv[1])) as children:
        # A child that has a child, and tells both pids.
        inner = "import os, subprocess, sys, time; p = subprocess.Popen([sys.executable, '-c', 'import time; " \
            "time.sleep(600)']); print(os.getpid(), p.pid, flush=True); time.sleep(600)"
        await children.start("tree", [sys.executable, "-c", inner], os.environ)
        await asyncio.sleep(600)

asyncio.run(main())
"""


def runs(pid: int) -> bool:
    listed = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return listed.stdout.strip() not in ("", "Z", "Z+")


def wait_for(*files: Path) -> None:
    deadline = time.monotonic() + 60
    while not all(file.exists() for file in files) and time.monotonic() < deadline:
        time.sleep(0.01)


async def test_leaving_stops_the_children(tmp_path: Path) -> None:
    async with Children(tmp_path) as children:
        await children.start("one", SLEEP, os.environ)
        assert children.runs("one")
    assert not children.runs("one")


DRAINING = """
import os, signal, sys, time
from pathlib import Path
here, name, other, server = sys.argv[1:]

def drain(*_):
    Path(here, f"{name}.told").touch()
    while not Path(here, f"{other}.told").exists():
        time.sleep(0.01)
    os.kill(int(server), 0)
    Path(here, f"{name}.drained").touch()
    raise SystemExit(0)

signal.signal(signal.SIGTERM, drain)
Path(here, f"{name}.ready").touch()
while True:
    time.sleep(1)
"""


async def test_workers_drain_at_once_and_with_what_they_need(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(children_module, "STOP_SECONDS", 0.01)
    async with Children(tmp_path) as children:
        await children.start("server", SLEEP, os.environ)
        for name, other in (("one", "two"), ("two", "one")):
            told = [str(tmp_path), name, other, str(children.pid("server"))]
            await KeptProcess(name, [sys.executable, "-c", DRAINING, *told], dict(os.environ)).start(children)
        await asyncio.to_thread(wait_for, tmp_path / "one.ready", tmp_path / "two.ready")
    assert all((tmp_path / f"{name}.drained").exists() for name in ("one", "two"))


async def test_a_child_that_ends_is_named_with_its_log(tmp_path: Path) -> None:
    async with Children(tmp_path) as children:
        await children.start("good", SLEEP, os.environ)
        await children.start("bad", [sys.executable, "-c", "print('no luck'); raise SystemExit(3)"], os.environ)
        with pytest.raises(ChildError, match="'bad' ended with exit code 3") as raised:
            await asyncio.wait_for(children.failed(), 10)
    assert tail(raised.value.log) == "no luck"


def test_kill_9_leaves_neither_children_nor_their_children(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path)]) as parent:
        log = tmp_path / "tree.log"
        deadline = time.monotonic() + 20
        while not (log.is_file() and len(log.read_text().split()) == 2) and time.monotonic() < deadline:
            time.sleep(0.05)
        pids = [int(word) for word in log.read_text().split()]
        assert all(runs(pid) for pid in pids)
        parent.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 20
    while any(runs(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(runs(pid) for pid in pids)


async def test_a_worker_that_ends_is_started_again_and_the_others_stay(tmp_path: Path) -> None:
    starts = tmp_path / "starts"
    ends = f"import os; open({str(starts)!r}, 'a').write('x'); print('last words', flush=True); os.abort()"
    worker = KeptProcess("worker", [sys.executable, "-c", ends], dict(os.environ))
    lines: asyncio.Queue[str] = asyncio.Queue()
    async with Children(tmp_path) as children:
        await children.start("good", SLEEP, os.environ)
        await worker.start(children)
        failing = asyncio.create_task(children.failed())
        async with kept_running(children, [worker], lines.put_nowait):
            said = [await asyncio.wait_for(lines.get(), 60) for _ in range(3)]
        log = children.log("worker")
        assert said[0] == f"'worker' ended with signal SIGABRT and is started again in 0.5 s. Its log: {log}"
        assert ["in 1 s" in said[1], "in 2 s" in said[2]] == [True, True]
        assert children.runs("good")
        assert not failing.done()
        failing.cancel()
    assert starts.read_text() == "xxx"
    assert log.read_text() == "last words\n" * 3


async def test_an_essential_child_that_is_looked_after_ends_nothing_but_itself(tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    serve = f"import time; open({str(begun)!r}, 'w').close(); time.sleep(600)"
    server = KeptProcess("server", [sys.executable, "-c", serve], dict(os.environ), essential=True)
    lines: asyncio.Queue[str] = asyncio.Queue()
    async with Children(tmp_path) as children:
        await children.start("redis", SLEEP, os.environ)
        await server.start(children)
        async with kept_running(children, [server], lines.put_nowait):
            failing = asyncio.create_task(children.failed())
            await asyncio.to_thread(wait_for, begun)
            begun.unlink()
            children.send("server", signal.SIGKILL)
            said = await asyncio.wait_for(lines.get(), 60)
            assert said.startswith("'server' ended with signal SIGKILL and is started again in 0.5 s.")
            await asyncio.to_thread(wait_for, begun)
            assert children.runs("server")
            assert not failing.done()
            children.send("redis", signal.SIGKILL)
            with pytest.raises(ChildError, match="'redis' ended"):
                await asyncio.wait_for(failing, 60)


async def test_a_worker_that_stands_stopped_is_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restarts, "_STOPPED_SECONDS", 0.3)
    worker = KeptProcess("worker", SLEEP, dict(os.environ))
    lines: asyncio.Queue[str] = asyncio.Queue()
    async with Children(tmp_path) as children:
        await worker.start(children)
        async with kept_running(children, [worker], lines.put_nowait):
            children.send("worker", signal.SIGSTOP)
            said = [await asyncio.wait_for(lines.get(), 60) for _ in range(2)]
    assert said[0] == "'worker' stood stopped by a signal for 0.3 s, and is killed."
    assert said[1].startswith("'worker' ended with signal SIGKILL and is started again in 0.5 s.")


async def test_a_worker_that_asks_for_it_is_replaced_at_once_and_not_later_the_next_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restarts, "_SETTLED_SECONDS", 0)
    starts = tmp_path / "starts"
    # Every third end is not asked for.
    ends = (
        f"import os; file = open({str(starts)!r}, 'a'); file.write('x'); file.flush(); "
        f"os._exit(1 if file.tell() % 3 == 0 else {REPLACE})"
    )
    worker = KeptProcess("worker", [sys.executable, "-c", ends], dict(os.environ))
    lines: asyncio.Queue[str] = asyncio.Queue()
    async with Children(tmp_path) as children:
        await worker.start(children)
        async with kept_running(children, [worker], lines.put_nowait):
            said = [await asyncio.wait_for(lines.get(), 60) for _ in range(6)]
    log = children.log("worker")
    replaced = f"'worker' ended with exit code {REPLACE} and is started again at once. Its log: {log}"
    ended = "'worker' ended with exit code 1 and is started again in {} s. Its log: {}"
    assert said == [replaced, replaced, ended.format(0.5, log), replaced, replaced, ended.format(1, log)]


async def test_a_worker_that_cannot_be_replaced_is_tried_later_each_time(tmp_path: Path) -> None:
    program = tmp_path / "worker.sh"
    program.write_text(f"#!/bin/sh\nrm {program}\nexit {REPLACE}\n")
    program.chmod(0o755)
    worker = KeptProcess("worker", [str(program)], dict(os.environ))
    lines: asyncio.Queue[str] = asyncio.Queue()
    async with Children(tmp_path) as children:
        await worker.start(children)
        async with kept_running(children, [worker], lines.put_nowait):
            said = [await asyncio.wait_for(lines.get(), 60) for _ in range(3)]
    assert ["in 0.5 s" in said[0], "cannot be started" in said[1], "in 1 s" in said[2]] == [True, True, True]
