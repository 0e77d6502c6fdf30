"""The one form that answers have, whatever an endpoint sends: examples, and any split, order and repetition."""

import copy
import itertools
import json
from collections.abc import Callable
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion, ChatCompletionChunk, ChatCompletionMessageFunctionToolCall

from k8gentai.agents.adapters.llama_stack.models import _chunk
from k8gentai.agents.text.json_text import MAX_DEPTH, arguments_object, json_text, read_json, shown_json
from k8gentai.agents.text.surrogates import Characters, EscapedCharacters, encodable_json
from k8gentai.agents.text.utf8 import encodable
from k8gentai.workers.gateway.answer_reader import AnswerReader
from k8gentai.workers.gateway.whole_answer import read_whole

TOOLS = ("pay", "get_weather", "get_weather_of_day")


def own_id(_: str, choice: int, number: int) -> str:
    return f"own-{choice}-{number}"


def chunk(delta: Any, finish: Any = None, index: Any = 0, **more: Any) -> dict[str, Any]:
    return {"choices": [{"index": index, "delta": delta, "finish_reason": finish}], **more}


def piece(name: Any = None, arguments: Any = "", **more: Any) -> dict[str, Any]:
    return {"function": {**({} if name is None else {"name": name}), "arguments": arguments}, **more}


def answered(*chunks: dict[str, Any], several: bool = False) -> tuple[AnswerReader, list[dict[str, Any]]]:
    """The reader at the end of an answer, and the chunks it shows."""
    reader = AnswerReader("m", TOOLS, own_id, several=several)
    shown = [out for sent in chunks for out in reader.read(copy.deepcopy(sent))]
    return reader, [*shown, *reader.end()]


def assembled(shown: list[dict[str, Any]], choice: int = 0) -> dict[str, Any]:
    """What a simple client makes of chunks, as the OpenAI API documents them."""
    made: dict[str, Any] = {"calls": [], "finish": []}
    for sent in (c for out in shown for c in out["choices"] if c["index"] == choice):
        for name in ("content", "reasoning_content", "refusal"):
            made[name] = made.get(name, "") + (sent["delta"].get(name) or "")
        for call in sent["delta"].get("tool_calls", ()):
            if call["index"] == len(made["calls"]):
                assert call["type"] == "function"
                made["calls"].append([call["id"], call["function"]["name"], ""])
            made["calls"][call["index"]][2] += call["function"]["arguments"]
        if sent["finish_reason"]:
            made["finish"].append(sent["finish_reason"])
    return made


