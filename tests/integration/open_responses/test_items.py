"""Items: their fields, their states, and how they are streamed."""

from typing import Any

from tests.integration.open_responses.sentences import departs, holds
from tests.integration.open_responses.turns import ENDS, every

STANDARD = {"message", "function_call", "reasoning"}
"""Types of the specification that a response's output has here."""
EXTENSIONS = {"mcp_call", "mcp_list_tools", "mcp_approval_request"}
ADDED, DONE = "response.output_item.added", "response.output_item.done"


def unlike(found, wanted):
    """What was found, where it is not what is wanted."""
    return None if found == wanted else found


def types(events):
    return [event["type"] for event in events]


@holds("Required item fields", "Every `Item` MUST include `id`, `type` and `status`.")
@holds("Items are polymorphic", "Items are discriminated based on the `type` field.")
def test_every_item_has_the_required_fields(turns):
    def check(turn):
        shown = [event["item"] for event in turn.events if "item" in event] + turn.response["output"]
        return unlike([item for item in shown if not (item["id"] and item["type"] and item.get("status"))], [])

    every(turns, check)


@holds("Required item fields", "`id` MUST be unique enough for clients to reference the item unambiguously.")
def test_item_ids_are_unique(turns):
    ids = [item["id"] for turn in turns for item in turn.items()]
    assert len(set(ids)) == len(ids)


@holds("Items are state machines", "All item types have the statuses `in_progress`, `incomplete`, `completed`.")
def test_items_begin_in_progress_and_end_once(turns):
    def check(turn):
        begun = [event["item"]["status"] for event in turn.events if event["type"] == ADDED]
        ended = [item["status"] for item in turn.items()]
        wrong = [status for status in ended if status not in {"completed", "incomplete", "failed"}]
        return unlike((set(begun) - {"in_progress"}, len(begun) - len(ended), wrong), (set(), 0, []))

    every(turns, check)


@holds(
    "Items are state machines",
    "`completed`: no updates may be made to the item after it has moved into this state.",
)
def test_nothing_follows_the_end_of_an_item(turns):
    def check(turn):
        ids = {item["id"] for item in turn.items()}
        return unlike([id_ for id_ in ids if types(turn.of_item(id_))[-1] != DONE], [])

    every(turns, check)


@holds("Items are state machines", "`incomplete`: it MUST be the last item emitted.")
@holds("Items are state machines", "`incomplete`: the containing response also MUST be in an `incomplete` state.")
def test_an_answer_that_is_cut_off(turns):
    for name in ("too long", "too long for an agent"):
        response = turns[name].response
        assert [item["status"] for item in response["output"]] == ["incomplete"]
        assert response["status"] == "incomplete"
        assert response["incomplete_details"] == {"reason": "max_output_tokens"}
        assert turns[name].events[-1]["type"] == "response.incomplete"


@departs(
    "Items are state machines",
    "`incomplete`: the containing response also MUST be in an `incomplete` state.",
    "only where the model ran out of tokens. A turn that fails or is cancelled in the middle of an item ends as "
    "`failed` or `cancelled`, with what was said in an `incomplete` item: the item is not whole, and no other "
    "status would say so. So does an item end that a worker died in, where the next one takes another way",
)
def test_an_item_that_a_cancelled_turn_leaves(turns):
    cancelled = turns["cancelled"]
    assert [item["status"] for item in cancelled.response["output"]] == ["incomplete"]
    assert cancelled.response["status"] == "cancelled"
    assert cancelled.events[-1]["type"] == "response.incomplete"


@holds("Items are streamable", "The first event MUST always be `response.output_item.added`.")
@holds("Items are streamable", "When finished, the item is closed with `response.output_item.done`.")
def test_items_open_and_close(turns):
    def check(turn):
        ends = [(types(turn.of_item(item["id"]))[0], types(turn.of_item(item["id"]))[-1]) for item in turn.items()]
        return unlike([end for end in ends if end != (ADDED, DONE)], [])

    every(turns, check)


