"""The model gateway: attribution, counting, retries, the end of a call with its turn."""

import asyncio
import gc
import itertools
import json
import re
from collections.abc import AsyncIterator
from functools import partial
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from k8gentai.agents.adapters.base.tool_choice import ToolChoice
from k8gentai.agents.contract.events import TurnFailed, Usage
from k8gentai.workers.attempt.journal_entries import Failure, ToolEntry
from k8gentai.workers.gateway import upstream as upstream_module
from k8gentai.workers.gateway.chat_call import ChatCall
from k8gentai.workers.gateway.model_calls import (
    INNER_HEADER,
    PLACE_HEADER,
    SCOPE_HEADER,
    TURN_HEADER,
)
from k8gentai.workers.process.failures import failure
from tests.support.gateway import ANSWER, HEAD, STAYING, Bench


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upstream_module, "_RETRIES_SECONDS", (0.0, 0.0))


@pytest.mark.parametrize("stream", [True, False])
async def test_a_call_that_breaks_each_connection_is_made_five_times(monkeypatch, stream) -> None:
    def reset(request: httpx.Request) -> httpx.Response:
        raise httpx.RemoteProtocolError("Server disconnected", request=request)

    monkeypatch.setattr(upstream_module, "KNOCK_SECONDS", 0.0)
    bench = Bench(reset)
    refused = await bench.post({"model": "m", "messages": [], "stream": stream})
    assert "the connection to the stack broke (Server disconnected)" in refused.json()["error"]["message"]
    assert len(bench.asked) == 5
    assert bench.calls.lost.done(), "the attempt is made again"


async def test_a_call_that_cannot_be_sent_is_made_once() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.LocalProtocolError("Illegal header value b'Bearer sk-1'", request=request)

    bench = Bench(refuse)
    refused = await bench.post({"model": "m", "messages": []})
    assert "the call cannot be sent (LocalProtocolError)" in refused.json()["error"]["message"]
    assert len(bench.asked) == 1
    assert not bench.calls.lost.done()


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
    of_the_ended = {TURN_HEADER: bench.calls.attempt.key, PLACE_HEADER: "agent.py:7"}
    refused = await bench.post({"model": "m"}, **of_the_ended)
    assert refused.status_code == 401
    # Whoever gave the work to a thread of an ended turn learns what to do.
    assert "at agent.py:7 belongs to is over" in refused.json()["error"]["message"]
    assert "copy_context().run" in refused.json()["error"]["message"]
    assert bench.asked == []


async def test_the_throw_away_key_works_as_an_api_key_and_the_credential_takes_its_place() -> None:
    bench = Bench(lambda _: httpx.Response(200, json=ANSWER))
    answer = await bench.post({"model": "m"}, authorization=f"Bearer {bench.calls.attempt.key}")
    assert answer.json() == {**HEAD, **ANSWER}
    assert bench.asked[0].headers["authorization"] == "Bearer the-credential"
    assert bench.calls.attempt.key not in str(bench.asked[0].headers)
    assert bench.usage == [Usage(model="m", input_tokens=5, output_tokens=2, cached_tokens=1)]


TOOL = {"type": "function", "function": {"name": "pay", "parameters": {"type": "object"}}}
FORM = {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}}}
KEYS = [
    ({}, {}, False, "7335f2bead29884c"),
    ({"tools": [TOOL]}, {"text": FORM, "temperature": 0.5, "max_output_tokens": 20}, False, "9aab130d5041dc9c"),
    ({"tools": [TOOL]}, {"text": FORM}, True, "1904a939ff3d53be"),
    ({"response_format": {"type": "json_object"}, "stream": True}, {"text": FORM}, True, "b7ca10e7590e1b84"),
]
"""Requests of code, what their turn's request asks, whether they are inner ones, and what the journal of a version
before has them under, in its first digits."""


@pytest.mark.parametrize(("request_", "asked", "inner", "digest"), KEYS)
async def test_a_call_is_known_by_what_versions_before_knew_it_by(request_, asked, inner, digest) -> None:
    bench = Bench(lambda request: httpx.Response(200, json=ANSWER))
    bench.calls.asked = asked
    headers = {TURN_HEADER: bench.calls.attempt.key, **({INNER_HEADER: "1"} if inner else {})}
    body = {"model": "m", "messages": [{"role": "user", "content": "Pay."}], **request_, "stream": False}
    await bench.post(body, **headers)
    (known,) = bench.kept.entries
    assert known.removeprefix("model ").startswith(digest)


CALLS = {"id": "x", "type": "function", "function": {"name": "add", "arguments": "{}"}}


@pytest.mark.parametrize("streamed", [True, False])
async def test_a_call_is_required_once_and_known_as_before(streamed) -> None:
    message = {"role": "assistant", "tool_calls": [{"index": 0, **CALLS}]}
    chunk = {"choices": [{"index": 0, "delta" if streamed else "message": message}]}
    sent = f"data: {json.dumps(chunk)}\n\ndata: [DONE]\n\n" if streamed else json.dumps(chunk)
    headers = {"content-type": "text/event-stream" if streamed else "application/json"}
    bench = Bench(lambda _: httpx.Response(200, content=sent, headers=headers))
    body = {"model": "m", "messages": [], "stream": streamed, "tool_choice": "required"}
    offered = {"tools": [{"type": "function", "function": {"name": "add"}}]}
    answers = {}
    for choice in (None, ToolChoice("required", frozenset({"add"}))):
        # Without a choice, as a version before made the calls, which the second attempt is answered by.
        bench.run_again()
        bench.calls.choice = choice
        for number in (1, 2, 3):
            asked = {**body, **offered, "messages": [{"role": "user", "content": str(min(number, 2))}]}
            answers.setdefault(number, []).append((await bench.post(asked)).text)
    assert all(len(set(given)) == 1 for given in answers.values())
    assert len(bench.asked) == 3
    # Recorded answers count as well: the model has called.
    await bench.post({**body, **offered, "messages": [{"role": "user", "content": "New."}]})
    assert json.loads(bench.asked[-1].content)["tool_choice"] == "auto"


async def test_what_a_tool_asks_a_model_is_its_own() -> None:
    bench = Bench(lambda _: httpx.Response(200, json=ANSWER))
    bench.calls.choice = ToolChoice("none", frozenset({"add"}))
    body = {"model": "m", "tools": [{"type": "function", "function": {"name": "look"}}]}
    await bench.post(body, **{TURN_HEADER: bench.calls.attempt.key, SCOPE_HEADER: "c1"})
    await bench.post(body)
    assert ["tools" in json.loads(request.content) for request in bench.asked] == [True, False]


async def test_what_was_asked_inside_a_tool_call_answers_no_other() -> None:
    bench = Bench(lambda request: httpx.Response(200, json={**ANSWER, "id": f"a{len(bench.asked)}"}))

    async def ask(scope: str) -> str:
        headers = {TURN_HEADER: bench.calls.attempt.key, SCOPE_HEADER: scope}
        return str((await bench.post({"model": "m", "messages": []}, **headers)).json()["id"])

    first, second, outside = [await ask(scope) for scope in ("c1", "c2", "")]
    bench.run_again()
    # The call c1 is answered from the journal, and asks nothing.
    assert [await ask(scope) for scope in ("", "c2")] == [outside, second]
    assert len(bench.asked) == 3
    bench.run_again()
    assert await ask("c1") == first


async def test_an_inner_call_has_no_form_of_the_answer() -> None:
    bench = Bench(lambda _: httpx.Response(200, json=ANSWER))
    bench.calls.asked = {"text": {"format": {"type": "json_object"}}, "temperature": 0.5}
    headers = {TURN_HEADER: bench.calls.attempt.key, INNER_HEADER: "1"}
    await bench.post({"model": "m"}, **headers)
    await bench.post({"model": "m"})
    inner, outer = (json.loads(request.content) for request in bench.asked)
    assert (inner.get("response_format"), outer["response_format"]) == (None, {"type": "json_object"})
    assert (inner["temperature"], outer["temperature"]) == (0.5, 0.5)


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


