"""Streams of model endpoints as the host reads them: mended where its router would fail.

The openai SDK does not promise to keep the names that are hooked: a newer one that fails here needs a look at
:mod:`k8gentai.providers.overrides.model_streams`.
"""

import inspect
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from openai import APIError, APIStatusError, AsyncOpenAI
from openai._base_client import AsyncAPIClient
from openai._streaming import AsyncStream, ServerSentEvent

from k8gentai.providers.overrides.completions import told
from k8gentai.providers.overrides.model_streams import WireReading, take_errors


def taken(data: Any) -> Any:
    """What the host reads of an event."""
    event = WireReading().take(ServerSentEvent(data=data if isinstance(data, str) else json.dumps(data)))
    return None if event is None else json.loads(event.data, parse_constant=pytest.fail)


def delta(sent: Any) -> Any:
    return taken({"choices": [{"index": 0, "delta": sent}]})["choices"][0]["delta"]


def test_what_is_hooked_is_there() -> None:
    assert inspect.isasyncgenfunction(inspect.unwrap(AsyncStream._iter_events))
    assert list(inspect.signature(AsyncStream._iter_events).parameters) == ["self"]
    assert "_iter_events" in inspect.unwrap(AsyncStream.__stream__).__code__.co_names
    assert {"_decoder", "aiter_bytes"} <= set(inspect.unwrap(AsyncStream._iter_events).__code__.co_names)
    assert list(inspect.signature(AsyncAPIClient._send_request).parameters) == [
        "self",
        "request",
        "stream",
        "kwargs",
    ]
    assert {"_send_request", "raise_for_status"} <= set(AsyncAPIClient.request.__code__.co_names)
    assert "response" in inspect.unwrap(AsyncStream._iter_events).__code__.co_names
    event = ServerSentEvent(data="{}", id="1", retry=2)
    assert (event.data, event.id, event.retry) == ("{}", "1", 2)


def test_halves_of_a_character_stay_for_their_other_halves() -> None:
    assert [delta({"content": half})["content"] for half in ("\ud83d", "\ude00")] == ["\ud83d", "\ude00"]


def test_numbers_that_are_none_are_null() -> None:
    assert taken('{"choices": [], "logprob": NaN, "n": [-Infinity, 1.5]}') == {
        "choices": [],
        "logprob": None,
        "n": [None, 1.5],
    }


@pytest.mark.parametrize(
    ("sent", "error"),
    [
        ({"error": {"message": "overloaded", "code": 529}}, {"message": "overloaded", "code": 529}),
        ({"error": "overloaded"}, {"message": "overloaded"}),
        (
            {"object": "error", "message": "too long", "code": 400, "type": "BadRequest"},
            {"message": "too long", "code": 400, "type": "BadRequest", "param": None},
        ),
        ([{"error": {"message": "overloaded", "code": 503}}], {"message": "overloaded", "code": 503}),
        ({"error": {"error": {"message": "overloaded"}}}, {"message": "overloaded"}),
        ({"error": {}}, {"message": "it sent an error that says nothing"}),
    ],
)
def test_an_error_has_the_sdks_form(sent: Any, error: Any) -> None:
    assert taken(sent) == {"error": error}


@pytest.mark.parametrize(
    ("data", "error"),
    [
        ('{"message": "too long", "code": "c"}', {"message": "too long", "code": "c"}),
        ('{"error": {"message": "too long"}}', {"message": "too long"}),
        ('[{"error": {"message": "too long"}}]', {"message": "too long"}),
        ("too long", {"message": "too long"}),
        ("{}", {"message": "it sent an error that says nothing"}),
    ],
)
def test_so_has_an_event_that_is_an_error(data: str, error: Any) -> None:
    event = WireReading().take(ServerSentEvent(event="error", data=data))
    assert event is not None
    assert json.loads(event.data) == {"error": error}


@pytest.mark.parametrize("line", ["nonsense", "[1]", "3", ""])
def test_what_is_no_chunk_is_left_out(line: str) -> None:
    assert taken(line) is None


def _event(data: Any) -> ServerSentEvent:
    return ServerSentEvent(data=data if isinstance(data, str) else json.dumps(data))


