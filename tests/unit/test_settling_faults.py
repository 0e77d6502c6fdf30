"""Turns are settled as soon as Redis does its work again, also those that an error or a lost answer met."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from llama_stack_api.conversations import CreateConversationRequest

from k8gentai.agents.events import TurnCompleted
from k8gentai.providers.settle import Settler
from k8gentai.stack.drill.proxy import RedisProxy, Route, serving
from k8gentai.workers.attempts import Attempts
from k8gentai.workers.turns import Turns
from tests.support.accepting import ask
from tests.support.connected import connected
from tests.support.providers import Floor


class Aimed(RedisProxy):
    """Makes one fault, at one command."""

    command = b""
    refusal: str | None = None
    """What is answered in its stead; where there is none, it is carried out and its answer is lost."""

    def _route(self, server: asyncio.StreamWriter, client: asyncio.StreamWriter) -> Route:
        passing = super()._route(server, client)

        def route(data: bytes) -> tuple[asyncio.StreamWriter, bytes]:
            if not self.command or self.command not in data:
                return passing(data)
            self.command = b""
            if self.refusal is None:
                client.transport.abort()
                return passing(data)
            with self.refusing(self.refusal):
                return passing(data)

        return route


@pytest.fixture
async def proxy(valkey: Any) -> AsyncIterator[Aimed]:
    async with serving(Aimed(lambda: asyncio.open_connection("127.0.0.1", valkey.port))) as made:
        yield made


@pytest.mark.parametrize("refusal", ["OOM", None], ids=["refused", "lost"])
@pytest.mark.parametrize("command", ["XAUTOCLAIM", "XREADGROUP", "EVALSHA", "LINDEX"])
async def test_a_fault_while_a_turn_is_settled_does_not_hold_up_its_conversation(
    served: Floor, valkey: Any, proxy: Aimed, command: str, refusal: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is left to the time after which what one server was given goes to another."""
    monkeypatch.setattr("k8gentai.workers.turns.RECLAIM_SECONDS", 3_600)
    async with connected(valkey.url) as redis, connected(f"redis://127.0.0.1:{proxy.port}/0") as faulty:
        await redis.flushall()
        turns, attempts = Turns(redis), Attempts(redis, "langgraph", "worker")
        made = await served.conversations.create_conversation(CreateConversationRequest())
        await ask(turns, conversation=made.id)
        following = await ask(turns, conversation=made.id)
        started = await attempts.start(await attempts.take(1))
        await attempts.append(started.lease, 2, [TurnCompleted()])

        proxy.command, proxy.refusal = command.encode(), refusal
        settler = Settler(Turns(faulty), served.store, served.histories, served.agents.sessions)
        settler.start()
        while (taken := await attempts.take(1)) is None:
            pass
        await settler.stop()
        assert proxy.command == b""
        assert taken == following