def read(answer: httpx.Response) -> list[dict[str, Any]]:
    """The chunks of a streamed answer."""
    lines = [line[6:] for line in answer.text.splitlines() if line.startswith("data: {")]
    return [json.loads(line) for line in lines]


async def test_a_streams_tokens_are_counted_and_not_shown_to_who_did_not_ask() -> None:
    bench = Bench(lambda _: stream(TEXT, END, FIGURES))
    answer = await bench.post({"model": "m", "stream": True})
    assert [chunk["choices"] for chunk in read(answer)] == [TEXT["choices"], END["choices"]]
    assert answer.text.endswith("\n\ndata: [DONE]\n\n")
    assert json.loads(bench.asked[0].content)["stream_options"] == {"include_usage": True}
    assert bench.usage == [Usage(model="m", input_tokens=5, output_tokens=2)]


async def test_an_answer_with_a_chunk_that_was_cut_off_is_none() -> None:
    """Without the chunk it says something else, or calls a tool with other arguments."""
    cut = f'data: {{"choices": [{{"delta\n\ndata: {json.dumps(END)}\n\ndata: [DONE]\n\n'
    bench = Bench(lambda _: httpx.Response(200, text=cut))
    answer = await bench.post({"model": "m", "stream": True})
    assert len(bench.asked) == 3
    assert "no whole JSON" in answer.text
    assert "no whole JSON" in str(bench.calls.error)


async def test_a_model_that_hangs_up_is_asked_again_only_if_nothing_was_shown() -> None:
    answers = iter([httpx.Response(200, text="data: {\n\n"), stream(TEXT)])
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


@pytest.mark.parametrize("streamed", [False, True])
async def test_figures_below_zero_give_a_turn_no_tokens_back(streamed: bool) -> None:
    figures = {"prompt_tokens": -100_000, "completion_tokens": -100_000, "total_tokens": -200_000}
    used = iter([figures, FIGURES["usage"]])

    def answer(_: httpx.Request) -> httpx.Response:
        usage = next(used)
        return (
            stream(TEXT, END, {"usage": usage})
            if streamed
            else httpx.Response(200, json={**ANSWER, "usage": usage})
        )

    bench = Bench(answer, tokens=7)
    for _ in range(2):
        assert (await bench.post({"model": "m", "stream": streamed})).status_code == 200
    assert (await bench.post({"model": "m"})).json()["error"]["code"] == "budget_exceeded"
    assert [(counted.input_tokens, counted.output_tokens) for counted in bench.usage] == [(0, 0), (5, 2)]


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
    call = ChatCall(bench.calls, bench.upstream, {"model": "m", "stream": True})
    gc.disable()
    try:
        unread = await call.streamed(STAYING)
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
    assert not any(
        bench.calls.attempt.key in entry or "the-credential" in entry for entry in bench.kept.entries.values()
    )


async def test_a_recorded_stream_is_streamed_again_in_the_same_chunks() -> None:
    bench = Bench(lambda _: stream(TEXT, TEXT, END, FIGURES))
    first = await bench.post({"model": "m", "stream": True})
    bench.run_again()
    assert (await bench.post({"model": "m", "stream": True})).text == first.text
    assert len(bench.asked) == 1


async def test_an_agent_sees_the_end_of_an_answer_only_when_it_is_kept(monkeypatch) -> None:
    bench = Bench(lambda _: stream(TEXT, END))
    keep = asyncio.Event()

    async def slow(lease: object, *entry: object) -> bool:
        await keep.wait()
        return True

    monkeypatch.setattr(bench.kept, "record", slow)
    reading = asyncio.create_task(bench.post({"model": "m", "stream": True}))
    done, _ = await asyncio.wait({reading}, timeout=0.2)
    assert not done
    keep.set()
    assert "finish_reason" in (await reading).text


def calls_of(*sent_ids: str | None) -> dict[str, Any]:
    """A whole answer with calls under these ids; None for none."""
    calls = [
        {
            "type": "function",
            "function": {"name": "f", "arguments": "{}"},
            **({} if sent is None else {"id": sent}),
        }
        for sent in sent_ids
    ]
    return {"choices": [{"index": 0, "message": {"role": "assistant", "tool_calls": calls}}]}


@pytest.mark.parametrize("sent", [("call_0", "call_0"), (None, None), ("", "a"), ("a", "b")])
async def test_every_call_of_a_turn_has_an_id_of_its_own_and_keeps_it_when_run_again(
    sent: tuple[str, ...],
) -> None:
    bench = Bench(lambda _: httpx.Response(200, json=calls_of(*sent)))

    async def ids() -> list[str]:
        answers = [(await bench.post({"model": "m", "messages": [number]})).json() for number in range(3)]
        return [call["id"] for answer in answers for call in answer["choices"][0]["message"]["tool_calls"]]

    first = await ids()
    assert len(set(first)) == 6
    assert all(re.fullmatch("[0-9a-zA-Z]{9}", call_id) for call_id in first)
    bench.run_again()
    assert await ids() == first
    assert len(bench.asked) == 3


async def test_two_turns_never_share_an_id_though_they_ask_the_same() -> None:
    bench = Bench(lambda _: httpx.Response(200, json=calls_of("a")))
    first = await bench.post({"model": "m"})
    bench.kept.entries.clear()
    bench.run_again("resp_2")
    assert (await bench.post({"model": "m"})).json()["choices"] != first.json()["choices"]


async def test_a_journal_of_an_older_version_is_answered_with_the_ids_that_are_in_it() -> None:
    bench = Bench(lambda _: httpx.Response(500))
    bodies = [{"model": "m", "stream": stream, "messages": [stream]} for stream in (False, True)]
    keys = [bench.calls.journal.model_key(body) for body in bodies]
    piece = {"index": 0, "id": "call_0-1f", "function": {"name": "f", "arguments": "{}"}}
    bench.kept.entries[keys[0]] = json.dumps([calls_of("call_0", "call_0", "")])
    bench.kept.entries[keys[1]] = json.dumps([{"choices": [{"index": 0, "delta": {"tool_calls": [piece]}}]}, END])
    bench.run_again()
    whole = (await bench.post(bodies[0])).json()["choices"][0]["message"]["tool_calls"]
    assert whole[0]["id"] == "call_0"
    assert len({call["id"] for call in whole}) == 3
    head = read(await bench.post(bodies[1]))[0]["choices"][0]["delta"]["tool_calls"][0]
    assert head["id"] == "call_0-1f"
    assert bench.asked == []


async def test_a_journal_of_an_older_version_is_answered_with_all_its_choices() -> None:
    bench = Bench(lambda _: httpx.Response(500))
    bodies = [{"model": "m", "stream": stream, "messages": [stream]} for stream in (False, True)]
    keys = [bench.calls.journal.model_key(body) for body in bodies]
    choices = [{"index": index, "finish_reason": "stop"} for index in range(2)]
    words = {"role": "assistant", "content": "hi"}
    bench.kept.entries[keys[0]] = json.dumps([{"choices": [{**choice, "message": words} for choice in choices]}])
    bench.kept.entries[keys[1]] = json.dumps([{"choices": [{**choice, "delta": words} for choice in choices]}])
    bench.run_again()
    whole = (await bench.post(bodies[0])).json()["choices"]
    streamed = [choice for chunk in read(await bench.post(bodies[1])) for choice in chunk["choices"]]
    assert [choice["message"]["content"] for choice in whole] == ["hi", "hi"]
    assert [choice["index"] for choice in streamed if choice["delta"].get("content")] == [0, 1]
    assert bench.asked == []


_GOLDEN = {
    "model": "m",
    "user": "own",
    "messages": [
        {"role": "user", "content": "Zähle \U0001f600"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"x": NaN}'}},
                {"id": "c2", "type": "function", "function": {"name": "f", "arguments": '{"x": 1'}},
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": '{"y": NaN}'},
    ],
}


