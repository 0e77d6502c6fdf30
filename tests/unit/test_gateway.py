"""The model gateway: attribution, counting, retries, the end of a call with its turn."""

import asyncio
import gc
import itertools
import json
from collections.abc import AsyncIterator, Callable

import httpx
import pytest

from k8gentai.agents.definition import Limits
from k8gentai.agents.events import TurnEnd, TurnFailed, Usage
from k8gentai.workers import upstream as upstream_module
from k8gentai.workers.attempts import Lease
from k8gentai.workers.budget import Budget
from k8gentai.workers.calls import TURN_HEADER, ModelCalls, OpenAttempts
from k8gentai.workers.endings import failure
from k8gentai.workers.gateway import _Call, gateway
from k8gentai.workers.journal import Journal
from k8gentai.workers.upstream import Upstream

SERVED = {"id": "openai/gpt-4o", "custom_metadata": {"provider_resource_id": "gpt-4o"}}
ANSWER = {
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 5, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 1}},
}


class Kept:
    """Stands for Redis: keeps what a journal records, in memory."""

    def __init__(self) -> None:
        self.entries: dict[str, str] = {}

    async def record(self, lease: Lease, key: str, value: str) -> bool:
        self.entries[key] = value
        return True


class Bench:
    """A gateway whose upstream is a function."""

    def __init__(self, answer: Callable[[httpx.Request], httpx.Response], **calls: object) -> None:
        self.asked: list[httpx.Request] = []
        self.usage: list[Usage] = []
        self.ended: list[str] = []
        self.attempts = OpenAttempts("http://gateway/v1")
        self.kept = Kept()
        self.limits = (calls.get("model"), calls.get("max_steps", 9))
        self.ends: list[TurnEnd] = []
        self.budget = Budget(Limits(tokens=calls.get("tokens")), self.ends.append)  # type: ignore[arg-type]
        self.run_again()

        def ask(request: httpx.Request) -> httpx.Response:
            if request.url.path == "/v1/models":
                return httpx.Response(200, json={"data": [SERVED]})
            self.asked.append(request)
            return answer(request)

        self.upstream = Upstream("http://stack", "the-credential", calls.get("restart_seconds", 60))  # type: ignore[arg-type]
        self.upstream._client._transport = httpx.MockTransport(ask)
        self.client = httpx.AsyncClient(
            transport=httpx.ASGITransport(gateway(self.attempts, self.upstream)), base_url="http://gateway"
        )

    def run_again(self) -> None:
        """Begin a new attempt, with the journal of those before."""
        journal = Journal(self.kept, Lease("resp_1", 1), dict(self.kept.entries))  # type: ignore[arg-type]
        took = self.usage.append, self.ended.append
        self.calls = ModelCalls("resp_1", *self.limits, self.budget, *took, journal)  # type: ignore[arg-type]
        self.attempts.open(self.calls)

    async def post(self, body: object, **headers: str) -> httpx.Response:
        return await self.client.post(
            "/v1/chat/completions", json=body, headers=headers or {TURN_HEADER: self.calls.key}
        )


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upstream_module, "_RETRIES_SECONDS", (0.0, 0.0))


async def test_a_stack_that_stays_away_is_told() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("All connection attempts failed", request=request)

    bench = Bench(refuse, restart_seconds=0)
    refused = await bench.post({"model": "m", "messages": []})
    assert refused.status_code == 503
    assert "the stack could not be reached (All connection attempts failed)" in refused.json()["error"]["message"]


async def test_a_call_of_no_running_turn_is_refused_before_anything_is_sent() -> None:
    bench = Bench(lambda _: httpx.Response(200, json=ANSWER))
    assert (await bench.post({"model": "m"}, authorization="Bearer other")).status_code == 401
    bench.attempts.close(bench.calls)
    assert (await bench.post({"model": "m"})).status_code == 401
    assert bench.asked == []


async def test_the_throw_away_key_works_as_an_api_key_and_the_credential_takes_its_place() -> None:
    bench = Bench(lambda _: httpx.Response(200, json=ANSWER))
    answer = await bench.post({"model": "m"}, authorization=f"Bearer {bench.calls.key}")
    assert answer.json() == ANSWER
    assert bench.asked[0].headers["authorization"] == "Bearer the-credential"
    assert bench.calls.key not in str(bench.asked[0].headers)
    assert bench.usage == [Usage(model="m", input_tokens=5, output_tokens=2, cached_tokens=1)]