SAID = {"choices": [{"index": 0, "delta": {"content": "Half an "}, "finish_reason": None}]}


def test_the_end_of_an_answer_that_words_broke_off_is_an_error() -> None:
    wire = WireReading()
    for sent in (SAID, "Internal Server Error", {"choices": []}):
        wire.take(_event(sent))
    told = wire.take(_event("[DONE]"))
    assert told is not None
    assert json.loads(told.data) == wire.broken() == {"error": {"message": "Internal Server Error"}}
    assert not wire.done


@pytest.mark.parametrize(
    "sent", [["oops", SAID], [SAID, "ping"], [{"choices": [{"finish_reason": "stop"}]}, "oops"]]
)
def test_that_of_one_that_went_on_or_was_finished_is_none(sent: list[Any]) -> None:
    wire = WireReading()
    for each in sent:
        wire.take(_event(each))
    assert wire.take(_event("[DONE]")) is not None
    assert (wire.done, wire.broken()) == (True, None)


@pytest.mark.parametrize(
    "line",
    ['{"choices": [{"delta": {"tool_calls": [{"index": 0, "function": {"arguments": "00"', "{}{}", "{}\n{}"],
)
def test_a_line_that_is_no_one_chunk_is_an_error(line: str) -> None:
    """Without it, the arguments of a call would be others than the model wrote."""
    assert taken(line) == {"error": {"message": "it sent a part that is no whole JSON"}}


@pytest.mark.parametrize(
    ("part", "choices"),
    [
        ("choices", "words"),
        ("choices", ["words"]),
        ("delta", [{"delta": "words"}]),
        ("delta", [{"delta": [{"content": "words"}]}]),
        ("message", [{"message": "words"}]),
        ("tool_calls", [{"delta": {"tool_calls": "[{}]"}}]),
        ("tool_calls", [{"delta": {"tool_calls": ["{}"]}}]),
        ("function_call", [{"delta": {"function_call": "{}"}}]),
        ("function", [{"delta": {"tool_calls": {"function": "{}"}}}]),
    ],
)
def test_so_is_a_part_that_cannot_be_read(part: str, choices: Any) -> None:
    message = f"it sent a part that cannot be read ({part!r})"
    assert taken({"choices": choices}) == {"error": {"message": message}}


def test_an_object_in_place_of_a_list_is_a_list_of_one() -> None:
    call = {"id": "a", "function": {"name": "f", "arguments": "{}"}}
    read = taken({"choices": {"index": 0, "delta": {"tool_calls": call}}})
    assert read["choices"] == [{"index": 0, "delta": {"tool_calls": [{"index": 0, **call}]}}]


def test_a_text_in_place_of_a_delta_is_its_words() -> None:
    assert taken({"choices": [{"index": 0, "text": "a"}]})["choices"] == [{"index": 0, "delta": {"content": "a"}}]


def test_the_terminator_is_noted_and_passed_on() -> None:
    reading, event = WireReading(), ServerSentEvent(data="[DONE]")
    assert not reading.done
    assert reading.take(event) is event
    assert reading.done


def test_odd_parts_have_the_types_that_the_host_counts_on() -> None:
    assert taken({"choices": None})["choices"] == []
    assert taken({"choices": [None, {"delta": None}]})["choices"] == [{"index": 0, "delta": {}}]
    assert delta({"content": [{"type": "thinking", "thinking": "Hm"}, {"type": "text", "text": "a"}]}) == {
        "content": "a",
        "reasoning_content": "Hm",
    }
    assert delta({"tool_calls": None}) == {"tool_calls": []}
    assert delta({"tool_calls": [{"function": {"name": "f", "arguments": {"a": 1}}}, None, {"index": 4}]}) == {
        "tool_calls": [
            {"index": 0, "function": {"name": "f", "arguments": '{"a": 1}'}},
            {"index": 4, "function": {"arguments": ""}},
        ]
    }


COUNTED = {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}