@pytest.mark.parametrize(
    ("body", "digest"),
    [
        ({"model": "m", "messages": []}, "6c168fe79e1c109e0f7a5c92a4a22d1a5cf4f20b5472909b5072a53252bff2b2"),
        (_GOLDEN, "06adce11dd9fe2df653a147b9d63aa49792aed456e8964089e437439b14570aa"),
    ],
)
async def test_a_call_is_known_by_the_digest_that_earlier_versions_stored(
    body: dict[str, Any], digest: str
) -> None:
    """Journals hold these digests: where this fails, turns that are under way ask and run everything anew."""
    passed = {"user": "u", "safety_identifier": "s", "prompt_cache_key": "k", "service_tier": "flex"}
    bench = Bench(lambda _: httpx.Response(200, json=ANSWER))
    bench.calls.asked = {**passed, "temperature": 0.5}
    assert (await bench.post(body)).status_code == 200
    (known,) = bench.kept.entries
    assert known.removeprefix("model ").startswith(digest)
    (asked,) = bench.asked
    sent = json.loads(asked.content)
    assert sent == {**body, **passed, "model": sent["model"], "temperature": 0.5, "messages": sent["messages"]}
    arguments = [call["function"]["arguments"] for m in sent["messages"] for call in m.get("tool_calls", ())]
    assert arguments == ['{"x": null}', "{}"][: len(arguments)]


def answer_of(body: dict[str, Any], _: httpx.Request) -> httpx.Response:
    return httpx.Response(200, json=body)


async def test_a_call_whose_arguments_are_no_json_object_is_known_before_the_answer_ends() -> None:
    for written in ('{"a": 1', "[1]", '{"a": NaN}', "null", "x"):
        calls = calls_of("a")
        calls["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"] = written
        bench = Bench(partial(answer_of, calls))
        call = (await bench.post({"model": "m"})).json()["choices"][0]["message"]["tool_calls"][0]
        assert call["function"]["arguments"].endswith(written)
        assert bench.calls.unreadable == {call["id"]: written}


@pytest.mark.parametrize("written", ["5", "[1]", "true", '"x"', "null", '""', " 5 "])
async def test_arguments_that_are_no_object_are_none_that_parse_and_come_again_as_they_are(written: str) -> None:
    """Frameworks take arguments in an answer in one piece that parse, and fail on what is no object."""
    sent = calls_of("a")
    sent["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"] = written
    bench = Bench(lambda _: httpx.Response(200, json=sent))
    shown = []
    for _ in range(2):
        (call,) = (await bench.post({"model": "m"})).json()["choices"][0]["message"]["tool_calls"]
        with pytest.raises(ValueError, match="Expecting value"):
            json.loads(call["function"]["arguments"])
        assert bench.calls.unreadable == {call["id"]: written}
        shown.append(call)
        bench.run_again()
    assert shown[0] == shown[1]
    assert len(bench.asked) == 1


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
async def test_reasoning_goes_back_to_the_model_with_the_calls_it_led_to(name: str) -> None:
    piece = {"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}}
    thought = {"choices": [{"index": 0, "delta": {name: "Hm."}}]}
    call = {"choices": [{"index": 0, "delta": {"tool_calls": [piece]}, "finish_reason": "tool_calls"}]}
    answers = iter([stream(thought, call), stream(TEXT, END), stream(TEXT, END)])
    bench = Bench(lambda _: next(answers))
    shown = read(await bench.post({"model": "m", "stream": True}))
    assert shown[0]["choices"][0]["delta"] == {"reasoning_content": "Hm."}
    own = shown[1]["choices"][0]["delta"]["tool_calls"][0]["id"]
    said = {"role": "assistant", "content": None, "tool_calls": [{"id": own, "type": "function"}]}
    for message in (said, {**said, name: "Other."}):
        await bench.post({"model": "m", "stream": True, "messages": [message]})
    asked = [json.loads(request.content)["messages"][0][name] for request in bench.asked[1:]]
    assert asked == ["Hm.", "Other."]


SIGNED = {"google": {"thought_signature": "TSIG"}}
DETAILS = [
    {"type": "reasoning.text", "text": "I must ", "index": 0},
    {"type": "reasoning.text", "text": "pay.", "index": 0, "signature": None},
    {"type": "reasoning.text", "signature": "SIG", "index": 0},
    {"type": "reasoning.encrypted", "data": "xyz", "id": "a", "index": 1, "format": "google-gemini-v1"},
]


@pytest.mark.parametrize("streams", [True, False])
async def test_what_an_endpoint_adds_to_a_call_goes_back_to_its_model_with_it(*, streams: bool) -> None:
    function = {"name": "f", "arguments": "{}"}
    made = {"index": 0, "id": "a", "type": "function", "function": function, "extra_content": SIGNED}
    whole = [{"type": "reasoning.text", "text": "I must pay.", "index": 0, "signature": "SIG"}, DETAILS[-1]]

    def answer(request: httpx.Request) -> httpx.Response:
        if json.loads(request.content).get("messages"):
            return stream(TEXT, END) if streams else httpx.Response(200, json=ANSWER)
        if not streams:
            message = {"role": "assistant", "content": None, "reasoning_details": whole, "tool_calls": [made]}
            return httpx.Response(200, json={"choices": [{"message": message, "finish_reason": "tool_calls"}]})
        thoughts = [{"choices": [{"index": 0, "delta": {"reasoning_details": [detail]}}]} for detail in DETAILS]
        call = {"choices": [{"index": 0, "delta": {"tool_calls": [made]}, "finish_reason": "tool_calls"}]}
        return stream(*thoughts, call)

    bench = Bench(answer)
    for attempt in range(2):
        if attempt:
            bench.run_again()
        await bench.post({"model": "m", "stream": streams})
        (own,) = bench.calls.written
        call = {"id": own, "type": "function", "function": function}
        said = {"role": "assistant", "content": None, "tool_calls": [call, {**call, "id": f"other{attempt}"}]}
        for model in ("m", "another"):
            await bench.post({"model": model, "stream": streams, "messages": [said]})
        sent, elsewhere = (json.loads(request.content)["messages"][0] for request in bench.asked[-2:])
        assert sent["tool_calls"][0] == {**call, "extra_content": SIGNED}
        assert list(sent["tool_calls"][1]) == list(call)
        assert sent["reasoning_details"] == [whole[0], {**DETAILS[-1], "id": own}]
        assert elsewhere == {**said, "tool_calls": [call, sent["tool_calls"][1]]}
    assert len(bench.asked) == 5


async def test_figures_that_come_with_every_chunk_count_once() -> None:
    figures = [{**TEXT, "usage": {"prompt_tokens": 5, "completion_tokens": n}} for n in (1, 2, 3)]
    bench = Bench(lambda _: stream(*figures, {**END, "usage": None}))
    answer = await bench.post({"model": "m", "stream": True, "stream_options": {"include_usage": True}})
    assert bench.usage == [Usage(model="m", input_tokens=5, output_tokens=3)]
    assert [chunk.get("usage") for chunk in read(answer)].count(None) == 4


@pytest.mark.parametrize("end", ["data: [DONE]\n\n", "data:[DONE]"])
async def test_a_stream_with_its_terminator_alone_is_whole(end: str) -> None:
    sent = f": hello\r\n\r\ndata: {json.dumps(TEXT)}\r\n\r\nnonsense\ndata: ping\n\ndata: []\n\n{end}"
    bench = Bench(lambda _: httpx.Response(200, text=sent))
    choices = [chunk["choices"][0] for chunk in read(await bench.post({"model": "m", "stream": True}))]
    assert choices == [TEXT["choices"][0], {"index": 0, "delta": {}, "finish_reason": "stop"}]
    assert bench.ended == ["stop"]


@pytest.mark.parametrize("end", ["data: [DONE]\n\n", ""])
@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("Internal Server Error", "Internal Server Error"),
        ('"upstream is gone"', "upstream is gone"),
        ("[ERROR] out of memory", "[ERROR] out of memory"),
        ("<html>502 Bad Gateway</html>", "<html>502 Bad Gateway</html>"),
    ],
)
async def test_a_line_that_an_answer_does_not_go_on_after_broke_it_off(line: str, words: str, end: str) -> None:
    last = {"choices": [], "usage": None}
    sent = f"data: {json.dumps(TEXT)}\n\ndata: {line}\n\ndata: {json.dumps(last)}\n\n{end}"
    bench = Bench(lambda _: httpx.Response(200, text=sent))
    answer = await bench.post({"model": "m", "stream": True})
    assert answer.text.count(f"model m: broke off: {json.dumps(words)[1:-1]}") == 1
    assert bench.ended == []
    assert str(bench.calls.error) == f"model m: broke off: {words}"