@holds(
    "Items are streamable",
    "For `messages`, this means at least the `role`; for `function_call`, at least the `name`.",
)
@holds(
    "Items are streamable", "All fields not marked nullable MUST have a value. Use zero values where applicable."
)
def test_an_item_begins_with_zero_values(turns):
    wanted: dict[str, dict[str, Any]] = {
        "message": {"role": "assistant", "content": []},
        "function_call": {"name": "get_weather", "arguments": ""},
        "reasoning": {"summary": [], "content": []},
        "mcp_call": {"arguments": ""},
    }

    def check(turn):
        begun = [event["item"] for event in turn.events if event["type"] == ADDED]
        return unlike([item for item in begun if not wanted.get(item["type"], {}).items() <= item.items()], [])

    every(turns, check)


@holds("Items are streamable", "Such content MUST be backed by a content part.")
@holds(
    "Items are streamable",
    "The first event MUST be `response.content_part.added`, followed by `response.<content_type>.delta`, ending "
    "with `response.<content_type>.done`, closed with `response.content_part.done`.",
)
def test_content_parts(turns):
    def check(turn):
        parts = [item for item in turn.items() if item["type"] in {"message", "reasoning"}]
        return unlike([item for item in parts if not _streamed_in_parts(turn.of_item(item["id"]), item)], [])

    every(turns, check)
    assert types(turns["reasoning"].events)[4] == "response.reasoning_text.delta"


def _streamed_in_parts(events, item):
    """Whether a message or a reasoning was streamed as its one part."""
    (part,) = item["content"]
    kind = part["type"]
    deltas = [event["delta"] for event in events if event["type"] == f"response.{kind}.delta"]
    return "".join(deltas) == part["text"] and types(events) == [
        ADDED,
        "response.content_part.added",
        *[f"response.{kind}.delta"] * len(deltas),
        f"response.{kind}.done",
        "response.content_part.done",
        DONE,
    ]


@departs(
    "OpenAPI document",
    "`response.reasoning.delta`, `response.reasoning.done`",
    "the events are `response.reasoning_text.delta` and `.done`: so has it the specification's rule "
    "`response.<content_type>.delta`, and so know them the SDKs of OpenAI and Llama Stack",
)
def test_the_names_of_reasoning_events(turns):
    found = {event["type"] for event in turns["reasoning"].events if "reasoning" in event["type"]}
    assert found == {"response.reasoning_text.delta", "response.reasoning_text.done"}


@holds("Reasoning", "`content`: follows the same delta semantics as other text-like content parts.")
@holds("Reasoning", "All three fields are optional (can be null or the zero-value).")
def test_reasoning(turns):
    reasoning, message = turns["reasoning"].response["output"]
    assert reasoning["content"] == [{"type": "reasoning_text", "text": "Hm, yes."}]
    assert (reasoning["summary"], reasoning.get("encrypted_content")) == ([], None)
    assert message["content"][0]["text"] == "It is."


@departs(
    "Items are extensible",
    "Items not contained in the spec MUST be prefixed with the canonical provider slug.",
    "`mcp_call`, `mcp_list_tools`, `mcp_approval_request` and the items of Llama Stack's own searches keep the "
    "names that the SDKs of OpenAI and Llama Stack know: under others these would show nothing of a tool that ran",
)
def test_the_names_of_other_items(turns):
    assert {item["type"] for turn in turns for item in turn.items()} == STANDARD | EXTENSIONS


@departs(
    "Extending streaming events",
    "All extended streaming events MUST be prefixed with the implementor slug.",
    "those of `mcp_call` and `mcp_list_tools` have the names that the SDKs know, as their items do",
)
def test_the_names_of_other_events(turns):
    standard = {f"response.{name}" for name in ("created", "queued", "in_progress", "content_part.added")}
    standard |= {f"response.{name}" for name in ("content_part.done", "output_text.delta", "output_text.done")}
    standard |= {f"response.function_call_arguments.{name}" for name in ("delta", "done")}
    others = {type_ for turn in turns for type_ in types(turn.events)} - standard - ENDS - {ADDED, DONE}
    assert {name.split(".")[1] for name in others} == {
        "reasoning_text",
        "mcp_call",
        "mcp_call_arguments",
        "mcp_list_tools",
    }


