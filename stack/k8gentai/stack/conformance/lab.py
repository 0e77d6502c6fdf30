"""The means that a check works with: a client, the model's script, a file, and the processes."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import openai

from k8gentai.stack.conformance.expect import CheckFailedError, equal, eventually
from k8gentai.stack.conformance.scripted import Call, Received, ScriptedModel, Step
from k8gentai.workers.queue.connection import connect
from k8gentai.workers.queue.record import TurnRecord
from k8gentai.workers.queue.turns import Turns
from k8gentai.workers.queue.worker_name import pid_in

MODEL = "openai/scripted-model"
"""The scripted model as the stack names it: ``INFERENCE_MODEL`` of all that is started."""

_ENDS = {"response.completed", "response.failed", "response.incomplete"}
_REQUEST_SECONDS = 120


class Processes(Protocol):
    """The stack that checks run on: a server, and workers of the framework."""

    @property
    def stack_url(self) -> str:
        """The server's."""
        ...

    @property
    def redis_url(self) -> str:
        """The Redis's."""
        ...

    def worker_pids(self) -> list[int]:
        """Process ids of the workers that run."""
        ...

    async def kill_worker(self, pid: int) -> None:
        """``kill -9`` a worker, and start another; returns once there is one that can take turns."""
        ...


@dataclass(frozen=True)
class Lab:
    """One check's own: nothing of it is shared with another check but the processes."""

    framework: str
    client: openai.AsyncOpenAI
    model: ScriptedModel
    processes: Processes
    turns: Turns
    key: str
    """Names the check's script: see :meth:`prompt`."""
    page: Path
    """The file that the scribe writes to."""

    def prompt(self, words: str = "Hello.", part: object = "") -> str:
        """Return a prompt that the model answers by the check's script, or by a part of it that :meth:`script`
        named.
        """
        return f"[[{self._key(part)}]] {words}"

    def script(self, *steps: Step, part: object = "") -> None:
        """Have the model answer with these steps, in order."""
        self.model.script(self._key(part), *steps)

    def requests(self, part: object = "") -> list[Received]:
        """Return what the model was asked, in order."""
        return self.model.requests(self._key(part))

    async def request(self, number: int = 0, part: object = "") -> Received:
        """Wait for a model call, the first being 0.

        Raises:
            AssertionError: it did not come.
        """
        return await self.model.request(self._key(part), number)

    async def send(self, **request: Any) -> Any:
        """Create a response: any request, as nothing of it is to be known to the SDK's types."""
        responses: Any = self.client.responses
        return await responses.create(**request)

    async def ask(self, agent: str, words: str = "Hello.", part: object = "", **options: Any) -> Any:
        """Send a turn and wait for its response."""
        return await self.send(model=agent, input=self.prompt(words, part), **options)

    async def answer(self, agent: str, words: str = "Hello.", part: object = "", **options: Any) -> Any:
        """Return the same of a turn that must complete.

        Raises:
            CheckFailedError: it did not.
        """
        return completed(await self.ask(agent, words, part, **options))

    async def begin(self, agent: str, part: object = "", **options: Any) -> str:
        """Send a turn without waiting for it. Returns its id."""
        return str((await self.ask(agent, part=part, background=True, **options)).id)

    async def stream(self, agent: str, **options: Any) -> list[Any]:
        """Return the events of a turn, whose numbers are right."""
        return await read(await self.ask(agent, stream=True, **options))

    async def follow(self, turn_id: str) -> list[Any]:
        """Return the events of a turn that was begun, from its first to its last."""
        return await read(await self.client.responses.retrieve(turn_id, stream=True))

    async def record(self, turn_id: str) -> TurnRecord:
        """Return how a turn stands in Redis."""
        return await self.turns.get(turn_id)

    async def kill_worker_of(self, turn_id: str) -> None:
        """``kill -9`` the worker that runs a turn."""
        name = (await self.record(turn_id)).worker
        pid = pid_in(name) if name else None
        if pid is None:
            raise CheckFailedError(f"no worker runs {turn_id}")
        await self.processes.kill_worker(pid)

    def write(self, line: object, tool: str = "write") -> Call:
        """Return a call of one of the scribe's tools."""
        return Call(tool, {"path": str(self.page), "line": str(line)})

    def release(self) -> None:
        """Let the tool ``linger`` come back."""
        self.page.with_suffix(".go").touch()

    def lines(self) -> list[str]:
        """Return what tools wrote so far: each line, and the idempotency key of its call behind a space."""
        return self.page.read_text().splitlines() if self.page.exists() else []

    async def written(self, count: int) -> list[str]:
        """Wait until tools wrote so many lines."""

        async def look() -> list[str]:
            return self.lines()

        return await eventually(f"{count} lines are written", look, lambda lines: len(lines) == count)

    def _key(self, part: object) -> str:
        return f"{self.key}-{part}" if part != "" else self.key


@asynccontextmanager
async def open_lab(
    framework: str, model: ScriptedModel, processes: Processes, key: str, page: Path
) -> AsyncIterator[Lab]:
    """Open a lab for one check.

    Args:
        framework: the one under test.
        model: the model behind the stack's model endpoint.
        processes: the stack.
        key: the check's own, of letters and digits.
        page: a file of its own, which need not exist.
    """
    redis = connect(processes.redis_url)
    try:
        async with openai.AsyncOpenAI(
            base_url=f"{processes.stack_url}/v1", api_key="none", max_retries=0, timeout=_REQUEST_SECONDS
        ) as client:
            yield Lab(framework, client, model, processes, Turns(redis), key, page)
    finally:
        await redis.aclose()


async def read(stream: Any) -> list[Any]:
    """Return all events of a stream.

    Raises:
        CheckFailedError: their numbers have gaps, or the last is not the only end.
    """
    async with asyncio.timeout(_REQUEST_SECONDS):
        events = [event async for event in stream]
    equal("the events' numbers", [event.sequence_number for event in events], list(range(len(events))))
    equal("the ends among the events", [e.type for e in events if e.type in _ENDS], [events[-1].type])
    return events


def completed(response: Any) -> Any:
    """Return the response of a turn that must have completed.

    Raises:
        CheckFailedError: it did not; with its own message.
    """
    if response.status != "completed":
        error = f" ({response.error.reason}: {response.error.message})" if response.error else ""
        raise CheckFailedError(f"the turn ended as {response.status}{error}")
    return response


def failed(response: Any, code: str, *words: str) -> None:
    """Expect the turn to have failed, and to say why.

    Raises:
        CheckFailedError
    """
    equal("the turn's status", response.status, "failed")
    equal("the error's reason", response.error.reason, code)
    for word in words:
        if word not in response.error.message:
            raise CheckFailedError(f"the error's message: expected {word!r} in it, got {response.error.message!r}")
    if "Traceback" in response.error.message:
        raise CheckFailedError("the error's message carries a stack trace")


def items(response: Any, kind: str) -> list[Any]:
    """Return a response's output items of one type."""
    return [item for item in response.output if item.type == kind]


def calls(response: Any) -> list[tuple[str, Any]]:
    """Return the tools that ran: name and arguments."""
    return [(item.name, json.loads(item.arguments)) for item in items(response, "mcp_call")]


def said(events: list[Any]) -> str:
    """Return the text that a stream's deltas make."""
    return "".join(event.delta for event in events if event.type == "response.output_text.delta")
