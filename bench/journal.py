"""What journaling adds to a model call.

    python -m bench.journal

starts Valkey, a server and a scripted model, and makes the same streamed calls through a worker's gateway with its
journal and with a stand-in that records nothing, one after the other in alternation. The model answers at once, so
what is seen is overhead alone: with a real model, seconds of its own stand on both sides.
"""

import asyncio
import socket
import statistics
import tempfile
import time
from pathlib import Path

import httpx
import uvicorn
from rich.console import Console
from rich.table import Table

from bench.stack import start_stack
from k8gentai.agents.contract.turn import Turn
from k8gentai.agents.resources.agent import Limits
from k8gentai.stack.conformance.lab import MODEL
from k8gentai.stack.conformance.scripted import Answer, ScriptedModel
from k8gentai.stack.local.children import Children
from k8gentai.stack.local.temporary_stack import TemporaryStack
from k8gentai.workers.attempt.budget import Budget
from k8gentai.workers.attempt.journal import Journal
from k8gentai.workers.attempt.journal_entries import Answer as Recorded
from k8gentai.workers.attempt.tool_guard import ToolGuard
from k8gentai.workers.gateway.app import gateway
from k8gentai.workers.gateway.model_calls import TURN_HEADER, ModelCalls, OpenAttempts
from k8gentai.workers.gateway.upstream import Upstream
from k8gentai.workers.queue.attempts import Attempts, Lease
from k8gentai.workers.queue.connection import connect
from k8gentai.workers.queue.record import AcceptedTurn
from k8gentai.workers.queue.turns import Turns
from k8gentai.workers.stack.client import StackClient
from k8gentai.workers.stack.credentials import Caller, StaticKey

CALLS = 200
"""Of each kind, with and without, after some to warm up."""
WARM_UP = 20
PIECES = {"short": 5, "long": 300}
"""Answers, by the pieces they come in."""


class Unrecorded(Journal):
    """A journal that keeps nothing."""

    async def record_answer(self, key: str, answer: Recorded, around: str = "") -> None:
        pass


async def lease_of_a_turn(redis_url: str, turn_id: str) -> tuple[Attempts, Lease]:
    """Have a turn accepted and take it, as a worker does."""
    redis = connect(redis_url)

    async def no_history() -> list[dict[str, object]]:
        return []

    turn = Turn(id=turn_id, agent="bench", input=[])
    accepted = AcceptedTurn(turn=turn, framework="langgraph")
    await Turns(redis).accept(accepted, no_history)
    attempts = Attempts(redis, "langgraph", "bench", lease_seconds=3600)
    taken = await attempts.take(1)
    assert taken is not None
    started = await attempts.start(taken)
    assert started is not None
    return attempts, started.lease


async def seconds_of_calls(stack: TemporaryStack, prompt: str, turn_id: str) -> dict[str, list[float]]:
    """Make the calls of one kind of answer. Returns the seconds each took, with the journal and without."""
    attempts, lease = await lease_of_a_turn(stack.redis_url, turn_id)
    stack_client = StackClient(stack.stack_url, StaticKey())
    listening = socket.create_server(("127.0.0.1", 0))
    open_attempts = OpenAttempts("unused")
    config = uvicorn.Config(
        gateway(open_attempts, Upstream(stack_client)), log_config=None, lifespan="off", access_log=False
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    journals = {"journal": Journal(attempts, lease, {}), "none": Unrecorded(attempts, lease, {})}
    budget = Budget(Limits(steps=1_000), lambda _: None)
    keys = {}
    for name, journal in journals.items():
        guard = ToolGuard((), (), (), lambda _: None)
        calls = ModelCalls(
            Caller(lease.turn_id, lease.attempt),
            MODEL,
            budget,
            lambda _: None,
            lambda _: None,
            journal,
            guard=guard,
        )
        open_attempts.open(calls)
        keys[name] = calls.attempt.key
    found: dict[str, list[float]] = {name: [] for name in journals}
    body = {"model": MODEL, "stream": True, "messages": [{"role": "user", "content": prompt}]}
    url = f"http://127.0.0.1:{listening.getsockname()[1]}/v1/chat/completions"
    async with httpx.AsyncClient(timeout=60) as client:
        for number in range(WARM_UP + CALLS):
            for name in journals:
                began = time.perf_counter()
                answer = await client.post(url, json=body, headers={TURN_HEADER: keys[name]})
                assert answer.text.endswith("data: [DONE]\n\n"), answer.text
                if number >= WARM_UP:
                    found[name].append(time.perf_counter() - began)
    server.should_exit = True
    await serving
    await stack_client.close()
    return found


def show(rows: list[tuple[str, float, float]]) -> None:
    table = Table("answer", "ms without", "ms with", "ratio", title="A model call with and without its journal")
    for name, without, with_journal in rows:
        table.add_row(name, f"{without:.2f}", f"{with_journal:.2f}", f"{with_journal / without:.3f}")
    Console().print(table)


async def run(directory: Path) -> list[tuple[str, float, float]]:
    """Measure everything. Returns for each kind of answer the median milliseconds without and with."""
    model = ScriptedModel()
    model.start()
    no_agents = directory / "agents"
    no_agents.mkdir()
    rows = []
    try:
        async with Children(directory / "logs") as children:
            stack = await start_stack(children, directory, model.base_url, no_agents, {})
            for name, pieces in PIECES.items():
                model.script(name, *([Answer(*["a word "] * pieces)] * 2 * (WARM_UP + CALLS)))
                found = await seconds_of_calls(stack, f"[[{name}]] Speak.", f"resp_{name}")
                without, with_journal = (1000 * statistics.median(found[kind]) for kind in ("none", "journal"))
                rows.append((f"{name}, {pieces} pieces", without, with_journal))
    finally:
        model.stop()
    return rows


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        show(asyncio.run(run(Path(made))))