@pytest.mark.parametrize(
    ("sent", "usage"),
    [
        ([1], None),
        ("none", None),
        (None, None),
        ({}, {}),
        (COUNTED, COUNTED),
        ({"prompt_tokens": None, "completion_tokens": "5", "total_tokens": -3}, {"completion_tokens": 5}),
        ({"prompt_tokens": [], "completion_tokens": "9" * 5_000, "total_tokens": True}, {}),
        ({**COUNTED, "cost": 0.01, "is_byok": False}, {**COUNTED, "cost": 0.01, "is_byok": False}),
        (
            {**COUNTED, "prompt_tokens_details": {"cached_tokens": None}, "completion_tokens_details": "none"},
            {**COUNTED, "prompt_tokens_details": {}},
        ),
    ],
)
async def test_figures_that_cannot_be_counted_with_are_none(sent: Any, usage: Any) -> None:
    assert taken({"choices": [], "usage": sent})["usage"] == usage
    whole = {"choices": [{"index": 0, "message": {"content": "\ud83d"}}], "usage": sent}
    read = await answer_to(json.dumps(whole).encode(), stream=False)
    assert read.choices[0].message.content == "\ud83d"
    assert (read.usage and read.usage.model_dump(exclude_none=True)) == usage


TOKEN = {"token": "a", "logprob": -0.5}


@pytest.mark.parametrize(
    "sent",
    [
        {"content": [{**TOKEN, "bytes": [97], "top_logprobs": [TOKEN]}]},
        {"content": [{**TOKEN, "bytes": None, "top_logprobs": None}], "refusal": None},
        {"content": None},
        {"tokens": ["a"], "token_logprobs": [-0.5]},
    ],
)
def test_log_probabilities_stay_where_they_can_be_read(sent: Any) -> None:
    assert taken({"choices": [{"delta": {"content": "a"}, "logprobs": sent}]})["choices"][0]["logprobs"] == sent


@pytest.mark.parametrize(
    "sent",
    [
        "none",
        [],
        {"content": "none"},
        {"content": [None]},
        {"content": [{"token": "a"}]},
        {"content": [{**TOKEN, "logprob": "low"}]},
        {"content": [{**TOKEN, "bytes": "a"}]},
        {"content": [{**TOKEN, "top_logprobs": {"a": 1}}]},
        {"content": [{**TOKEN, "top_logprobs": ["a"]}]},
    ],
)
def test_and_are_left_out_where_they_cannot(sent: Any) -> None:
    (choice,) = taken({"choices": [{"delta": {"content": "a"}, "logprobs": sent}]})["choices"]
    assert (choice["delta"], choice["logprobs"]) == ({"content": "a"}, None)


def test_pieces_without_an_index_have_that_of_their_call() -> None:
    reading = WireReading()

    def indexes(*pieces: dict[str, Any]) -> list[int]:
        chunk = {"choices": [{"index": 0, "delta": {"tool_calls": list(pieces)}}]}
        event = reading.take(ServerSentEvent(data=json.dumps(chunk)))
        assert event is not None
        return [call["index"] for call in json.loads(event.data)["choices"][0]["delta"]["tool_calls"]]

    assert indexes({"id": "a", "function": {"name": "f"}}, {"id": "b", "function": {"name": "g"}}) == [0, 1]
    assert indexes({"id": "b", "function": {"arguments": "{"}}) == [1]
    assert indexes({"id": "a", "function": {"arguments": "{"}}, {"id": "b"}) == [0, 1]
    assert indexes({"id": "c", "function": {"name": "f"}}) == [2]
    assert indexes({"function": {"arguments": "{}"}}) == [2]


def test_a_content_that_is_a_number_is_text() -> None:
    assert delta({"content": 5}) == {"content": "5"}