@pytest.mark.parametrize("line", ["Internal Server Error", "nonsense", '"words"'])
@pytest.mark.parametrize("behind", [TEXT, END])
async def test_one_that_it_goes_on_or_ends_after_is_left_out(line: str, behind: dict[str, Any]) -> None:
    sent = f"data: {line}\n\ndata: {json.dumps(behind)}\n\ndata: [DONE]\n\n"
    bench = Bench(lambda _: httpx.Response(200, text=f"data: {json.dumps(TEXT)}\n\n{sent}"))
    await bench.post({"model": "m", "stream": True})
    assert (bench.calls.error, bench.ended) == (None, ["stop"])


@pytest.mark.parametrize(
    "line", ["ping", "keep-alive", "KEEPALIVE", ": OPENROUTER PROCESSING", "heartbeat", "...", "3"]
)
async def test_so_is_what_keeps_a_connection_alive(line: str) -> None:
    sent = f"data: {json.dumps(TEXT)}\n\ndata: {line}\n\ndata: [DONE]\n\n"
    bench = Bench(lambda _: httpx.Response(200, text=sent))
    await bench.post({"model": "m", "stream": True})
    assert (bench.calls.error, bench.ended) == (None, ["stop"])


async def test_an_answer_of_one_such_line_is_asked_for_again() -> None:
    bench = Bench(lambda _: httpx.Response(200, text="data: Internal Server Error\n\ndata: [DONE]\n\n"))
    await bench.post({"model": "m", "stream": True})
    assert str(bench.calls.error) == "model m: broke off: Internal Server Error"
    assert len(bench.asked) == 3


@pytest.mark.parametrize("empty", [None, "", ": hello\n\n", "data: [DONE]\n\n"])
async def test_an_answer_in_one_piece_is_one_where_a_stream_was_asked_for(empty: str | None) -> None:
    """The stack's own client finds nothing in it, and makes an empty stream of it."""

    def answer(request: httpx.Request) -> httpx.Response:
        if empty is None or "stream" not in json.loads(request.content):
            return httpx.Response(200, json=ANSWER)
        return httpx.Response(200, text=empty, headers={"content-type": "text/event-stream"})

    bench = Bench(answer)
    chunks = read(await bench.post({"model": "m", "stream": True}))
    assert "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks) == "hi"
    assert (bench.ended, [used.output_tokens for used in bench.usage]) == (["stop"], [2])
    assert len(bench.asked) == (1 if empty is None else 2)
    assert empty is None or "stream_options" not in json.loads(bench.asked[-1].content)


def saying(message: Any, reason: str | None, index: int = 0) -> dict[str, Any]:
    """A chunk and a completion in one."""
    return {"choices": [{"index": index, "delta": message, "message": message, "finish_reason": reason}]}


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("reason", ["function_call", "tool_calls"])
@pytest.mark.parametrize(
    ("message", "tries"), [({"content": "I call."}, 1), ({"role": "assistant"}, 3), (None, 3)]
)
async def test_an_answer_without_the_call_that_it_announces_broke_off(
    message: Any, tries: int, reason: str, streamed: bool
) -> None:
    """It is asked for again as long as the agent has seen nothing of it."""
    sent = saying(message, None), saying({}, reason)
    whole = saying(message, reason)
    bench = Bench(lambda _: stream(*sent) if streamed else httpx.Response(200, json=whole))
    await bench.post({"model": "m", "messages": [], "stream": streamed})
    ending = f"its answer ends with the finish reason {reason!r} and holds no call"
    assert str(bench.calls.error) == f"model m: broke off: {ending}"
    assert len(bench.asked) == (tries if streamed else 3)
    assert not bench.ended


async def test_so_it_is_for_each_choice_that_was_asked_for() -> None:
    call = {"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": "{}"}}]}
    sent = saying(call, "tool_calls"), saying({}, "tool_calls", index=1)
    bench = Bench(lambda _: stream(*sent))
    await bench.post({"model": "m", "stream": True})
    assert bench.calls.error is None
    await bench.post({"model": "m", "stream": True, "n": 2})
    assert "holds no call" in str(bench.calls.error)


CALL = {"id": "a", "function": {"name": "f", "arguments": "{}"}}


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    "sent",
    [
        [{"delta": {"content": "Hi"}}, {"message": {"content": "Hi", "tool_calls": [CALL]}}],
        [{"delta": {"content": "Hi"}}, {"delta": {}, "message": {"function_call": CALL["function"]}}],
        [{"delta": {"content": "Hi"}, "message": {"tool_calls": [CALL]}}],
        [{"delta": {"tool_calls": [CALL]}, "message": {"content": "Hi"}}],
        [
            {"delta": {"tool_calls": [CALL]}, "message": {"tool_calls": [CALL]}},
            {"message": {"tool_calls": [CALL]}},
        ],
    ],
)
async def test_an_announced_call_is_made_wherever_the_answer_holds_it(
    sent: list[dict[str, Any]], streamed: bool
) -> None:
    *first, last = [{"index": 0, **choice} for choice in sent]
    last["finish_reason"] = "tool_calls"
    whole = {name: value for choice in (*first, last) for name, value in choice.items()}
    chunks = [{"choices": [choice]} for choice in (*first, last)]
    bench = Bench(lambda _: stream(*chunks) if streamed else httpx.Response(200, json={"choices": [whole]}))
    answer = await bench.post({"model": "m", "stream": streamed})
    assert bench.calls.error is None
    assert re.findall('"name": ?"(.*?)"', answer.text) == ["f"]


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("part", "message"),
    [
        ("delta", "words"),
        ("delta", [{"content": "words"}]),
        ("tool_calls", {"tool_calls": json.dumps([CALL])}),
        ("tool_calls", {"tool_calls": [json.dumps(CALL)]}),
        ("function_call", {"function_call": json.dumps(CALL["function"])}),
        ("function", {"tool_calls": [{"id": "a", "function": json.dumps(CALL["function"])}]}),
    ],
)
async def test_an_answer_with_a_part_that_cannot_be_read_broke_off(
    part: str, message: Any, streamed: bool
) -> None:
    sent = saying(message, "stop")
    bench = Bench(lambda _: stream(sent) if streamed else httpx.Response(200, json=sent))
    await bench.post({"model": "m", "messages": [], "stream": streamed})
    assert str(bench.calls.error) == f"model m: broke off: it sent a part that cannot be read ({part!r})"
    assert len(bench.asked) == 3


@pytest.mark.parametrize("sent", ["[null, 3]", '["words"]', '"words"'])
async def test_so_did_one_whose_choices_cannot_be_read(sent: str) -> None:
    bench = Bench(lambda _: httpx.Response(200, text=f'data: {{"choices": {sent}}}\n\ndata: [DONE]\n\n'))
    await bench.post({"model": "m", "messages": [], "stream": True})
    assert "it sent a part that cannot be read ('choices')" in str(bench.calls.error)


