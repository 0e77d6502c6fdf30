"""The watchdog names the line that holds up the event loop, once, and nothing else."""

import asyncio
import subprocess
import sys
import threading

import pytest

from k8gentai.workers.isolation import watchdog


class Log:
    """Keeps what is told."""

    def __init__(self) -> None:
        self.told: list[dict] = []
        self.came = threading.Event()

    def warning(self, event: str, **fields: object) -> None:
        self.told.append({"event": event, **fields})
        self.came.set()


@pytest.fixture
def log(monkeypatch):
    made = Log()
    monkeypatch.setattr(watchdog, "log", made)
    return made


@pytest.fixture
async def watching(log):
    made = watchdog.Watchdog(0.05)
    made.start()
    yield made
    made.stop()


async def test_the_line_that_blocks_is_named_once(watching, log):
    def block() -> None:
        assert log.came.wait(20)  # this line

    block()
    await asyncio.sleep(0)
    log.came.clear()
    # Another place is told of, the same one is not.
    assert log.came.wait(20)
    first, second = log.told
    assert (first["event"], first["function"]) == ("event_loop_blocked", "block")
    assert first["line"].endswith("# this line")
    assert first["place"].startswith(__file__)
    assert second["function"] == "test_the_line_that_blocks_is_named_once"


async def test_a_loop_that_waits_is_not_blocked(watching, log):
    answered = asyncio.Event()
    asyncio.get_running_loop().call_later(0.3, answered.set)
    await answered.wait()
    assert log.told == []


async def test_a_program_that_is_waited_for_blocks_the_loop_too(watching, log):
    def block() -> None:
        command = [sys.executable, "-c", "import time; time.sleep(600)"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as program:

            def end() -> None:
                log.came.wait(20)
                program.kill()

            threading.Thread(target=end).start()
            # Reads what it prints with a selector, as the loop itself waits.
            program.communicate()

    block()
    assert [told["function"] for told in log.told] == ["block"]