def calls_of(*pieces: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Names and arguments of the calls that come in these deltas; their ids are right."""
    _, shown = answered(*(chunk({"tool_calls": sent}) for sent in pieces))
    calls = assembled(shown)["calls"]
    assert [call[0] for call in calls] == [f"own-0-{number}" for number in range(len(calls))]
    assert [c["delta"] for c in shown[-1]["choices"]] == [{}]
    return [(name, arguments) for _, name, arguments in calls]


def custom(**named: Any) -> dict[str, Any]:
    return {"type": "custom", "custom": named}


@pytest.mark.parametrize(
    ("pieces", "call"),
    [
        pytest.param([custom(name="shell", input="ls -l")], ("shell", "ls -l"), id="whole"),
        pytest.param(
            [custom(name="shell", input=""), custom(input="ls "), custom(input="-l")],
            ("shell", "ls -l"),
            id="split",
        ),
        pytest.param([{"type": "custom", "custom": 3}], ("unnamed", "{}"), id="unreadable"),
    ],
)
def test_a_call_of_a_custom_tool_is_shown_as_that_of_a_function(
    pieces: list[dict[str, Any]], call: tuple[str, str]
) -> None:
    """Not all frameworks can read any other, and each tells its model that there is no such function."""
    shown = answered(*(chunk({"tool_calls": [{"index": 0, "id": "c", **each}]}) for each in pieces))[1]
    assert [(name, arguments) for _, name, arguments in assembled(shown)["calls"]] == [call]
    assert "custom" not in json.dumps(shown)
    sent = [{"id": "c", "type": "custom", "custom": {"name": "shell", "input": "ls -l"}}]
    whole = {"choices": [{"message": {"tool_calls": sent}}]}
    read_whole(whole, own_id)
    (read,) = whole["choices"][0]["message"]["tool_calls"]
    assert read == {"id": "own-0-0", "type": "function", "function": {"name": "shell", "arguments": "ls -l"}}


ONE, TWO = '{"amount": 1}', '{"amount": 99999}'


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param(
            [[piece("pay", ONE, index=0, id="dup")], [piece("pay", TWO, index=1, id="dup")]], id="one id"
        ),
        pytest.param([[piece("pay", ONE, index=0)], [piece("pay", TWO, index=1)]], id="no id"),
        pytest.param([[piece("pay", ONE, index=0, id="a")], [piece("pay", TWO, index=0, id="b")]], id="one index"),
        pytest.param(
            [[piece("pay", ONE, index=0, id="a")], [piece("pay", TWO, index=0, id="a")]], id="one of each"
        ),
        pytest.param([[piece("pay", ONE, index=0)], [piece("pay", TWO, index=0)]], id="one index, no id"),
        pytest.param([[piece("pay", ONE)], [piece("pay", TWO)]], id="no index"),
        pytest.param([[piece("pay", ONE), piece("pay", TWO)]], id="no index, together"),
        pytest.param([[piece("pay", ONE, index=None), piece("pay", TWO, index=None)]], id="null"),
        pytest.param([[piece("pay", {"amount": 1}, index=3, id=""), piece("pay", TWO, index=7)]], id="objects"),
        pytest.param(
            [
                [piece("pay", "", index=0, id="a")],
                [piece(None, ONE[:5], index=0)],
                [piece("pay", "", index=0, id="b")],
                [piece(None, TWO[:5], index=0)],
                [piece(None, TWO[5:], index=0)],
            ],
            id="the first is cut off",
        ),
        pytest.param(
            [
                [piece(None, ONE[:5], index=0, id="a"), piece(None, TWO[:5], index=1, id="b")],
                [piece("pay", TWO[5:], index=1), piece("pay", ONE[5:], index=0)],
            ],
            id="names come late",
        ),
        pytest.param(
            [
                [piece("pay", ONE, index=0, id="a")],
                [piece("pay", ONE, index=0, id="a")],
                [piece("pay", TWO, index=1, id="b")],
            ],
            id="again",
        ),
        pytest.param(
            [
                [piece("pay", "", id="a"), piece("pay", "", id="b")],
                [piece(None, ONE, id="a")],
                [piece(None, TWO, id="b")],
            ],
            id="no index, pieces by their ids",
        ),
        pytest.param(
            [
                [piece("pay", ONE[:3], id="a")],
                [piece("pay", TWO[:4], id="b")],
                [piece(None, ONE[3:6], id="a")],
                [piece(None, TWO[4:9], id="b"), piece(None, ONE[6:], id="a")],
                [piece(None, TWO[9:], id="b")],
                [],
            ],
            id="no index, by turns",
        ),
        pytest.param(
            [
                [piece("pay", ONE, index=0, id="a")],
                [piece("pay", TWO[:4], index="1", id="b")],
                [piece(None, TWO[4:], index=1)],
                [piece(None, ONE, id="a")],
            ],
            id="an index that is a text, and none",
        ),
    ],
)
def test_two_calls_are_two(pieces: list[list[dict[str, Any]]]) -> None:
    first = ONE[:5] if len(pieces) == 5 else ONE
    read = sorted(calls_of(*pieces))
    assert [(name, arguments.replace(" ", "")) for name, arguments in read] == sorted(
        [("pay", first.replace(" ", "")), ("pay", TWO.replace(" ", ""))]
    )


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param(
            [[piece("get_", index=0)], [piece("weather", index=0)], [piece(None, ONE, index=0)]], id="halves"
        ),
        pytest.param(
            [[piece("get_", ONE[:4], index=0)], [piece("weather", ONE[4:], index=0)]], id="with arguments"
        ),
        pytest.param([[piece("get_weather", index=0)], [piece("get_weather", ONE, index=0)]], id="again"),
        pytest.param([[piece("get_", index=0)], [piece("get_weather", ONE, index=0)]], id="longer each time"),
        pytest.param([[piece(None, ONE, index=0)], [piece("get_weather", None, index=0, id="a")]], id="late"),
        pytest.param(
            [[piece("get_weather", ONE[:4], index=0, id="a")], [piece(None, ONE[4:], index=0, id="b")]],
            id="an id for each piece",
        ),
        pytest.param(
            [[piece("get_weather", ONE, index=0)], [piece(None, "", index=0, id="a")]], id="the id is late"
        ),
        pytest.param(
            [
                [piece("get_weather", ONE[:4], index=0, id="a")],
                [piece(None, ONE[4:], index=0)],
                [piece(None, ONE, index=0, id="a")],
            ],
            id="all arguments again",
        ),
    ],
)
def test_one_call_is_one(pieces: list[list[dict[str, Any]]]) -> None:
    assert calls_of(*pieces) == [("get_weather", ONE)]


def test_blanks_under_an_id_of_their_own_begin_no_call() -> None:
    assert calls_of([piece("pay", "{}", index=0, id="a")], [piece(None, " ", index=0, id="b")]) == [("pay", "{} ")]


@pytest.mark.parametrize("arguments", ["", None, {}, " "])
def test_a_call_without_arguments_has_none(arguments: Any) -> None:
    ((_, written),) = calls_of([piece("pay", arguments, index=0)])
    assert arguments_object(written) == {}


def test_a_call_without_a_name_is_of_a_tool_that_is_not_there() -> None:
    assert calls_of([piece(None, ONE, index=0, id="a")]) == [("unnamed", ONE)]


def test_what_an_endpoint_adds_to_a_call_stays() -> None:
    signed = {"extra_content": {"google": {"thought_signature": "s"}}}
    _, shown = answered(chunk({"tool_calls": [piece("pay", ONE, index=0, **signed)]}))
    assert shown[0]["choices"][0]["delta"]["tool_calls"][0]["extra_content"] == signed["extra_content"]


def test_halves_of_characters_are_joined_in_every_text() -> None:
    for name in ("content", "reasoning_content", "refusal"):
        _, shown = answered(chunk({name: "a\ud83d"}), chunk({name: "\ude00b\ud83d"}))
        assert assembled(shown)[name] == "a\U0001f600b\ufffd"
    assert calls_of([piece("pay", '{"a": "\ud83d', index=0)], [piece(None, '\ude00"}', index=0)]) == [
        ("pay", '{"a": "\U0001f600"}')
    ]


@pytest.mark.parametrize(
    ("content", "text", "reasoning"),
    [
        ([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "ab", ""),
        (
            [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]}, {"type": "text", "text": "a"}],
            "a",
            "Hm",
        ),
        (["a", {"type": "image_url"}, 3], "a", ""),
        ({"type": "text", "text": "a"}, "a", ""),
        (7, "7", ""),
    ],
)
def test_content_in_parts_is_text(content: Any, text: str, reasoning: str) -> None:
    _, shown = answered(chunk({"content": content}))
    made = assembled(shown)
    assert (made.get("content", ""), made.get("reasoning_content", "")) == (text, reasoning)
    whole = {"choices": [{"message": {"content": content}}]}
    read_whole(whole, own_id)
    message = whole["choices"][0]["message"]
    assert ((message["content"] or ""), message.get("reasoning_content", "")) == (text, reasoning)


def test_a_refusal_is_text_behind_what_there_is_of_words() -> None:
    def deltas(*sent: dict[str, Any]) -> list[tuple[Any, Any]]:
        shown = answered(*map(chunk, sent))[1]
        read = [out["choices"][0]["delta"] for out in shown]
        # Recorded answers are read again.
        assert [out["choices"][0]["delta"] for out in answered(*shown)[1]] == [*read[:-1], {}]
        return [(delta.get("content"), delta.get("refusal")) for delta in read[:-1]]

    assert deltas({"refusal": "I "}, {"refusal": "can't"}) == [("I ", "I "), ("can't", "can't")]
    behind = {"refusal": "I "}, {"refusal": "can't"}
    assert deltas({"content": "No."}, *behind) == [("No.", None), ("\n\nI ", "I "), ("can't", "can't")]
    assert deltas({"content": "No. "}, *behind) == [("No. ", None), ("I ", "I "), ("can't", "can't")]
    for content, said in ((None, ""), ("No.", "No.\n\n"), ("No. ", "No. "), ("I can't", "")):
        whole = {"choices": [{"message": {"content": content, "refusal": "I can't"}}]}
        read_whole(whole, own_id)
        message = whole["choices"][0]["message"]
        assert (message["content"], message["refusal"]) == (f"{said}I can't", "I can't")


def test_what_was_thought_comes_before_what_was_said_in_the_same_delta() -> None:
    _, shown = answered(chunk({"content": "Yes.", "reasoning": "Hm.", "role": "assistant"}, "stop"))
    assert [out["choices"][0]["delta"] for out in shown[:-1]] == [
        {"reasoning_content": "Hm."},
        {"content": "Yes.", "role": "assistant"},
    ]


@pytest.mark.parametrize(
    "sent",
    [
        chunk({}, "stop", usage={"prompt_tokens": 5, "completion_tokens": 2}),
        chunk({}, "stop", usage={"input_tokens": 5, "output_tokens": 2}),
        chunk({}, "stop", usage={"input_tokens": 2, "output_tokens": 2, "cache_read_input_tokens": 3}),
        chunk({}, "stop", x_groq={"id": "r", "usage": {"prompt_tokens": 5, "completion_tokens": 2}}),
        {"choices": [{"delta": {}, "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}}]},
    ],
)
def test_figures_are_found_wherever_an_endpoint_has_them(sent: dict[str, Any]) -> None:
    whole = {**copy.deepcopy(sent), "choices": [{"message": {}, "usage": sent["choices"][0].get("usage")}]}
    read_whole(whole, own_id)
    for usage in (answered(chunk({"content": "a"}), sent)[1][-1]["usage"], whole["usage"]):
        assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (5, 2, 7)
    if "cache_read_input_tokens" in sent.get("usage", {}):
        assert whole["usage"]["prompt_tokens_details"] == {"cached_tokens": 3}


def test_odd_chunks_do_not_matter() -> None:
    _, shown = answered(
        {"choices": None},
        {"choices": [], "prompt_filter_results": []},
        chunk(None),
        chunk({"role": "assistant", "content": ""}),
        chunk({"role": "assistant", "content": "a"}, ""),
        chunk({"content": "b", "tool_calls": None}, "eos"),
        chunk({"content": "c"}, "eos"),
        {"id": "x", "created": 3, "model": "other", "choices": [{"delta": {"content": "d"}}]},
    )
    made = assembled(shown)
    assert (made["content"], made["finish"]) == ("abcd", ["eos"])
    assert [c["delta"].get("role") for out in shown for c in out["choices"]].count("assistant") == 1
    assert (shown[-1]["id"], shown[-1]["created"], shown[-1]["model"]) == ("x", 3, "other")


TWO_CHOICES = (
    chunk({"content": "a", "tool_calls": [piece("pay", ONE, index=0, id="x")]}, index=0),
    chunk({"content": "b", "tool_calls": [piece("pay", TWO, index=0, id="x")]}, index=1),
    chunk({}, "length", index=1),
)


def test_another_answer_that_was_not_asked_for_is_left_out() -> None:
    reader, shown = answered(*TWO_CHOICES)
    answer = assembled(shown)
    assert (answer["content"], answer["finish"]) == ("a", ["tool_calls"])
    assert {choice["index"] for out in shown for choice in out["choices"]} == {0}
    assert reader.calls() == {"own-0-0": ONE}


@pytest.mark.parametrize("ids", [("a", "b"), (None, None)])
@pytest.mark.parametrize("content", ["I pay.", None])
def test_a_call_of_two_answers_is_made_once(ids: tuple[str | None, str | None], content: str | None) -> None:
    """Endpoints may answer twice though one answer was asked for."""
    calls = [[piece("pay", ONE, index=0, id=sent_id)] for sent_id in ids]
    sent = [{"content": content, "tool_calls": made} for made in calls]
    reader, _ = answered(*(chunk(each, "tool_calls", index) for index, each in enumerate(sent)))
    assert reader.calls() == {"own-0-0": ONE}
    whole = {"choices": [{"message": each, "finish_reason": "tool_calls"} for each in copy.deepcopy(sent)]}
    assert read_whole(whole, own_id)[0] == {"own-0-0": ONE}


ROLE, HELLO, CALL = (
    {"role": "assistant"},
    {"content": "Hello"},
    {"tool_calls": [piece("pay", ONE, index=0, id="a")]},
)


@pytest.mark.parametrize(
    "order",
    [
        ((0, HELLO), (1, CALL)),
        ((1, CALL), (0, HELLO)),
        ((1, ROLE), (0, HELLO), (1, CALL)),
        ((0, ROLE), (1, HELLO), (0, CALL)),
    ],
)
def test_words_and_calls_of_two_choices_are_one_answer_in_whatever_order(order: Any) -> None:
    ends = [chunk({}, "stop", 0), chunk({}, "tool_calls", 1)]
    _, shown = answered(*(chunk(delta, None, index) for index, delta in order), *ends)
    (index,) = {choice["index"] for out in shown for choice in out["choices"]}
    answer = assembled(shown, index)
    assert (answer["content"], answer["finish"]) == ("Hello", ["tool_calls"])
    assert [call[1:] for call in answer["calls"]] == [["pay", ONE]]


@pytest.mark.parametrize(
    ("reasons", "finish"),
    [
        (("tool_calls", "tool_calls"), "tool_calls"),
        (("stop", "tool_calls"), "tool_calls"),
        (("stop", None), "tool_calls"),
        (("stop", "length"), "length"),
        (("content_filter", "tool_calls"), "content_filter"),
        (("function_call", "function_call"), "tool_calls"),
    ],
)
def test_words_and_calls_in_choices_of_their_own_are_one_answer(reasons: tuple[Any, Any], finish: str) -> None:
    """As proxies send those of Claude: a choice for the words, and one for each call."""
    first, second = reasons
    calls = [piece("pay", ONE, index=0, id="a")], [piece("get_weather", TWO, index=0, id="b")]
    heads = [[piece(sent["function"]["name"], "", index=0, id=sent["id"])] for (sent,) in calls]
    reader, shown = answered(
        chunk({"role": "assistant", "content": "I will"}),
        chunk({"role": "assistant", "content": None, "tool_calls": heads[0]}, index=1),
        chunk({"content": " pay."}, first),
        chunk({"tool_calls": [piece(None, ONE[:4], index=0)]}, index=1),
        chunk({"tool_calls": heads[1]}, index=2),
        chunk({"tool_calls": [piece(None, TWO, index=0)]}, second, index=2),
        chunk({"tool_calls": [piece(None, ONE[4:], index=0)]}, second, index=1),
    )
    answer = assembled(shown)
    made = [["own-0-0", "pay", ONE], ["own-0-1", "get_weather", TWO]]
    assert (answer["content"], answer["calls"], answer["finish"]) == ("I will pay.", made, [finish])
    assert {choice["index"] for out in shown for choice in out["choices"]} == {0}
    whole: dict[str, Any] = {
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": "I will pay."}, "finish_reason": first},
            *({"message": {"content": "no", "tool_calls": sent}, "finish_reason": second} for sent in calls),
        ]
    }
    assert read_whole(whole, own_id)[0] == reader.calls()
    (choice,) = whole["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("I will pay.", finish)
    read = [[call["id"], *call["function"].values()] for call in choice["message"]["tool_calls"]]
    assert read == made


def test_a_call_that_comes_again_in_another_choice_is_one() -> None:
    call = piece("pay", ONE, index=0, id="a")
    _, shown = answered(*(chunk({"tool_calls": [call]}, "tool_calls", index) for index in (0, 1)))
    assert assembled(shown)["calls"] == [["own-0-0", "pay", ONE]]
    whole = {"choices": [{"message": {"tool_calls": [copy.deepcopy(call)]}} for _ in range(2)]}
    assert read_whole(whole, own_id)[0] == {"own-0-0": ONE}


def choice_of(index: int, content: str | None, *calls: dict[str, Any]) -> dict[str, Any]:
    said = {"role": "assistant", "content": content, **({"tool_calls": list(calls)} if calls else {})}
    return {"index": index, "message": said, "finish_reason": "tool_calls" if calls else "stop"}


@pytest.mark.parametrize(
    ("choices", "made", "left_out"),
    [
        (
            [
                choice_of(0, "hi"),
                choice_of(1, None, piece("pay", ONE, index=0, id="x")),
                choice_of(2, None, piece("pay", ONE, index=1, id="x", signature="other")),
            ],
            [("pay", ONE)],
            [],
        ),
        (
            [
                choice_of(0, "hi"),
                choice_of(1, None, piece("pay", ONE, id="x")),
                choice_of(2, None, piece("pay", TWO, id="x"), piece("get_weather", ONE, id="y")),
            ],
            [("pay", ONE), ("pay", TWO), ("get_weather", ONE)],
            [],
        ),
        (
            [
                choice_of(0, "hi"),
                choice_of(1, None, piece("pay", ONE, id="x")),
                choice_of(2, None, piece("get_weather", ONE, id="x")),
            ],
            [("pay", ONE), ("get_weather", ONE)],
            [],
        ),
        (
            [choice_of(0, None, piece("pay", ONE, id="x")), choice_of(1, None, piece("get_weather", TWO, id="y"))],
            [("pay", ONE)],
            [1],
        ),
        (
            [choice_of(0, "a", piece("pay", ONE, id="x")), choice_of(4, "b", piece("pay", TWO, id="y"))],
            [("pay", ONE)],
            [4],
        ),
    ],
)
def test_choices_in_one_piece_become_one_as_those_of_a_stream_do(
    choices: list[dict[str, Any]], made: list[tuple[str, str]], left_out: list[int]
) -> None:
    with structlog.testing.capture_logs() as of_whole:
        whole = {"choices": copy.deepcopy(choices)}
        read_whole(whole, own_id)
    with structlog.testing.capture_logs() as of_stream:
        _, shown = answered(*({"choices": [choice]} for choice in choices))
    (choice,) = whole["choices"]
    read = [call["function"] for call in choice["message"]["tool_calls"]]
    assert [(function["name"], function["arguments"]) for function in read] == made
    assert [(name, arguments) for _, name, arguments in assembled(shown)["calls"]] == made
    warned = [{"event": "calls_of_another_answer_left_out", "choice": n, "log_level": "warning"} for n in left_out]
    assert of_whole == of_stream == warned


def test_nor_is_it_in_one_chunk_or_in_one_piece() -> None:
    (one,), (two,) = (chunk({"content": text}, "stop", index)["choices"] for index, text in enumerate("ab"))
    _, shown = answered({"choices": [one, two]})
    assert [choice["delta"].get("content") for out in shown for choice in out["choices"]] == ["a", None]
    whole = {"choices": [{"message": {"content": text}} for text in "ab"]}
    read_whole(whole, own_id)
    assert [choice["message"]["content"] for choice in whole["choices"]] == ["a"]


def test_the_only_choice_may_have_any_index() -> None:
    _, shown = answered(chunk({"content": "a"}, index=1), chunk({"content": "b"}, "stop", index=1))
    assert assembled(shown, 1)["content"] == "ab"


@pytest.mark.parametrize("delta", [{}, None, {"role": "assistant"}, {"content": None}])
def test_a_message_in_place_of_deltas_is_read(delta: Any) -> None:
    message = {"role": "assistant", "content": "whole", "tool_calls": [piece("pay", ONE, id="x")]}
    _, shown = answered({"choices": [{"index": 0, "delta": delta, "message": message, "finish_reason": "stop"}]})
    answer = assembled(shown)
    assert (answer["content"], answer["calls"]) == ("whole", [["own-0-0", "pay", ONE]])


def test_a_message_behind_deltas_is_not_said_twice() -> None:
    last = {"choices": [{"index": 0, "delta": {}, "message": {"content": "ab"}, "finish_reason": "stop"}]}
    _, shown = answered(chunk({"content": "a"}), chunk({"content": "b"}), last)
    assert assembled(shown)["content"] == "ab"


def test_choices_that_are_asked_for_are_told_apart() -> None:
    _, shown = answered(*TWO_CHOICES, several=True)
    first, second = (assembled(shown, number) for number in (0, 1))
    assert (first["content"], first["calls"], first["finish"]) == ("a", [["own-0-0", "pay", ONE]], ["tool_calls"])
    assert (second["content"], second["calls"], second["finish"]) == ("b", [["own-1-0", "pay", TWO]], ["length"])


def test_figures_come_once_and_last() -> None:
    figures = [
        {"prompt_tokens": 5, "completion_tokens": 1, "prompt_tokens_details": None},
        {"prompt_tokens": 5, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 2}},
        {"prompt_tokens": 0, "completion_tokens": 3},
    ]
    _, shown = answered(*(chunk({"content": "a"}, usage=usage) for usage in figures))
    assert [out["usage"] for out in shown if "usage" in out] == [
        {
            "prompt_tokens": 5,
            "completion_tokens": 3,
            "total_tokens": 8,
            "prompt_tokens_details": {"cached_tokens": 2},
        }
    ]
    assert "usage" in shown[-1]


@pytest.mark.parametrize(
    ("sent", "usage"),
    [
        ({"total_tokens": 7}, (0, 0, 7)),
        ({"prompt_tokens": "many", "completion_tokens": 2.0}, (0, 2, 2)),
        ({"prompt_tokens": -100_000, "completion_tokens": 2, "total_tokens": -99_998}, (0, 2, 2)),
        ({"prompt_tokens": 2**53 + 1, "completion_tokens": 2.5, "total_tokens": 2**53}, (0, 0, 2**53)),
        ({"prompt_tokens": True, "completion_tokens": 1e300}, (0, 0, 0)),
        ({"prompt_tokens": {"a": 1}, "completion_tokens": [2], "total_tokens": {}}, (0, 0, 0)),
        ({"prompt_tokens": 5, "prompt_tokens_details": "x", "completion_tokens_details": []}, (5, 0, 5)),
        ({"prompt_tokens": float("nan"), "completion_tokens": None, "cost": {"usd": "0.1"}}, (0, 0, 0)),
    ],
)
def test_figures_are_all_there_and_numbers(sent: dict[str, Any], usage: tuple[int, int, int]) -> None:
    whole: dict[str, Any] = {"choices": [], "usage": copy.deepcopy(sent)}
    read_whole(whole, own_id)
    for read in (whole["usage"], answered(chunk({}, usage=sent))[1][-1]["usage"]):
        assert (read["prompt_tokens"], read["completion_tokens"], read["total_tokens"]) == usage
        assert all(type(count) is int for count in read.values() if not isinstance(count, dict))


@pytest.mark.parametrize("odd", [-5, 2**60, 7.5, "many", None, {"a": 1}, [1], True])
def test_a_figure_that_is_none_takes_nothing_from_one_that_is(odd: Any) -> None:
    for order in ([odd, 5], [5, odd]):
        usages = [{"prompt_tokens": count, "prompt_tokens_details": {"cached_tokens": count}} for count in order]
        _, shown = answered(*(chunk({}, usage=usage) for usage in usages))
        usage = shown[-1]["usage"]
        assert (usage["prompt_tokens"], usage["prompt_tokens_details"]) == (5, {"cached_tokens": 5})


@pytest.mark.parametrize(
    ("created", "read"), [(1.5e9 + 0.5, 1_500_000_000), ("2024-01-01T00:00:00Z", 0), (-1, 0), (float("nan"), 0)]
)
def test_the_head_of_an_answer_has_the_types_of_the_api(created: Any, read: int) -> None:
    sent = {"id": 7, "model": 5, "created": created}
    _, shown = answered(chunk({"content": "a"}, **sent))
    whole: dict[str, Any] = {**sent, "choices": []}
    read_whole(whole, own_id)
    for answer in (*shown, whole):
        assert (answer["id"], answer["model"], answer["created"]) == ("7", "5", read)
        assert type(answer["created"]) is int


def test_a_whole_answer_is_read_as_a_streamed_one_is() -> None:
    calls = [piece("pay", {"amount": 1}, id="a"), piece("pay", TWO, id="a"), piece("pay", None), piece(None, "{")]
    whole: dict[str, Any] = {
        "choices": [{"message": {"content": "\ud83d", "tool_calls": calls, "reasoning": "Hm"}}]
    }
    written, reasoning = read_whole(whole, own_id)
    assert written == {"own-0-0": ONE, "own-0-1": TWO, "own-0-2": "{}", "own-0-3": "{"}
    assert reasoning == {"reasoning": "Hm"}
    (choice,) = whole["choices"]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] == "\ufffd"
    assert [call["id"] for call in choice["message"]["tool_calls"]] == list(written)


def test_a_call_of_the_api_before_tools_is_a_call() -> None:
    made = assembled(
        answered(
            chunk({"function_call": {"name": "pay", "arguments": ""}}),
            chunk({"function_call": {"arguments": ONE[:4]}}),
            chunk({"function_call": {"arguments": ONE[4:]}}, "function_call"),
        )[1]
    )
    assert (made["calls"], made["finish"]) == ([["own-0-0", "pay", ONE]], ["tool_calls"])
    message = {"function_call": {"name": "pay", "arguments": ONE}}
    whole: dict[str, Any] = {"choices": [{"message": message, "finish_reason": "function_call"}]}
    assert read_whole(whole, own_id)[0] == {"own-0-0": ONE}
    (choice,) = whole["choices"]
    assert (choice["finish_reason"], set(choice["message"])) == ("tool_calls", {"role", "content", "tool_calls"})


def test_a_call_that_comes_in_both_forms_is_one() -> None:
    both = {"tool_calls": [piece("pay", ONE, index=0, id="a")], "function_call": {"name": "pay", "arguments": ONE}}
    assert len(assembled(answered(chunk(both, "tool_calls"))[1])["calls"]) == 1


def test_an_object_in_place_of_a_list_is_a_list_of_one() -> None:
    said = {"tool_calls": piece("pay", ONE, id="a")}
    (choice,) = chunk(said, "tool_calls")["choices"]
    assert assembled(answered({"choices": choice})[1])["calls"] == [["own-0-0", "pay", ONE]]
    assert read_whole({"choices": {"message": said}}, own_id)[0] == {"own-0-0": ONE}


def test_a_text_in_place_of_a_delta_or_message_is_its_words() -> None:
    _, shown = answered({"choices": [{"text": "a"}]}, {"choices": [{"text": "b", "finish_reason": "stop"}]})
    assert assembled(shown)["content"] == "ab"
    whole: dict[str, Any] = {"choices": [{"text": "ab"}]}
    read_whole(whole, own_id)
    assert whole["choices"][0]["message"] == {"role": "assistant", "content": "ab"}


def test_json_is_json_for_everyone() -> None:
    odd = {"mean": float("nan"), "max": [float("inf"), -float("inf")], "half": "\ud83d", "set": {1}}
    odder: dict[Any, Any] = {**odd, 3: object()}
    for text in (json_text(odd), shown_json(odder)):
        read = json.loads(text, parse_constant=lambda name: pytest.fail(name))
        assert (read["mean"], read["max"], read["half"]) == (None, [None, None], "\ufffd")
    assert json_text({"a": [1, "b"]}) == '{"a":[1,"b"]}'
    assert read_json('{"logprob": -Infinity, "n": NaN, "big": 1e999, "x": 1.5}') == {
        "logprob": None,
        "n": None,
        "big": None,
        "x": 1.5,
    }


# Any split, order and repetition.

texts = st.text(alphabet=st.characters(exclude_categories=()), max_size=12)
halves = st.text(alphabet=st.sampled_from("a\U0001f600\ud83d\ude00"), max_size=8)
arguments = st.one_of(
    st.dictionaries(st.text(max_size=4), st.one_of(st.integers(), texts, st.none()), max_size=3).map(json.dumps),
    st.sampled_from(["", " ", "{", '{"a": NaN}', "[1]", "no JSON", '{"a": "\U0001f600"}']),
)
sent_ids = st.sampled_from([None, "", "a", "b", "call_0"])


def split(draw: Callable[[st.SearchStrategy[set[int]]], set[int]], text: str) -> list[str]:
    """A text in pieces, between any two of its UTF-16 halves."""
    units = text.encode("utf-16-le", "surrogatepass")
    ends = sorted(draw(st.sets(st.integers(0, len(units) // 2), max_size=4)))
    places = [0, *(2 * end for end in ends), len(units)]
    return [units[a:b].decode("utf-16-le", "surrogatepass") for a, b in itertools.pairwise(places)]


@st.composite
def calls_and_pieces(draw: st.DrawFn) -> tuple[list[tuple[str, str]], list[list[dict[str, Any]]]]:
    """Tool calls, and for each the pieces that endpoints may send of it."""
    calls = draw(st.lists(st.tuples(st.sampled_from(TOOLS), arguments), max_size=4))
    pieces = []
    for number, (name, text) in enumerate(calls):
        parts = split(draw, text)
        sent = [piece(None, part, index=number + 2) for part in parts]
        head = draw(st.sampled_from(["with", "before", "halves", "after", "each"]))
        if head == "before":
            sent.insert(0, piece(name, draw(st.sampled_from(["", None])), index=number + 2))
        elif head == "halves":
            cut = draw(st.integers(1, len(name) - 1))
            sent[:0] = [piece(name[:cut], "", index=number + 2), piece(name[cut:], "", index=number + 2)]
        elif head == "after":
            sent.append(piece(name, "", index=number + 2))
        else:
            sent[0]["function"]["name"] = name
        sent[0]["id"] = draw(sent_ids)
        if head == "each" and not arguments_object("".join(parts[:-1])):
            for later in sent[1:]:
                later["id"] = sent[0]["id"]
        pieces.append(sent)
    return calls, pieces


@given(st.data(), halves, halves, calls_and_pieces())
def test_any_split_comes_to_the_same_answer(
    data: st.DataObject,
    content: str,
    reasoning: str,
    made: tuple[list[tuple[str, str]], list[list[dict[str, Any]]]],
) -> None:
    calls, by_call = made
    content_name = data.draw(st.sampled_from(["text", "parts"]))
    reasoning_name = data.draw(st.sampled_from(["reasoning", "reasoning_content"]))
    queues: list[list[dict[str, Any]]] = [
        [{reasoning_name: part} for part in split(data.draw, reasoning)],
        [
            {"content": part if content_name == "text" else [{"type": "text", "text": part}]}
            for part in split(data.draw, content)
        ],
        *([{"tool_calls": [sent]} for sent in pieces] for pieces in by_call),
    ]
    deltas = []
    # A call's pieces are in order and begin after those of the calls before; between them anything may come.
    while waiting := [queue for queue in queues if queue]:
        begun = [queue for queue in waiting if "tool_calls" not in queue[0] or _may_come(queue, by_call, deltas)]
        deltas.append(data.draw(st.sampled_from(begun)).pop(0))
        if data.draw(st.booleans()):
            deltas.append(data.draw(st.sampled_from([{}, None, {"role": "assistant"}, {"content": None}])))
    finish = data.draw(st.sampled_from([None, "stop", "tool_calls", "eos"]))
    usage = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
    chunks = [chunk(delta, usage=data.draw(st.sampled_from([None, usage]))) for delta in deltas]
    chunks.append(chunk({}, finish, usage=usage))
    reader, shown = answered(*chunks)
    answer = assembled(shown)
    assert answer.get("content", "") == encodable(content)
    assert answer.get("reasoning_content", "") == encodable(reasoning)
    assert answer["finish"] == [finish or ("tool_calls" if calls else "stop")]
    assert [out["usage"] for out in shown if "usage" in out] == [usage]
    assert [(name, text) for _, name, text in answer["calls"]] == [
        (name, encodable_json(text) if text.strip() else f"{text}{{}}") for name, text in calls
    ]
    assert len({call_id for call_id, _, _ in answer["calls"]}) == len(calls)
    assert reader.calls() == {call_id: text for call_id, _, text in answer["calls"]}
    _on_the_wire(shown)
    # What is recorded comes to the same again.
    again = AnswerReader("m", TOOLS, lambda sent, *_: sent)
    recorded = json.loads(json.dumps(shown))
    assert assembled([*(out for sent in recorded for out in again.read(sent)), *again.end()]) == answer


def _may_come(
    queue: list[dict[str, Any]], by_call: list[list[dict[str, Any]]], deltas: list[dict[str, Any] | None]
) -> bool:
    index = queue[0]["tool_calls"][0]["index"]
    begun = {d["tool_calls"][0]["index"] for d in deltas if d and "tool_calls" in d}
    return all(earlier in begun for earlier in range(2, index))


def _on_the_wire(shown: list[dict[str, Any]]) -> None:
    """It is JSON, in UTF-8."""
    text = json.dumps(shown, ensure_ascii=False, allow_nan=False)
    assert json.loads(text.encode()) == shown


scalars = st.one_of(st.none(), st.booleans(), st.integers(-2, 9), st.floats(), texts)
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3)
)
half_legal = st.fixed_dictionaries(
    {},
    optional={
        "choices": st.one_of(
            anything,
            st.lists(
                st.fixed_dictionaries(
                    {},
                    optional={
                        "index": anything,
                        "finish_reason": scalars,
                        "delta": st.one_of(
                            anything,
                            st.fixed_dictionaries(
                                {},
                                optional={
                                    "content": anything,
                                    "reasoning": anything,
                                    "refusal": anything,
                                    "tool_calls": st.one_of(
                                        anything,
                                        st.lists(
                                            st.fixed_dictionaries(
                                                {},
                                                optional={
                                                    "index": anything,
                                                    "id": anything,
                                                    "type": anything,
                                                    "function": st.one_of(
                                                        anything,
                                                        st.fixed_dictionaries(
                                                            {}, optional={"name": anything, "arguments": anything}
                                                        ),
                                                    ),
                                                },
                                            ),
                                            max_size=3,
                                        ),
                                    ),
                                },
                            ),
                        ),
                    },
                ),
                max_size=2,
            ),
        ),
        "usage": anything,
        "id": scalars,
    },
)


@given(st.lists(half_legal, max_size=5))
def test_whatever_comes_calls_have_ids_of_their_own_and_it_can_be_written(chunks: list[dict[str, Any]]) -> None:
    reader = AnswerReader("m", TOOLS, own_id)
    shown = [out for sent in chunks for out in reader.read(read_json(json.dumps(sent)))]
    shown += reader.end()
    json.dumps(shown, allow_nan=False)
    encodable(json.dumps(shown, ensure_ascii=False)).encode()
    heads = [
        call["id"]
        for out in shown
        for choice in out["choices"]
        for call in choice["delta"].get("tool_calls", ())
        if "id" in call
    ]
    assert sorted(heads) == sorted(reader.calls())
    for index in {choice["index"] for out in shown for choice in out["choices"]}:
        assert len(assembled(shown, index)["finish"]) == 1


# What an endpoint sends beside the words and calls.


def is_no_text(value: Any) -> bool:
    return not isinstance(value, str)


FIGURES = (
    "prompt_tokens",
    "completion_tokens",
    "total_tokens",
    "input_tokens",
    "prompt_tokens_details",
    "completion_tokens_details",
    "input_tokens_details",
    "cache_read_input_tokens",
    "cost",
)
HEAD = ("id", "object", "created", "model", "system_fingerprint", "service_tier", "provider")
counts = st.fixed_dictionaries({}, optional=dict.fromkeys(FIGURES, anything))
token = st.fixed_dictionaries(
    {}, optional={"token": anything, "logprob": anything, "bytes": anything, "top_logprobs": anything}
)
beside_the_answer = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(
            ("id", "object", "created", "model", "system_fingerprint", "service_tier", "provider"), anything
        ),
        "usage": st.one_of(anything, counts),
        "x_groq": st.one_of(anything, st.fixed_dictionaries({"usage": counts})),
        "error": st.sampled_from([None, False, 0, "", {}, []]),
    },
)
beside_the_choice = st.fixed_dictionaries(
    {},
    optional={
        "index": anything.filter(lambda index: not isinstance(index, int)),
        "logprobs": st.one_of(anything, st.fixed_dictionaries({"content": st.lists(token, max_size=2)})),
        "native_finish_reason": anything,
        "usage": counts,
        "error": st.sampled_from([None, False, 0, "", {}, []]),
    },
)
beside_the_words = st.fixed_dictionaries(
    {},
    optional={
        "role": anything,
        "refusal": anything.filter(is_no_text),
        "reasoning": anything,
        "reasoning_content": anything.filter(is_no_text),
        "function_call": anything.filter(lambda call: not isinstance(call, dict)),
        "audio": st.one_of(
            anything,
            st.fixed_dictionaries(dict.fromkeys(("id", "data", "expires_at", "transcript"), anything)),
        ),
        "annotations": st.one_of(
            anything,
            st.lists(
                st.fixed_dictionaries(
                    {"type": st.sampled_from(["url_citation", "file_citation"])},
                    optional={"url_citation": anything},
                ),
                max_size=2,
            ),
        ),
        "name": anything,
        "id": anything,
        "tool_call_id": anything,
    },
)
beside_the_call = st.fixed_dictionaries(
    {},
    optional={
        "index": st.sampled_from([None, {}, [], "first", True]),
        "type": anything,
        "extra_content": anything,
    },
)
WORDS, CALLED = "All is well.", ("pay", '{"amount": 1}')


def _as_the_sdk_has_it(answer: dict[str, Any]) -> dict[str, Any]:
    """An answer without the words that the SDK's types list, and which go on to the agent as they are."""
    reason = next((choice["finish_reason"] for choice in answer["choices"]), None)
    choices = [{**choice, "finish_reason": reason and "stop"} for choice in answer["choices"]]
    return {**answer, "choices": choices, "service_tier": None}


def _is_uncountable(usage: dict[str, Any] | None) -> bool:
    return usage is not None and any(
        type(count) is not int or count < 0 for name, count in usage.items() if name.endswith("_tokens")
    )


@given(st.data())
def test_whatever_is_beside_them_words_and_calls_of_a_stream_arrive(data: st.DataObject) -> None:
    called = piece(*CALLED)
    said: list[dict[str, Any]] = [{"content": WORDS[:5]}, {"content": WORDS[5:]}, {"tool_calls": [called]}, {}]
    chunks = []
    for delta in said:
        for call in delta.get("tool_calls", ()):
            call |= {"id": data.draw(anything), **data.draw(beside_the_call)}
        choice = {**data.draw(beside_the_choice), "delta": {**data.draw(beside_the_words), **delta}}
        chunks.append({**data.draw(beside_the_answer), "choices": [choice]})
    choice["finish_reason"] = data.draw(st.one_of(anything, st.just("stop")))
    reader, shown = answered(*read_json(json.dumps(chunks)))
    made = assembled(json.loads(encodable(json.dumps(shown, ensure_ascii=False, allow_nan=False))))
    assert made["content"] == WORDS
    assert [(name, text) for _, name, text in made["calls"]] == [CALLED]
    assert list(reader.calls().values()) == [CALLED[1]]
    assert len(made["finish"]) == 1
    for sent in shown:
        ChatCompletionChunk.model_validate(_as_the_sdk_has_it(sent))
        _chunk("m", json.dumps(sent))
        assert not _is_uncountable(sent.get("usage"))


@given(st.data())
def test_and_those_of_an_answer_in_one_piece(data: st.DataObject) -> None:
    call = {**piece(*CALLED), "id": data.draw(anything), **data.draw(beside_the_call)}
    message = {**data.draw(beside_the_words), "content": WORDS, "tool_calls": [call]}
    choice = {**data.draw(beside_the_choice), "message": message, "finish_reason": data.draw(anything)}
    whole = read_json(json.dumps({**data.draw(beside_the_answer), "choices": [choice]}))
    written, _ = read_whole(whole, own_id, model="m")
    read = ChatCompletion.model_validate(_as_the_sdk_has_it(json.loads(json.dumps(whole, allow_nan=False))))
    assert read.choices[0].message.content == WORDS
    (made,) = read.choices[0].message.tool_calls or []
    assert isinstance(made, ChatCompletionMessageFunctionToolCall)
    assert (made.function.name, made.function.arguments) == CALLED
    assert list(written.values()) == [CALLED[1]]
    assert not _is_uncountable(whole.get("usage"))
    assert type(whole["choices"][0]["finish_reason"]) is str


ESCAPES = st.sampled_from(
    [
        "\\ud83d",
        "\\ude00",
        "\\uD83D\\uDE00",
        "\\\\",
        "\\n",
        '\\"',
        "\\u00e9",
        "\\",
        "\\u",
        "ud83d",
        "a",
        "\ud83d",
        "é",
    ]
)


@given(st.lists(ESCAPES, max_size=8).map("".join), st.data())
def test_escaped_characters_are_whole_however_they_are_split(text: str, data: st.DataObject) -> None:
    characters = EscapedCharacters()
    read = "".join(characters.feed(part) for part in split(data.draw, text)) + characters.end()
    assert read == encodable_json(text)
    read.encode()
    try:
        sent = json.loads(f'"{encodable(text)}"', strict=False)
    except ValueError:
        return
    assert json.loads(f'"{read}"', strict=False) == encodable(sent)


def test_pieces_of_calls_that_come_by_turns_are_shown_one_call_after_the_other() -> None:
    """Frameworks give a piece without an id to the call that began last."""
    turns = [
        piece("pay", "", index=0),
        piece("add", "", index=1),
        piece(None, '{"a', index=0),
        piece(None, '{"b": ', index=1),
        piece(None, '": 1}', index=0),
        piece(None, "2}", index=1),
        piece("add", "", index=2),
        piece("pay", '{"c": 3}', index=3),
    ]
    _, shown = answered(*(chunk({"tool_calls": [sent]}) for sent in turns), chunk({}, "tool_calls"))
    calls = [c for out in shown for choice in out["choices"] for c in choice["delta"].get("tool_calls", ())]
    assert [call["index"] for call in calls] == sorted(call["index"] for call in calls)
    assert [text for _, _, text in assembled(shown)["calls"]] == ['{"a": 1}', '{"b": 2}', "{}", '{"c": 3}']


def test_arguments_hold_no_halves_of_characters() -> None:
    escaped = '{"a": "\\ud83d \\ud83d\\ude00 \\\\ud83d"}'
    read = '{"a": "\\ufffd \\ud83d\\ude00 \\\\ud83d"}'
    pieces = [[piece("pay", escaped[:10], index=0)], [piece(None, escaped[10:22], index=0)]]
    assert calls_of(*pieces, [piece(None, escaped[22:], index=0)]) == [("pay", read)]
    whole = {"choices": [{"message": {"tool_calls": [piece("pay", escaped)]}}]}
    assert read_whole(whole, own_id)[0] == {"own-0-0": read}


@given(halves, st.data())
def test_characters_are_whole_however_they_are_split(text: str, data: st.DataObject) -> None:
    characters = Characters()
    read = "".join(characters.feed(part) for part in split(data.draw, text)) + characters.end()
    assert read == encodable(text)
    read.encode()


@pytest.mark.parametrize("size", [1, 7, 100_000])
@pytest.mark.parametrize(
    ("before", "depth"), [('{"text": ', 2_000), ('{"text": "\\"[", "a": ', 2_000), ('{"text": ', MAX_DEPTH)]
)
def test_arguments_that_are_nested_too_deeply_are_cut_off(before: str, depth: int, size: int) -> None:
    """No reader fails on them as on no JSON: its stack is used up."""
    written = before + "[" * depth + "]" * depth + "}"
    pieces = [written[start : start + size] for start in range(0, len(written), size)]
    call = {"index": 0, "id": "a", "function": {"name": "add", "arguments": ""}}
    more = [{"tool_calls": [{"index": 0, "function": {"arguments": piece}}]} for piece in pieces]
    reader, shown = answered(*(chunk(delta) for delta in [{"tool_calls": [call]}, *more]), chunk({}, "tool_calls"))
    whole: dict[str, Any] = {
        "choices": [{"message": {"tool_calls": [{**call, "function": {"name": "add", "arguments": written}}]}}]
    }
    told, _ = read_whole(whole, own_id)
    assert list(reader.calls().values()) == list(told.values()) == [written]
    ((_, _, streamed),) = assembled(shown)["calls"]
    in_one_piece = whole["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"]
    assert streamed == in_one_piece == before + "[" * (MAX_DEPTH - 1)
    with pytest.raises(ValueError, match="Expecting value"):
        json.loads(streamed)


def test_arguments_that_are_nested_as_deeply_as_may_be_are_whole() -> None:
    written = '{"text": ' + '[{"a": ' * 49 + '"[[[[{{\\\\"' + "}]" * 49 + "}"
    call = {"index": 0, "id": "a", "function": {"name": "add", "arguments": written}}
    reader, shown = answered(chunk({"tool_calls": [call]}), chunk({}, "tool_calls"))
    assert list(reader.calls().values()) == [assembled(shown)["calls"][0][2]] == [written]
    assert arguments_object(written) is not None