async def test_a_line_of_two_chunks_breaks_the_answer_off() -> None:
    bench = Bench(lambda _: httpx.Response(200, text=f"data: {json.dumps(TEXT)}{json.dumps(END)}\n\n"))
    await bench.post({"model": "m", "stream": True})
    assert "no whole JSON" in str(bench.calls.error)


@pytest.mark.parametrize(
    ("status", "error", "code"),
    [
        (
            400,
            {"message": "This model's maximum context length is 8 tokens.", "code": None},
            "context_length_exceeded",
        ),
        (400, {"message": "no", "code": "context_length_exceeded"}, "context_length_exceeded"),
        (400, {"message": "no", "type": "exceed_context_size_error"}, "context_length_exceeded"),
        (413, {"message": "prompt too long for this one"}, "context_length_exceeded"),
        (413, {"message": "The input is too large.", "code": "too_large"}, "context_length_exceeded"),
        (413, {"message": "Request Entity Too Large"}, "model_error"),
        (413, {"message": "The input image is too large."}, "model_error"),
        (500, {"message": "prompt too long for this one"}, "model_error"),
        (529, {"message": "Overloaded", "type": "overloaded_error"}, "model_overloaded"),
        (503, "come back later", "model_overloaded"),
        (500, "broken", "model_error"),
    ],
)
async def test_an_endpoints_own_words_are_the_turns_and_so_is_the_kind_of_its_error(
    status: int, error: Any, code: str
) -> None:
    bench = Bench(lambda _: httpx.Response(status, json={"error": error}))
    await bench.post({"model": "m", "stream": True})
    words = error["message"] if isinstance(error, dict) else error
    told = failure(ValueError("as the framework puts it"), bench.calls)
    assert (told.code, told.message) == (code, f"model m: answered {status}: {words}")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ({"error": {"message": "Overloaded", "type": "overloaded_error"}}, "model_overloaded"),
        ({"error": {"message": "too long", "code": "context_length_exceeded"}}, "context_length_exceeded"),
        ({"error": {"message": "too long", "code": 503}}, "model_overloaded"),
        ({"error": "it broke"}, "model_error"),
        ({"object": "error", "message": "it broke", "code": 400}, "model_error"),
        ({"choices": [{"delta": {}, "error": {"message": "it broke", "code": 503}}]}, "model_overloaded"),
    ],
)
@pytest.mark.parametrize("before", [(), (TEXT,)])
async def test_so_they_are_where_they_come_in_a_stream(
    error: dict[str, Any], code: str, before: tuple[object, ...]
) -> None:
    bench = Bench(lambda _: stream(*before, error))
    await bench.post({"model": "m", "stream": True})
    told = failure(ValueError("as the framework puts it"), bench.calls)
    (error,) = error.get("choices", [error])
    body = error["error"] if isinstance(error.get("error"), dict) else error
    words = body.get("message") or body["error"]
    assert (told.code, told.message) == (code, f"model m: broke off: {words}")


@pytest.mark.parametrize("before", [b"", f"data: {json.dumps(TEXT)}\n\n".encode()])
@pytest.mark.parametrize(
    "data", [{"message": "too long", "code": "context_length_exceeded"}, "too long: maximum context"]
)
async def test_an_event_that_is_an_error_is_told_in_its_own_words(before: bytes, data: Any) -> None:
    text = data if isinstance(data, str) else json.dumps(data)
    sent = before + f"event: error\r\ndata: {text}\r\n\r\n".encode()
    bench = Bench(lambda _: httpx.Response(200, content=sent, headers={"content-type": "text/event-stream"}))
    await bench.post({"model": "m", "stream": True})
    told = failure(ValueError("as the framework puts it"), bench.calls)
    words = data if isinstance(data, str) else data["message"]
    assert (told.code, told.message) == ("context_length_exceeded", f"model m: broke off: {words}")


async def test_an_event_of_another_kind_is_read_by_its_data() -> None:
    sent = b"event: message\ndata: " + json.dumps(TEXT).encode() + b"\n\nevent: error\n\ndata: [DONE]\n\n"
    bench = Bench(lambda _: httpx.Response(200, content=sent, headers={"content-type": "text/event-stream"}))
    assert (
        read(await bench.post({"model": "m", "stream": True}))[0]["choices"][0]["delta"]
        == TEXT["choices"][0]["delta"]
    )
    assert bench.calls.error is None


@pytest.mark.parametrize(
    ("error", "tries"),
    [
        ({"message": "no", "code": "context_length_exceeded"}, 1),
        ({"message": "the maximum context is 8 tokens"}, 1),
        ({"message": "no", "code": 400}, 1),
        ({"message": "no", "code": "404"}, 1),
        ({"message": "no", "status": 422, "code": "odd"}, 1),
        ({"message": "no", "type": "invalid_request_error"}, 1),
        ({"message": "no", "type": "BadRequestError"}, 1),
        ({"message": "no", "code": "insufficient_quota"}, 1),
        ({"message": "no", "code": "invalid_image"}, 1),
        ({"message": "Overloaded", "code": 529}, 3),
        ({"message": "no", "code": 429}, 3),
        ({"message": "no", "type": "server_error"}, 3),
        ({"message": "no"}, 3),
    ],
)
async def test_only_what_may_pass_is_tried_again_where_an_error_is_the_answer(error: Any, tries: int) -> None:
    sent = {"error": error}
    for answer in (lambda _: stream(sent), lambda _: httpx.Response(200, json=sent)):
        bench = Bench(answer)
        await bench.post({"model": "m", "messages": [], "stream": True})
        assert len(bench.asked) == tries


async def test_no_status_has_a_call_made_again_that_would_fail_again() -> None:
    error = {"message": "no", "code": "context_length_exceeded"}
    bench = Bench(lambda _: httpx.Response(500, json={"error": error}))
    await bench.post({"model": "m", "messages": []})
    assert len(bench.asked) == 1


async def test_an_error_without_a_cause_says_where_the_cause_is() -> None:
    error = {"message": "Internal server error: An unexpected error occurred."}
    bench = Bench(lambda _: stream(TEXT, {"error": error}))
    await bench.post({"model": "m", "stream": True})
    assert "its log does" in str(bench.calls.error)


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("reason", ["error", "abort", "insufficient_system_resource"])
async def test_an_answer_that_ends_with_an_error_is_not_whole(streamed: bool, reason: str) -> None:
    choice = {"index": 0, "delta" if streamed else "message": {"content": "Half"}, "finish_reason": reason}
    sent = {"choices": [choice]}
    bench = Bench(lambda _: stream(sent) if streamed else httpx.Response(200, json=sent))
    await bench.post({"model": "m", "messages": [], "stream": streamed})
    assert str(bench.calls.error) == f"model m: broke off: its answer ended with the finish reason {reason!r}"


@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize(
    ("message", "is_empty"),
    [({"content": ""}, True), ({"content": "hi"}, False), ({"tool_calls": [{"function": {"name": "f"}}]}, False)],
)
async def test_an_error_after_an_empty_answer_names_the_model_that_said_nothing(
    message, is_empty, streamed
) -> None:
    choice = {"index": 0, "delta" if streamed else "message": message, "finish_reason": "stop"}
    answer = stream({"choices": [choice]}) if streamed else httpx.Response(200, json={"choices": [choice]})
    bench = Bench(lambda _: answer)
    read = await bench.post({"model": "m", "messages": [], "stream": streamed})
    await read.aread()
    told = failure(ValueError("nothing there"), bench.calls).message
    said = " (model m answered with neither words nor calls)" if is_empty else ""
    assert told == f"the agent raised ValueError: nothing there{said}"