def test_a_message_is_the_delta_of_a_choice_that_has_none() -> None:
    message = {"role": "assistant", "content": "a"}
    reading = WireReading()

    def read(**choice: Any) -> Any:
        event = reading.take(ServerSentEvent(data=json.dumps({"choices": [{"index": 0, **choice}]})))
        assert event is not None
        return json.loads(event.data)["choices"]

    assert read(delta={}, message=message) == [{"index": 0, "delta": message}]
    assert read(message={"content": "b"}) == [{"index": 0, "delta": {"content": "b"}}]
    assert read(delta={"content": "c"}) == [{"index": 0, "delta": {"content": "c"}}]
    assert read(delta={}, message={"content": "abc"}) == [{"index": 0, "delta": {}}]
    call = {"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}}
    closing = read(delta={}, message={"content": "abc", "tool_calls": [call]})
    assert closing == [{"index": 0, "delta": {"tool_calls": [call]}}]
    assert read(delta={}, message={"tool_calls": [call]}) == [{"index": 0, "delta": {}}]


async def chunks_of(content: bytes | AsyncIterator[bytes], *, mended: bool = True) -> list[Any]:
    """The chunks that the SDK reads."""
    transport = httpx.MockTransport(
        lambda _: httpx.Response(200, content=content, headers={"content-type": "text/event-stream"})
    )
    http: Any = httpx.AsyncClient(transport=transport)
    async with AsyncOpenAI(base_url="http://model/v1", api_key="k", http_client=http) as client:
        stream = await client.chat.completions.create(model="m", messages=[], stream=True)
        if mended:
            WireReading().begin()
        return [chunk async for chunk in stream]


async def test_the_sdk_reads_what_is_mended() -> None:
    sent = (
        b'data: nonsense\n\ndata: {"choices": [{"delta": {"content": "a"}, "logprobs": NaN}]}\n\ndata: [DONE]\n\n'
    )
    (chunk,) = await chunks_of(sent)
    assert (chunk.choices[0].delta.content, chunk.choices[0].index) == ("a", 0)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 100])
@pytest.mark.parametrize("mark", [b"\xef\xbb\xbf", b""])
async def test_the_first_chunk_may_be_behind_a_byte_order_mark(mark: bytes, size: int) -> None:
    sent = mark + b'data: {"choices": [{"delta": {"content": "a"}}]}\n\ndata: [DONE]\n\n'

    async def blocks() -> AsyncIterator[bytes]:
        for start in range(0, len(sent), size):
            yield sent[start : start + size]

    (chunk,) = await chunks_of(blocks())
    assert chunk.choices[0].delta.content == "a"


async def test_other_reading_of_the_sdk_is_not_mended() -> None:
    with pytest.raises(ValueError, match="Expecting value"):
        await chunks_of(b"data: nonsense\n\n", mended=False)


async def test_the_sdk_raises_errors_of_the_stream() -> None:
    with pytest.raises(APIError, match="overloaded"):
        await chunks_of(b'data: {"object": "error", "message": "overloaded", "code": 529}\n\n')


@pytest.mark.parametrize(
    "sent", ['{"choices": [], "error": {}}', '{"choices": [], "error": null}', '{"error": ""}']
)
def test_an_empty_error_beside_an_answer_is_none(sent: str) -> None:
    assert "error" not in taken(sent) or not taken(sent)["error"]


async def answer_to(
    content: Any,
    *,
    stream: bool,
    retries: int = 0,
    asked: list[Any] | None = None,
    kind: str = "application/json; charset=utf-8",
) -> Any:
    """What the SDK returns for an answer of status 200 that is said to be of a kind."""
    headers = {"content-type": kind}

    def answer(request: httpx.Request) -> httpx.Response:
        if asked is not None:
            asked.append(request)
        return httpx.Response(200, content=content, headers=headers)

    http: Any = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    async with AsyncOpenAI(
        base_url="http://model/v1", api_key="k", max_retries=retries, http_client=http
    ) as client:
        take_errors()
        WireReading().begin()
        sent: Any = await client.chat.completions.create(model="m", messages=[], stream=stream)
        return [chunk async for chunk in sent] if stream else sent


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b'{"error": {"message": "out of words", "code": 429}}', 429),
        (b'\n {"error": {"message": "out of words", "code": "402"}, "choices": []}', 402),
        (b'{"error": {"message": "out of words", "code": 200}}', 502),
        (b'{"error": "out of words"}', 502),
        (b'[{"error": {"message": "out of words", "code": 400}}]', 400),
        (b'{"object": "error", "message": "out of words", "code": 404}', 404),
    ],
)
async def test_an_error_of_status_200_has_its_own_status(content: bytes, status: int, stream: bool) -> None:
    with pytest.raises(APIStatusError, match="Error code") as raised:
        await answer_to(content, stream=stream)
    assert raised.value.status_code == status
    assert told(raised.value)["error"]["message"] == "out of words"


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'{"detail": "no such path"}', "no such path"),
        (b"[]", "[]"),
        (b'{"status": "ok"}', '{"status":"ok"}'),
        (b'{"errors": [{"message": "out of words"}]}', "out of words"),
    ],
)
async def test_one_that_is_no_completion_says_so_in_its_words(content: bytes, words: str, stream: bool) -> None:
    with pytest.raises(APIStatusError) as raised:
        await answer_to(content, stream=stream)
    assert raised.value.status_code == 502
    said = told(raised.value)["error"]["message"]
    assert said in (words, f"it answered with no completion: {words}")


