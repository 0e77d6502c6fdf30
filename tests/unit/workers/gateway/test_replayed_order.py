"""Answers that the gateway gives from a journal come in the order in which they came first."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.support.gateway import ANSWER, Bench

END = {"choices": [{"index": 0, "delta": {"content": "Yes."}, "finish_reason": "stop"}]}
VECTORS = {"data": [{"index": 0, "embedding": [1.0]}], "usage": {"prompt_tokens": 1, "total_tokens": 1}}

Ask = Callable[[Bench, str], Any]


async def whole(bench: Bench, said: str) -> httpx.Response:
    return await bench.post({"model": "m", "messages": [{"role": "user", "content": said}]})


async def streamed(bench: Bench, said: str) -> httpx.Response:
    return await bench.post({"model": "m", "messages": [{"role": "user", "content": said}], "stream": True})


async def embedded(bench: Bench, said: str) -> httpx.Response:
    key = {"authorization": f"Bearer {bench.calls.attempt.key}"}
    return await bench.client.post("/v1/embeddings", json={"model": "m", "input": said}, headers=key)


async def refused(bench: Bench, said: str) -> httpx.Response:
    return await whole(bench, f"{said}, refused")


def answered(request: httpx.Request) -> httpx.Response:
    if b"refused" in request.content:
        return httpx.Response(400, json={"error": {"message": "no"}})
    if request.url.path.endswith("embeddings"):
        return httpx.Response(200, json=VECTORS)
    if json.loads(request.content).get("stream"):
        return httpx.Response(200, text=f"data: {json.dumps(END)}\n\ndata: [DONE]\n\n")
    return httpx.Response(200, json=ANSWER)


@pytest.mark.parametrize("ask", [whole, streamed, embedded, refused])
async def test_what_came_first_comes_first_again(ask: Ask) -> None:
    """Though the agent asks for the other one first."""
    may_come = asyncio.Event()

    async def answer(request: httpx.Request) -> httpx.Response:
        if b"slow" in request.content:
            await may_come.wait()
        return answered(request)

    bench = Bench(answer)
    came: list[str] = []

    async def note(said: str) -> None:
        await ask(bench, said)
        came.append(said)

    slow = asyncio.create_task(note("slow"))
    # What came that much later comes later again.
    await asyncio.wait({slow}, timeout=0.1)
    await note("quick")
    may_come.set()
    await slow
    places = sorted((json.loads(place) for place in bench.kept.places.values()), key=lambda place: place["number"])
    assert [place["attempt"] for place in places] == [1, 1]
    assert places[0]["waited"] < places[1]["waited"] <= places[1]["since_begin"]
    assert places[1]["waited"] > 0.05
    bench.run_again()
    slow = asyncio.create_task(note("slow"))
    await asyncio.wait({slow}, timeout=0.05)
    await asyncio.gather(slow, note("quick"))
    assert came == ["quick", "slow", "quick", "slow"]
    assert len(bench.asked) == 2
