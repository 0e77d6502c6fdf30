"""What ``k8gentai agents call`` prints of a stack that refuses, or goes away."""

import asyncio
import io
import json
import os
import pty
import re
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import httpx
import pytest
from rich.console import Console

from k8gentai.stack.commands.agents import call
from k8gentai.stack.environments.installed import SetUpError
from k8gentai.stack.local.settings import read_settings
from k8gentai.stack.terminal import question
from k8gentai.stack.terminal.question import ask

CREATED = (
    b'data: {"type": "response.created", "response": {"id": "resp_9", "status": "in_progress", "output": []}}\n\n'
)
BEGUN = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
REQUEST = {"type": "mcp_approval_request", "id": "mcpr_1", "name": "pay", "arguments": '{"amount": 5}'}


def asking(*left: object) -> bytes:
    """Return a stream in which a request is made, and whose response has what is left of it."""
    events = (
        {"type": "response.output_item.done", "item": REQUEST},
        {"type": "response.completed", "response": {"id": "resp_9", "status": "completed", "output": left}},
    )
    body = "".join(f"data: {json.dumps(event)}\n\n" for event in events).encode()
    head = f"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
REFUSED = b'{"error": {"message": "Model \'tll\' not found. ' + b"x" * 90 + b'"}}'


@asynccontextmanager
async def answering(sent: bytes) -> AsyncIterator[str]:
    """Serve one answer, after which the connection is closed. Yields the address."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(sent)
        await writer.drain()
        writer.close()

    async with served(serve) as address:
        yield address


@asynccontextmanager
async def served(serve: Serve) -> AsyncIterator[str]:
    """Serve connections on a free port. Yields the address."""
    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield "http://{}:{}".format(*server.sockets[0].getsockname())


async def read_request(reader: asyncio.StreamReader) -> None:
    """Read a request to the end of its body."""
    head = await reader.readuntil(b"\r\n\r\n")
    if length := re.search(rb"content-length: (\d+)", head, re.IGNORECASE):
        await reader.readexactly(int(length[1]))


async def test_a_connection_that_is_closed_after_its_answer_loses_no_question() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(asking())
        await writer.drain()
        # A second request on the same connection comes too late.
        await reader.read(1)
        writer.close()

    async with served(serve) as address:
        assert await ask(address, "till", "Go.", Console(file=io.StringIO()))


async def test_a_stack_that_goes_away_in_mid_answer_leaves_the_turn_to_be_looked_at() -> None:
    sent = BEGUN + f"{len(CREATED):x}\r\n".encode() + CREATED + b"\r\n"
    async with answering(sent) as address:
        with pytest.raises(SetUpError, match="k8gentai turns show resp_9"):
            await ask(address, "till", "Go.", Console(file=io.StringIO()))


@pytest.mark.parametrize(
    ("pool", "waits"),
    [
        ("", "No worker of crewai that serves 'till' runs; the turn waits for one ('k8gentai worker crewai')."),
        (
            '"pool": "gpu", ',
            (
                "No worker of the pool 'gpu' that serves 'till' runs; the turn waits for one "
                "('k8gentai worker crewai --pool gpu')."
            ),
        ),
    ],
)
async def test_a_turn_that_waits_for_a_worker_says_so(pool: str, waits: str) -> None:
    known = f'{{{pool}"framework": "crewai", "health": {{"status": "no_worker"}}}}'.encode()
    printed = io.StringIO()
    # The same answer to both questions: how the agent is, and what it says.
    head = f"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: {len(known)}\r\n\r\n"
    async with answering(head.encode() + known) as address:
        await ask(address, "till", "Go.", Console(file=printed, width=80))
    assert printed.getvalue().splitlines()[1] == waits


async def test_workers_that_serve_other_agents_are_spoken_of() -> None:
    known = b'{"framework": "crewai", "pool": "gpu", "health": {"status": "no_worker", "workers_of_others": 2}}'
    printed = io.StringIO()
    head = f"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: {len(known)}\r\n\r\n"
    async with answering(head.encode() + known) as address:
        await ask(address, "till", "Go.", Console(file=printed, width=80))
    assert printed.getvalue().splitlines()[1] == (
        "No worker serves 'till': the 2 of its pool serve other agents (--agents), and hand its turns back."
    )


async def test_a_refusal_is_printed_in_its_own_words_and_one_line() -> None:
    head = f"HTTP/1.1 404 Not Found\r\ncontent-length: {len(REFUSED)}\r\n\r\n".encode()
    printed = io.StringIO()
    async with answering(head + REFUSED) as address:
        assert not await ask(address, "tll", "Go.", Console(file=printed, width=80))
    assert printed.getvalue().splitlines()[1] == f"404: Model 'tll' not found. {'x' * 90}"


async def test_nobody_is_asked_about_a_request_that_was_withdrawn() -> None:
    printed = io.StringIO()

    def decide(asked: str) -> tuple[bool, str | None]:
        raise AssertionError(asked)

    async with answering(asking()) as address:
        assert await ask(address, "till", "Go.", Console(file=printed, width=80), decide)
    assert "waits for your decision" not in printed.getvalue()


@pytest.mark.parametrize("key", ["ctrl-c", "ctrl-d"])
async def test_who_leaves_without_a_decision_is_told_how_to_answer(key: str) -> None:
    ours, theirs = pty.openpty()
    async with answering(asking(REQUEST)) as address:
        calling = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "k8gentai.stack.commands.cli", "agents", "call", "till", "Go."),
            env={**os.environ, "AMF_STACK_URL": address},
            stdin=theirs,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        assert calling.stdout is not None
        try:
            shown = await calling.stdout.readuntil(b"y or n")
        except asyncio.IncompleteReadError as ended:
            pytest.fail(f"it ended before it asked: {ended.partial.decode()}")
        if key == "ctrl-c":
            calling.send_signal(signal.SIGINT)
        else:
            os.write(ours, b"\x04")
        shown += await calling.stdout.read()
        code = await calling.wait()
    os.close(ours)
    os.close(theirs)
    assert code == 1
    assert "Answer with: k8gentai turns approve resp_9" in shown.decode()
    assert "Traceback" not in shown.decode()


@pytest.mark.parametrize(
    ("error", "reason"), [(httpx.ReadTimeout(""), "ReadTimeout"), (httpx.ReadError("it hung up."), "it hung up")]
)
def test_a_stack_that_does_not_answer_is_told_of_in_words(
    monkeypatch: pytest.MonkeyPatch, error: httpx.HTTPError, reason: str
) -> None:
    async def broken(*_: object) -> bool:
        raise error

    monkeypatch.setattr(question, "ask", broken)
    settings = replace(read_settings(), stack_url="http://here")
    with pytest.raises(SetUpError) as told:
        call(settings, "till", "Go.", Console(file=io.StringIO()))
    assert str(told.value) == f"The stack at http://here does not answer: {reason}."