@pytest.mark.parametrize("several", [{}, {"n": 1}, {"n": 2}])
async def test_choices_are_as_many_as_are_asked_for(several: dict[str, int]) -> None:
    deltas = [{"index": n, "delta": {"content": text}, "finish_reason": "stop"} for n, text in enumerate("ab")]
    wholes = [{"index": n, "message": {"content": text}, "finish_reason": "stop"} for n, text in enumerate("ab")]
    bench = Bench(
        lambda asked: (
            stream({"choices": deltas})
            if b"stream" in asked.content
            else httpx.Response(200, json={"choices": wholes})
        )
    )
    body = {"model": "m", "messages": [], **several}
    streamed = {c["index"] for chunk in read(await bench.post({**body, "stream": True})) for c in chunk["choices"]}
    whole = {choice["index"] for choice in (await bench.post(body)).json()["choices"]}
    assert streamed == whole == set(range(several.get("n", 1)))


async def test_what_the_stacks_own_client_tried_again_is_not_tried_again() -> None:
    error = {"error": {"message": "no"}}
    bench = Bench(lambda _: httpx.Response(500, json=error, headers={"x-should-retry": "false"}))
    assert (await bench.post({"model": "m"})).status_code == 500
    assert len(bench.asked) == 1


async def test_a_model_that_sends_single_bytes_is_as_silent_as_one_that_sends_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(upstream_module, "_SILENCE_SECONDS", 0.05)

    class Drip(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield f"data: {json.dumps(TEXT)}\n\n".encode()
            while True:
                yield b"x"
                await asyncio.sleep(0.001)

    bench = Bench(lambda _: httpx.Response(200, stream=Drip()))
    answer = await bench.post({"model": "m", "stream": True})
    assert "model m: sent no whole line within 0 s" in answer.text
    assert failure(TimeoutError("the framework's"), bench.calls).code == "model_error"


async def test_a_framework_that_waits_no_longer_names_the_model_it_waited_for() -> None:
    shown = asyncio.Event()

    class Silent(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            shown.set()
            await asyncio.Event().wait()
            yield b""

    class ApiTimeoutError(Exception):
        pass

    bench = Bench(lambda _: httpx.Response(200, stream=Silent()))
    for streams in (True, False):
        shown.clear()
        reading = asyncio.create_task(bench.post({"model": "m", "stream": streams}))
        await asyncio.wait_for(shown.wait(), 10)
        told = failure(ApiTimeoutError("Request timed out."), bench.calls)
        assert told.code == "model_error"
        assert told.message == (
            "model m: the agent waited no longer for its answer (ApiTimeoutError: Request timed out.)"
        )
        assert failure(ValueError("its own"), bench.calls).code == "agent_error"
        reading.cancel()
        await asyncio.wait({reading})
        bench.attempts.close(bench.calls)
        bench.run_again()


async def test_a_stream_that_the_agent_left_is_not_what_it_waits_for() -> None:
    class Unending(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield f"data: {json.dumps(TEXT)}\n\n".encode()
            await asyncio.Event().wait()

    bench = Bench(lambda _: httpx.Response(200, stream=Unending()))
    call = ChatCall(bench.calls, bench.upstream, {"model": "m", "stream": True})
    streamed: Any = await call.streamed(STAYING)
    answer = streamed.body_iterator
    await anext(answer)
    assert failure(TimeoutError(), bench.calls).code == "model_error"
    await answer.aclose()
    await asyncio.wait(list(bench.calls._running))
    assert failure(TimeoutError("my own database did not answer"), bench.calls).message == (
        "the agent raised TimeoutError: my own database did not answer"
    )
    headers = {TURN_HEADER: bench.calls.attempt.key}
    gave_up = httpx.ReadTimeout("", request=httpx.Request("POST", "http://gateway", headers=headers))
    sdk_timeout = TimeoutError("Request timed out.")
    sdk_timeout.__cause__ = gave_up
    assert failure(sdk_timeout, bench.calls).code == "model_error"
    elsewhere = httpx.ReadTimeout("", request=httpx.Request("POST", "http://elsewhere"))
    assert failure(elsewhere, bench.calls).code == "agent_error"


async def test_what_no_json_has_a_word_for_never_reaches_the_model() -> None:
    bench = Bench(lambda _: httpx.Response(200, json=ANSWER))
    body = '{"model": "m", "temperature": NaN, "messages": [{"role": "user", "content": "a\\ud83d"}]}'
    headers = {TURN_HEADER: bench.calls.attempt.key, "content-type": "application/json"}
    assert (await bench.client.post("/v1/chat/completions", content=body, headers=headers)).status_code == 200
    sent = json.loads(bench.asked[0].content, parse_constant=pytest.fail)
    assert (sent["temperature"], sent["messages"][0]["content"]) == (None, "a\ufffd")


async def test_a_models_own_name_finds_the_model_the_stack_serves() -> None:
    bench = Bench(lambda _: httpx.Response(200, json=ANSWER))
    for name in ("gpt-4o", "openai/gpt-4o", "unheard-of"):
        await bench.post({"model": name})
    asked = [json.loads(request.content)["model"] for request in bench.asked]
    assert asked == ["openai/gpt-4o", "openai/gpt-4o", "unheard-of"]


def calling(*calls: tuple[str, str]) -> httpx.Response:
    made = [
        {"id": call_id, "type": "function", "function": {"name": name, "arguments": "{}"}}
        for call_id, name in calls
    ]
    message = {"role": "assistant", "content": None, "tool_calls": made}
    return httpx.Response(200, json={"choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]})


def asking(*names: str, **more: object) -> dict[str, object]:
    tools = [{"type": "function", "function": {"name": name}} for name in names]
    return {"model": "m", "messages": [{"role": "user", "content": "Go."}], "tools": tools, **more}


def made_id(answer: httpx.Response) -> str:
    """The id of the tool call in an answer."""
    (found,) = re.findall(r'"tool_calls": ?\[\{(?:"index": ?0, ?)?"id": ?"(\w+)"', answer.text)
    return str(found)


def answering(call_id: str, **more: object) -> dict[str, object]:
    return {"model": "m", "messages": [{"role": "tool", "tool_call_id": call_id, "content": "paid"}], **more}


async def test_a_call_that_is_answered_past_the_boundary_ends_the_turn_naming_tool_and_place() -> None:
    bench = Bench(lambda _: calling(("call_7", "pay")))
    call_id = made_id(await bench.post(asking("pay", "add")))
    place = quote("shop/bank.py:41 (pay_node)")
    refused = await bench.post(answering(call_id), **{TURN_HEADER: bench.calls.attempt.key, PLACE_HEADER: place})
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "tool_bypassed")
    (end,) = bench.ends
    assert isinstance(end, TurnFailed)
    assert end.code == "tool_bypassed"
    assert "'pay'" in end.message
    assert "at shop/bank.py:41 (pay_node)" in end.message
    assert len(bench.asked) == 1


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_call_that_came_to_the_boundary_is_answered_also_from_the_journal(streamed: bool) -> None:
    chunk = {
        "choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0, "id": "a", "function": {"name": "pay"}}]}}]
    }
    bench = Bench(lambda _: stream(chunk, END) if streamed else calling(("a", "pay")))
    for _ in range(2):
        call_id = made_id(await bench.post(asking("pay", stream=streamed)))
        bench.guard.came(call_id)
        assert (await bench.post(answering(call_id, stream=streamed))).status_code == 200
        bench.run_again()
    call_id = made_id(await bench.post(asking("pay", stream=streamed)))
    assert (await bench.post(answering(call_id, stream=streamed))).status_code == 400


@pytest.mark.parametrize(
    ("asked", "name", "refused"),
    [
        (asking("theirs", "add"), "theirs", False),
        (asking("Shape", "add"), "Shape", False),
        (asking("add"), "unheard_of", False),
        (asking("person", tool_choice={"type": "function", "function": {"name": "person"}}), "person", False),
        (asking("ruled", tool_choice={"type": "function", "function": {"name": "ruled"}}), "ruled", True),
        (asking("pay", tool_choice="required"), "pay", True),
    ],
)
async def test_calls_for_which_no_tool_of_the_agents_runs_are_answered(
    asked: dict[str, object], name: str, refused: bool
) -> None:
    bench = Bench(lambda _: calling(("a", name)))
    call_id = made_id(await bench.post(asked))
    assert (await bench.post(answering(call_id))).status_code == (400 if refused else 200)


async def test_a_ruled_call_has_to_come_to_the_boundary() -> None:
    bench = Bench(lambda _: calling(("a", "ruled"), ("b", "free")))
    call_id = made_id(await bench.post(asking("ruled", "free")))
    missed = bench.guard.missed()
    assert missed is not None
    assert missed.code == "tool_bypassed"
    assert "'ruled'" in missed.message
    bench.guard.came(call_id)
    assert bench.guard.missed() is None


async def test_calls_that_run_elsewhere_or_are_shapes_have_no_result_of_their_own() -> None:
    names = ("add", "Shape", "theirs", "pay")
    bench = Bench(lambda _: calling(*((name, name) for name in names)))
    answer = (await bench.post(asking(*names))).json()
    made = {call["function"]["name"]: call["id"] for call in answer["choices"][0]["message"]["tool_calls"]}
    bench.guard.came(made["pay"], elsewhere=True)
    assert {name for name, call_id in made.items() if bench.guard.is_silent(call_id)} == {"Shape", "theirs", "pay"}


async def test_a_call_that_nobody_is_to_approve_may_be_left_out() -> None:
    bench = Bench(lambda _: calling(("a", "kept")))
    await bench.post(asking("kept"))
    assert bench.guard.missed() is None


@pytest.mark.parametrize("streamed", [False, True])
async def test_an_answer_of_no_known_form_ends_the_call(streamed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise TypeError("what is this")

    monkeypatch.setattr("k8gentai.workers.gateway.chat_call.read_whole", fail)
    monkeypatch.setattr("k8gentai.workers.gateway.chat_call.AnswerReader.read", fail)
    bench = Bench(lambda _: stream(ANSWER) if streamed else httpx.Response(200, json=ANSWER))
    answer = await bench.post({"model": "gpt-4o", "messages": [], "stream": streamed})
    assert answer.status_code == 502
    assert answer.json()["error"]["message"] == "model gpt-4o: its answer cannot be read: TypeError"


async def test_figures_that_cannot_be_counted_are_none() -> None:
    answer = {**ANSWER, "usage": {"prompt_tokens": "many", "completion_tokens": 2, "prompt_tokens_details": []}}
    bench = Bench(lambda _: httpx.Response(200, json=answer))
    assert (await bench.post({"model": "gpt-4o", "messages": []})).status_code == 200
    assert [(used.input_tokens, used.output_tokens) for used in bench.usage] == [(0, 2)]


async def test_calls_without_ids_are_not_made() -> None:
    bench = Bench(lambda _: httpx.Response(200, json=ANSWER))
    answer = await bench.post({"model": "gpt-4o", "messages": [], "functions": [{"name": "pay"}]})
    assert (answer.status_code, answer.json()["error"]["code"], bench.asked) == (400, "functions", [])


def exchanged(call_id: str, name: str, result: str) -> list[dict[str, object]]:
    """A call and its result, as an agent's code sends them."""
    call = {"id": call_id, "type": "function", "function": {"name": name, "arguments": "{}"}}
    return [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": call_id, "content": result},
    ]


@pytest.mark.parametrize(
    ("results", "refused"),
    [
        (exchanged("own-1", "pay", "paid"), True),
        ([{"role": "tool", "tool_call_id": "own-1", "content": "paid"}], True),
        ([{"role": "tool", "tool_call_id": "own-1", "name": "pay", "content": "paid"}], True),
        (exchanged("own-1", "add", "3"), False),
        (exchanged("example-7", "pay", "an example"), False),
        (exchanged("earlier", "pay", "in the last turn"), False),
        ([{"role": "assistant", "content": "Paid."}], False),
        ([{"role": "assistant", "content": None, "tool_calls": ["?"]}, "?"], False),
    ],
)
async def test_a_result_under_an_id_of_the_agents_own_answers_the_call_that_is_due(
    results: list[object], refused: bool
) -> None:
    bench = Bench(lambda _: calling(("a", "pay")))
    asked = asking("pay", "add")
    asked["messages"] = [*exchanged("example-1", "pay", "an example"), {"role": "user", "content": "Go."}]
    await bench.post(asked)
    answer = await bench.post({"model": "m", "messages": results})
    assert answer.status_code == (400 if refused else 200)


async def test_an_example_is_let_be_where_no_call_is_due() -> None:
    bench = Bench(lambda _: calling(("a", "pay")))
    call_id = made_id(await bench.post(asking("pay")))
    bench.guard.came(call_id)
    for number in range(2):
        messages = [*exchanged(f"example-{number}", "pay", "paid 3"), *exchanged(call_id, "pay", "paid 5")]
        assert (await bench.post({"model": "m", "messages": messages})).status_code == 200


VECTORS = {
    "object": "list",
    "data": [{"index": 0, "embedding": [0.5]}],
    "usage": {"prompt_tokens": 3, "total_tokens": 3},
}


async def embedded(bench: Bench, body: object) -> httpx.Response:
    return await bench.client.post("/v1/embeddings", json=body, headers={TURN_HEADER: bench.calls.attempt.key})


async def test_embeddings_are_of_the_codes_own_model_counted_and_recorded() -> None:
    bench = Bench(lambda _: httpx.Response(200, json=VECTORS), model="m", max_steps=0)
    body = {"model": "gpt-4o", "input": ["a"]}
    for _ in range(2):
        assert (await embedded(bench, body)).json() == VECTORS
        assert [(used.model, used.input_tokens) for used in bench.usage] == [("gpt-4o", 3)] * len(bench.usage)
        bench.run_again()
    (asked,) = bench.asked
    assert (asked.url.path, json.loads(asked.content)) == ("/v1/embeddings", {**body, "model": "openai/gpt-4o"})
    assert len(bench.usage) == 2


@pytest.mark.parametrize("odd", [{"prompt_tokens": -3}, {"prompt_tokens": {"a": 1}, "total_tokens": "3.5"}, 7, []])
async def test_figures_of_embeddings_that_are_none_are_not_counted(odd: Any) -> None:
    bench = Bench(lambda _: httpx.Response(200, json={**VECTORS, "usage": odd}))
    answer = await embedded(bench, {"model": "m", "input": ["a"]})
    assert answer.json() == {**VECTORS, "usage": {"prompt_tokens": 0, "total_tokens": 0}}
    assert not bench.usage


async def test_embeddings_of_whole_documents_are_asked_for_again() -> None:
    many = {"data": [{"index": 0, "embedding": [0.5] * 100_000}]}
    bench = Bench(lambda _: httpx.Response(200, json=many))
    for _ in range(2):
        assert (await embedded(bench, {"model": "e", "input": "a"})).json() == many
        bench.run_again()
    assert (len(bench.asked), bench.kept.entries) == (2, {})


async def test_embeddings_leave_the_journal_to_what_cannot_be_done_again() -> None:
    many = {"data": [{"index": 0, "embedding": [0.5] * 40_000}]}
    bench = Bench(lambda _: httpx.Response(200, json=many))
    for number in range(30):
        assert (await embedded(bench, {"model": "e", "input": str(number)})).status_code == 200
    assert 0 < sum(map(len, bench.kept.entries.values())) <= 2**22
    bench.run_again()
    assert (await embedded(bench, {"model": "e", "input": "0"})).json() == many
    assert len(bench.asked) == 30


async def test_embeddings_end_with_the_turns_tokens_as_model_calls_do() -> None:
    bench = Bench(lambda _: httpx.Response(200, json=VECTORS), tokens=3)
    body = {"model": "e", "input": "a"}
    assert (await embedded(bench, body)).json() == VECTORS
    message = "the turn has used 3 tokens; its limit is 3"
    refused = await embedded(bench, {"model": "e", "input": "b"})
    assert (refused.status_code, refused.headers["x-should-retry"]) == (400, "false")
    assert refused.json() == (await bench.post({"model": "m", "messages": []})).json()
    assert refused.json()["error"]["message"] == message
    assert refused.json()["error"]["code"] == "budget_exceeded"
    assert set(bench.ends) == {TurnFailed(code="budget_exceeded", message=message)}
    assert failure(ValueError("Error code: 400"), bench.calls).code == "budget_exceeded"
    assert len(bench.asked) == 1


async def test_an_embedding_model_that_fails_is_the_cause() -> None:
    bench = Bench(lambda _: httpx.Response(404, json={"error": {"message": "no such model"}}))
    answer = await embedded(bench, {"model": "e", "input": "a"})
    assert answer.status_code == 404
    assert failure(ValueError(), bench.calls).message == "model e: answered 404: no such model"
    assert (await embedded(bench, [])).status_code == 400
    assert (await bench.client.post("/v1/embeddings", json={"model": "e"})).status_code == 401


async def test_an_embedding_ends_with_its_attempt() -> None:
    asked = asyncio.Event()

    class Silent(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            asked.set()
            await asyncio.Event().wait()
            yield b""

    bench = Bench(lambda _: httpx.Response(200, stream=Silent()))
    reading = asyncio.create_task(embedded(bench, {"model": "e", "input": "a"}))
    await asyncio.wait_for(asked.wait(), 10)
    assert failure(TimeoutError(), bench.calls).code == "model_error"
    bench.attempts.close(bench.calls)
    assert (await asyncio.wait_for(reading, 10)).status_code == 409


async def test_what_the_gateway_has_not_is_named_and_what_to_use() -> None:
    bench = Bench(lambda _: httpx.Response(200, json=ANSWER))
    headers = {TURN_HEADER: bench.calls.attempt.key}
    other = await bench.client.get("/v1/models", headers=headers)
    assert (other.status_code, bench.calls.error) == (404, None)
    assert "POST /v1/chat/completions" in other.json()["error"]["message"]
    assert (await bench.client.post("/v1/responses", json={})).status_code == 401
    refused = await bench.client.post("/v1/responses", json={"model": "m"}, headers=headers)
    assert refused.status_code == 404
    assert "use_responses_api=False" in refused.json()["error"]["message"]
    told = failure(ValueError("Error code: 404"), bench.calls)
    assert (told.code, told.message) == ("agent_error", refused.json()["error"]["message"])


async def test_models_know_calls_by_ids_that_each_of_them_takes() -> None:
    """Nine letters and digits, the same in all requests, be they of earlier turns, of clients or agents' code."""
    bench = Bench(lambda _: httpx.Response(200, json=ANSWER))
    ids = ["mcp_01a21f71b35a7e23960817ae2af9c6040001", "call_1", "aB3dE6gH9", "no id/\u00e9"]
    calls = [{"id": given, "type": "function", "function": {"name": "add", "arguments": "{}"}} for given in ids]
    results = [{"role": "tool", "tool_call_id": given, "content": given[:6]} for given in ids[:3]]
    body = {"model": "m", "messages": [{"role": "assistant", "tool_calls": calls}, *results]}
    for _ in range(2):
        assert (await bench.post(json.loads(json.dumps(body)))).status_code == 200
    first, second = [json.loads(request.content)["messages"] for request in bench.asked]
    assert first == second
    sent = [call["id"] for call in first[0]["tool_calls"]]
    assert all(re.fullmatch("[0-9A-Za-z]{9}", each) for each in sent)
    assert len(set(sent)) == 4
    assert sent[2] == ids[2]
    assert [message["tool_call_id"] for message in first[1:]] == sent[:3]


@pytest.mark.parametrize("stream", [True, False])
async def test_a_failure_that_an_agent_may_have_gone_on_from_comes_again(stream) -> None:
    """Else the turn, run again, would take another way, and do again under other ids what was done."""
    bench = Bench(lambda _: httpx.Response(400, json={"error": {"message": "no such model", "code": "gone"}}))
    body = {"model": "m", "messages": [], "stream": stream}
    first = await bench.post(body)
    bench.run_again()
    again = await bench.post(body)
    assert (again.status_code, again.json()) == (first.status_code, first.json())
    assert len(bench.asked) == 1
    assert str(bench.calls.error) == "model m: answered 400: no such model"
    assert (await bench.post(body)).status_code == 400
    assert len(bench.asked) == 2, "another call of the same words is a call of its own"


async def test_what_came_of_an_answer_that_broke_off_comes_again(monkeypatch) -> None:
    cut = f"data: {json.dumps(TEXT)}\n\n"
    bench = Bench(lambda _: httpx.Response(200, text=cut, headers={"content-type": "text/event-stream"}))
    body = {"model": "m", "messages": [], "stream": True}
    first = await bench.post(body)
    assert "hung up in mid-answer" in first.text
    asked = len(bench.asked)
    bench.run_again()
    assert (await bench.post(body)).text == first.text
    assert len(bench.asked) == asked


async def test_a_failure_says_how_many_tools_had_ended(monkeypatch) -> None:
    bench = Bench(lambda _: httpx.Response(400, json={"error": {"message": "no"}}))
    await bench.calls.journal.record_tool("c1", ToolEntry(state="done"))
    await bench.calls.journal.record_tool("c2", ToolEntry(state="left"))
    await bench.post({"model": "m", "messages": []})
    (kept,) = (value for key, value in bench.kept.entries.items() if key.startswith("failure "))
    assert Failure.model_validate_json(kept).tools_done == 1
    assert Failure.model_validate_json(kept).turn_id == "resp_1"


async def test_an_answer_that_nobody_can_read_fails_again(monkeypatch) -> None:
    monkeypatch.setattr("k8gentai.workers.gateway.chat_call.read_whole", _fail)
    bench = Bench(lambda _: httpx.Response(200, json=ANSWER))
    first = await bench.post({"model": "m", "messages": []})
    monkeypatch.undo()
    bench.run_again()
    again = await bench.post({"model": "m", "messages": []})
    assert (again.status_code, again.json()) == (first.status_code, first.json())
    assert len(bench.asked) == 1


def _fail(*_: object, **__: object) -> None:
    raise AttributeError("of no form")


async def test_a_stack_that_was_away_is_asked_again(monkeypatch) -> None:
    def away(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    monkeypatch.setattr(upstream_module, "KNOCK_SECONDS", 0.0)
    bench = Bench(away, restart_seconds=0)
    assert (await bench.post({"model": "m", "messages": []})).status_code == 503
    assert not any(key.startswith("failure ") for key in bench.kept.entries)


WAYS = pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", {"model": "m", "messages": []}),
        ("/v1/chat/completions", {"model": "m", "messages": [], "stream": True}),
        ("/v1/embeddings", {"model": "m", "input": "a"}),
    ],
    ids=["whole", "streamed", "embedded"],
)


@WAYS
async def test_a_call_whose_attempt_ends_as_it_begins_is_answered(path, body, monkeypatch):
    """Its task is cancelled before its first step."""
    bench = Bench(lambda _: httpx.Response(200, json=ANSWER))
    track = bench.calls.track

    def track_and_end(call):
        track(call)
        bench.attempts.close(bench.calls)

    monkeypatch.setattr(bench.calls, "track", track_and_end)
    answer = await asyncio.wait_for(
        bench.client.post(path, json=body, headers={TURN_HEADER: bench.calls.attempt.key}), 10
    )
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "turn_ended")
    assert bench.asked == []


@WAYS
async def test_no_model_is_asked_for_an_attempt_that_ended_while_the_call_was_read(path, body):
    bench = Bench(lambda _: httpx.Response(200, json=ANSWER))

    async def sent():
        whole = json.dumps(body).encode()
        yield whole[:9]
        bench.attempts.close(bench.calls)
        yield whole[9:]

    headers = {TURN_HEADER: bench.calls.attempt.key, "content-type": "application/json"}
    answer = await bench.client.post(path, content=sent(), headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "turn_over")
    assert bench.asked == []