@holds(
    "Extending streaming events",
    "They MUST NOT change the normative semantics of the core stream; clients MUST be able to ignore [them].",
)
@holds(
    "Extending streaming events",
    "Each event MUST include `type` and a monotonically increasing `sequence_number`.",
)
def test_sequence_numbers(turns):
    def check(turn):
        numbers = [event["sequence_number"] for event in turn.events]
        return unlike(numbers, list(range(len(numbers))))

    every(turns, check)
    # What is left without them is the response all the same.
    turn = turns["tool of the worker"]
    known = [event["item"] for event in turn.events if event["type"] == DONE]
    assert known == turn.response["output"]


@holds(
    "Streaming",
    "[There are] two major types of streaming events into which all events MUST fall: delta, state machine.",
)
@holds(
    "Streaming", "When a Response moves from `queued` to `in_progress`, a `response.in_progress` event is emitted."
)
@holds(
    "Streaming",
    "If a Response encounters an error and its status changes to `failed`, `response.failed` is generated.",
)
def test_states_of_the_response(turns):
    statuses = {
        "response.created": {"in_progress", "queued"},
        "response.queued": {"queued"},
        "response.in_progress": {"in_progress"},
        "response.completed": {"completed"},
        "response.incomplete": {"incomplete", "cancelled"},
        "response.failed": {"failed"},
    }

    def check(turn):
        states = [event for event in turn.events if "response" in event]
        wrong = [e for e in states if e["response"]["status"] not in statuses[e["type"]]]
        ends = [event["type"] for event in states if event["type"] in ENDS]
        deltas = [e for e in turn.events if "response" not in e and "output_index" not in e]
        return unlike((wrong, len(ends), turn.events[-1]["type"] in ENDS, deltas), ([], 1, True, []))

    every(turns, check)
    assert types(turns["in the background"].events)[:3] == [
        "response.created",
        "response.queued",
        "response.in_progress",
    ]


@holds(
    "Extending tools",
    "The item should contain how the model invoked the tool, the status of the call, the result.",
)
def test_a_tool_that_ran_leaves_a_receipt(turns):
    for name in ("tool of the worker", "tool of a server"):
        (call,) = [item for item in turns[name].response["output"] if item["type"] == "mcp_call"]
        assert (call["name"], call["status"], call["error"]) == ("add", "completed", None)
        assert "1" in call["arguments"]
        assert "3" in call["output"]
    (failed,) = [item for item in turns["tool that fails"].response["output"] if item["type"] == "mcp_call"]
    assert (failed["status"], failed["output"]) == ("failed", None)
    assert "no wrench of size 13" in failed["error"]


@holds(
    "Items", "Items are bidirectional, they can be provided as inputs to the model, or as outputs from the model."
)
@holds("Extending tools", "Enough information that it can be round-tripped back to the API.")
async def test_output_may_be_sent_back(turns, http, model, key):
    for turn in turns:
        output = turn.response["output"]
        answers = [
            {"type": "function_call_output", "call_id": item["call_id"], "output": "rain"}
            for item in output
            if item["type"] == "function_call"
        ]
        if any(item["type"] == "mcp_approval_request" for item in output):
            continue  # It asks, and is answered with an item of its own.
        again = {"type": "message", "role": "user", "content": f"[[{key}{turn.name.replace(' ', '-')}]] And?"}
        body = {"model": "openai/scripted-model", "input": [*output, *answers, again]}
        answer = await http.post("/v1/responses", json=body)
        assert (turn.name, answer.status_code, answer.json().get("status")) == (turn.name, 200, "completed")