async def test_the_definitions_model_takes_the_place_of_the_codes() -> None:
    bench = Bench(lambda _: httpx.Response(200, json=ANSWER), model="served/small")
    await bench.post({"model": "gpt-4o"})
    assert json.loads(bench.asked[0].content)["model"] == "served/small"


async def test_what_is_busy_is_asked_again_and_what_is_wrong_is_not() -> None:
    answers = iter([httpx.Response(429), httpx.Response(503), httpx.Response(200, json=ANSWER)])
    bench = Bench(lambda _: next(answers))
    assert (await bench.post({"model": "m"})).status_code == 200
    assert len(bench.asked) == 3

    bench = Bench(lambda _: httpx.Response(400, json={"error": {"message": "no such model"}}))
    refused = await bench.post({"model": "m"})
    assert refused.status_code == 400
    assert refused.headers["x-should-retry"] == "false"
    assert str(bench.calls.error) == "model m: answered 400: no such model"
    assert len(bench.asked) == 1


def stream(*chunks: object) -> httpx.Response:
    return httpx.Response(200, text="".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks))


TEXT = {"choices": [{"index": 0, "delta": {"content": "h"}, "finish_reason": None}]}
END = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
FIGURES = {"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 2}}


async def test_a_streams_tokens_are_counted_and_not_shown_to_who_did_not_ask() -> None:
    bench = Bench(lambda _: stream(TEXT, END, FIGURES))
    answer = await bench.post({"model": "m", "stream": True})
    assert answer.text == f"data: {json.dumps(TEXT)}\n\ndata: {json.dumps(END)}\n\ndata: [DONE]\n\n"
    assert json.loads(bench.asked[0].content)["stream_options"] == {"include_usage": True}
    assert bench.usage == [Usage(model="m", input_tokens=5, output_tokens=2)]


async def test_a_model_that_hangs_up_is_asked_again_only_if_nothing_was_shown() -> None:
    answers = iter([stream(), stream(TEXT)])
    bench = Bench(lambda _: next(answers))
    answer = await bench.post({"model": "m", "stream": True})
    assert len(bench.asked) == 2
    assert json.loads(answer.text.splitlines()[2][6:])["error"]["message"] == "model m: hung up in mid-answer"
    assert str(bench.calls.error) == "model m: hung up in mid-answer"


@pytest.mark.parametrize(
    ("status", "code", "told"),
    [
        (400, "invalid_base64", "invalid_base64_image"),
        (400, "invalid_image_url", "invalid_image_url"),
        (400, "model_not_found", "model_error"),
        (400, "server_error", "model_error"),
        (400, {}, "model_error"),
        (429, None, "rate_limit_exceeded"),
    ],
)
async def test_a_turn_fails_with_the_models_code_where_the_responses_api_has_it(
    status: int, code: object, told: str
) -> None:
    error = {"error": {"message": "no", "code": code}}
    bench = Bench(lambda _: httpx.Response(status, json=error))
    await bench.post({"model": "m"})
    assert failure(ValueError("as the framework puts it"), bench.calls) == TurnFailed(
        code=told, message=f"model m: answered {status}: no"
    )


async def test_a_turn_has_a_limit_of_model_calls() -> None:
    bench = Bench(lambda _: httpx.Response(200, json=ANSWER), max_steps=1)
    assert (await bench.post({"model": "m"})).status_code == 200
    assert (await bench.post({"model": "m"})).json()["error"]["code"] == "step_limit"
    assert len(bench.asked) == 1


async def test_a_turn_that_has_used_its_tokens_asks_no_more_and_ends() -> None:
    bench = Bench(lambda _: httpx.Response(200, json=ANSWER), tokens=14)
    assert (await bench.post({"model": "m"})).status_code == 200
    assert (await bench.post({"model": "m"})).status_code == 200
    assert (await bench.post({"model": "m"})).json()["error"]["code"] == "budget_exceeded"
    assert len(bench.asked) == 2
    (end,) = bench.ends
    assert isinstance(end, TurnFailed)
    assert "14 tokens" in end.message


async def test_the_models_stream_is_closed_when_the_attempt_is_over_though_the_agent_reads_on() -> None:
    closed = asyncio.Event()
    shown = asyncio.Event()

    class Endless(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield f"data: {json.dumps(TEXT)}\n\n".encode()
            shown.set()
            await asyncio.Event().wait()

        async def aclose(self) -> None:
            closed.set()

    bench = Bench(lambda _: httpx.Response(200, stream=Endless()))
    reading = asyncio.create_task(bench.post({"model": "m", "stream": True}))
    await asyncio.wait_for(shown.wait(), 10)
    bench.attempts.close(bench.calls)
    await asyncio.wait_for(closed.wait(), 10)
    assert (await asyncio.wait_for(reading, 10)).text.endswith("data: [DONE]\n\n")


async def test_so_it_is_when_the_agent_does_not_read_what_the_model_sends() -> None:
    closed, full = asyncio.Event(), asyncio.Event()

    class Flood(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            for number in itertools.count():
                if number > 150:
                    full.set()
                yield f"data: {json.dumps(TEXT)}\n\n".encode()

        async def aclose(self) -> None:
            closed.set()

    bench = Bench(lambda _: httpx.Response(200, stream=Flood()))
    call = _Call(bench.calls, bench.upstream, {"model": "m", "stream": True})
    gc.disable()
    try:
        unread = await call.streamed()
        # The gateway stops reading when its buffer is full.
        done, _ = await asyncio.wait({asyncio.create_task(full.wait())}, timeout=0.2)
        assert not done
        bench.attempts.close(bench.calls)
        await asyncio.wait_for(closed.wait(), 10)
    finally:
        gc.enable()
    assert unread.status_code == 200


async def test_an_attempt_run_again_is_answered_from_the_journal_equal_calls_in_their_order() -> None:
    answers = iter(f"answer {n}" for n in range(9))

    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={**ANSWER, "id": next(answers)})

    bench = Bench(answer)
    same = {"model": "m", "messages": [{"role": "user", "content": "again"}]}
    first = [(await bench.post(body)).json()["id"] for body in (same, same, {"model": "other"})]
    bench.run_again()
    again = [(await bench.post(body)).json()["id"] for body in ({"model": "other"}, same, same)]
    assert again == [first[2], first[0], first[1]]
    assert len(bench.asked) == 3
    assert (await bench.post(same)).json()["id"] == "answer 3"
    assert not any(bench.calls.key in entry or "the-credential" in entry for entry in bench.kept.entries.values())


async def test_a_recorded_stream_is_streamed_again_in_the_same_chunks() -> None:
    bench = Bench(lambda _: stream(TEXT, TEXT, END, FIGURES))
    first = await bench.post({"model": "m", "stream": True})
    bench.run_again()
    assert (await bench.post({"model": "m", "stream": True})).text == first.text
    assert len(bench.asked) == 1


async def test_an_agent_sees_the_end_of_an_answer_only_when_it_is_kept() -> None:
    bench = Bench(lambda _: stream(TEXT, END))
    keep = asyncio.Event()

    async def slow(lease: Lease, key: str, value: str) -> bool:
        await keep.wait()
        return True

    bench.kept.record = slow  # type: ignore[method-assign]
    reading = asyncio.create_task(bench.post({"model": "m", "stream": True}))
    done, _ = await asyncio.wait({reading}, timeout=0.2)
    assert not done
    keep.set()
    assert "finish_reason" in (await reading).text


async def test_tool_calls_of_one_turn_never_share_an_id_and_keep_theirs_when_run_again() -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        message = {"role": "assistant", "tool_calls": [{"id": "call_0", "type": "function"}]}
        return httpx.Response(200, json={"choices": [{"index": 0, "message": message}]})

    bench = Bench(answer)

    async def ids() -> list[str]:
        answers = [(await bench.post({"model": "m", "messages": [number]})).json() for number in range(3)]
        return [answer["choices"][0]["message"]["tool_calls"][0]["id"] for answer in answers]

    first = await ids()
    assert first[0] == "call_0"
    assert len(set(first)) == 3
    bench.run_again()
    assert await ids() == first
    assert len(bench.asked) == 3


async def test_a_models_own_name_finds_the_model_the_stack_serves() -> None:
    bench = Bench(lambda _: httpx.Response(200, json=ANSWER))
    for name in ("gpt-4o", "openai/gpt-4o", "unheard-of"):
        await bench.post({"model": name})
    asked = [json.loads(request.content)["model"] for request in bench.asked]
    assert asked == ["openai/gpt-4o", "openai/gpt-4o", "unheard-of"]