@pytest.mark.parametrize("kind", ["text/html", "text/plain; charset=utf-8", "application/json"])
@pytest.mark.parametrize(
    ("content", "words"),
    [(b"null", "null"), (b"<html>\n  Log in\n</html>", "<html> Log in </html>"), (b"\xff", "\ufffd"), (b"", '""')],
)
async def test_so_does_a_page(content: bytes, words: str, kind: str) -> None:
    with pytest.raises(APIStatusError) as raised:
        await answer_to(content, stream=False, kind=kind)
    assert told(raised.value)["error"]["message"] == f"it answered with no completion: {words}"


async def test_half_a_character_in_an_errors_words_is_replaced() -> None:
    with pytest.raises(APIStatusError) as raised:
        await answer_to(b'{"error": {"message": "bad \\ud83d half", "code": "\\udc00"}}', stream=False)
    assert told(raised.value)["error"] == {
        "message": "bad \ufffd half",
        "type": "server_error",
        "param": None,
        "code": "\ufffd",
    }


@pytest.mark.parametrize(("code", "times"), [(503, 2), (400, 1)])
async def test_it_is_tried_again_as_any_of_its_status(code: int, times: int) -> None:
    asked: list[Any] = []
    content = json.dumps({"error": {"message": "busy", "code": code}}).encode()
    with pytest.raises(APIStatusError):
        await answer_to(content, stream=True, retries=1, asked=asked)
    assert len(asked) == times


async def test_an_answer_that_holds_what_was_asked_for_is_no_error() -> None:
    sent = b'{"choices": [{"index": 0, "message": {"content": "a"}}], "error": {"message": "a warning"}}'
    assert (await answer_to(sent, stream=False)).choices[0].message.content == "a"
    assert await answer_to(sent, stream=True) == []


@pytest.mark.parametrize("size", [1, 5, 100])
async def test_a_stream_that_is_said_to_be_json_is_read_as_it_comes(size: int) -> None:
    sent = b'\r\ndata: {"choices": [{"delta": {"content": "a"}}]}\n\ndata: [DONE]\n\n'
    ended = False

    async def blocks() -> AsyncIterator[bytes]:
        nonlocal ended
        for start in range(0, len(sent), size):
            yield sent[start : start + size]
        ended = True

    http: Any = httpx.AsyncClient(
        transport=httpx.MockTransport(
            lambda _: httpx.Response(200, content=blocks(), headers={"content-type": "application/json"})
        )
    )
    async with AsyncOpenAI(base_url="http://model/v1", api_key="k", http_client=http) as client:
        take_errors()
        WireReading().begin()
        stream = await client.chat.completions.create(model="m", messages=[], stream=True)
        assert not ended
        assert [chunk.choices[0].delta.content async for chunk in stream] == ["a"]


async def test_errors_of_status_200_to_other_calls_stay_as_they_are() -> None:
    http: Any = httpx.AsyncClient(
        transport=httpx.MockTransport(lambda _: httpx.Response(200, json={"error": {"message": "out of words"}}))
    )
    async with AsyncOpenAI(base_url="http://model/v1", api_key="k", http_client=http) as client:
        assert (await client.chat.completions.create(model="m", messages=[])).choices is None
