"""A model gateway whose upstream is a function, and whose journal is in memory."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import uvicorn
from starlette.requests import Request

from k8gentai.agents.contract.events import TurnEnd, Usage
from k8gentai.agents.resources.agent import Limits
from k8gentai.workers.attempt.budget import Budget
from k8gentai.workers.attempt.journal import Journal
from k8gentai.workers.attempt.tool_guard import ToolGuard
from k8gentai.workers.gateway.app import gateway
from k8gentai.workers.gateway.model_calls import TURN_HEADER, ModelCalls, OpenAttempts
from k8gentai.workers.gateway.upstream import Upstream
from k8gentai.workers.queue.attempts import Attempts, Lease
from k8gentai.workers.queue.stored import FAILURE, ORDER
from k8gentai.workers.stack.client import StackClient
from k8gentai.workers.stack.credentials import Caller, StaticKey

SERVED = {"id": "openai/gpt-4o", "custom_metadata": {"provider_resource_id": "gpt-4o"}}
ANSWER = {
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
    "usage": {
        "prompt_tokens": 5,
        "completion_tokens": 2,
        "total_tokens": 7,
        "prompt_tokens_details": {"cached_tokens": 1},
    },
}
HEAD = {"id": "", "object": "chat.completion", "created": 0, "model": "m"}
"""What the gateway adds to an answer of the model ``m`` that has no head."""
STAYING = Request({"type": "http"}, lambda: asyncio.get_running_loop().create_future())
"""A request whose client stays."""


class Kept(Attempts):
    """Stands for Redis: keeps what a journal records, in memory, as record.lua does."""

    def __init__(self) -> None:
        self.entries: dict[str, str] = {}
        self._news = asyncio.Condition()
        self.places: dict[str, str] = {}
        """Where they stand in their order, by the keys that they have in a journal."""

    async def record(self, lease: Lease, key: str, value: str, place: str = "{}") -> bool:
        name = f"{ORDER}{key.removeprefix(FAILURE)}"
        self.entries[key] = value
        if not value:
            del self.entries[key]
            self.places.pop(name, None)
        elif not key.startswith("tool "):
            self.places[name] = json.dumps({**json.loads(place), "number": len(self.places), "at": time.time()})
        async with self._news:
            self._news.notify_all()
        return True

    def of(self, kind: str) -> list[str]:
        """Return the entries of a kind."""
        return [value for key, value in self.entries.items() if key.startswith(kind)]

    async def until(self, kind: str) -> str:
        """Wait for the first entry of a kind, and return it."""
        async with asyncio.timeout(10), self._news:
            await self._news.wait_for(lambda: self.of(kind))
        return self.of(kind)[0]


class Bench:
    """A gateway whose upstream is a function."""

    def __init__(
        self, answer: Callable[[httpx.Request], httpx.Response | Awaitable[httpx.Response]], **calls: Any
    ) -> None:
        self.asked: list[httpx.Request] = []
        self.usage: list[Usage] = []
        self.ended: list[str] = []
        self.attempts = OpenAttempts("http://gateway/v1")
        self.kept = Kept()
        self.model = calls.get("model")
        self.ends: list[TurnEnd] = []
        self.allowed = Limits().model_copy(
            update={"tokens": calls.get("tokens"), "steps": calls.get("max_steps", 9)}
        )
        self.run_again()

        async def ask(request: httpx.Request) -> httpx.Response:
            if request.url.path == "/v1/models":
                return httpx.Response(200, json={"data": [SERVED]})
            self.asked.append(request)
            answered = answer(request)
            return answered if isinstance(answered, httpx.Response) else await answered

        stack = StackClient(
            "http://stack",
            calls.get("credentials", StaticKey("the-credential")),
            transport=httpx.MockTransport(ask),
        )
        self.upstream = Upstream(stack, calls.get("restart_seconds", 60))
        self.app = gateway(self.attempts, self.upstream)
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://gateway")

    def run_again(self, turn_id: str = "resp_1") -> None:
        """Begin a new attempt, with the journal of those before."""
        self.budget = Budget(self.allowed, self.ends.append)
        attempts: Any = self.kept
        journal = Journal(attempts, Lease("resp_1", 1), self.kept.entries | self.kept.places)
        took = self.usage.append, self.ended.append
        self.guard = ToolGuard(
            {"theirs"}, {"Shape"}, {"ruled", "kept"}, self.ends.append, earlier={"earlier"}, asking={"ruled"}
        )
        self.calls = ModelCalls(
            Caller(turn_id, 1),
            self.model,
            self.budget,
            *took,
            journal,
            guard=self.guard,
        )
        self.attempts.open(self.calls)

    async def post(self, body: object, **headers: str) -> httpx.Response:
        return await self.client.post(
            "/v1/chat/completions", json=body, headers=headers or {TURN_HEADER: self.calls.attempt.key}
        )

    @asynccontextmanager
    async def served(self) -> AsyncIterator[None]:
        """Serve it on loopback, where its client may leave."""
        server = uvicorn.Server(uvicorn.Config(self.app, port=0, log_config=None, lifespan="off"))
        listening = server.config.bind_socket()
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        host, port = listening.getsockname()
        try:
            async with httpx.AsyncClient(base_url=f"http://{host}:{port}") as self.client:
                yield
        finally:
            server.should_exit = True
            await serving
