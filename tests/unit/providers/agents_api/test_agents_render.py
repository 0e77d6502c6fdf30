"""The classic Agents API's stream, and its turn, as a pure fold over events."""

from typing import Any

from k8gentai.agents.contract import events as ev
from k8gentai.agents.contract.turn import Turn
from k8gentai.providers.agents_api.dialects import chunk_0_2
from k8gentai.providers.agents_api.parts import ClassicPart, turn_of
from k8gentai.providers.agents_api.render import PartRendering, render_part
from k8gentai.providers.turns.continuation import retrying_turn
from k8gentai.workers.queue.record import TurnRecord

ASKED = [{"role": "user", "content": "2+2"}]
FIRST = "resp_" + "1" * 32
SECOND = "resp_" + "2" * 32


def accepted(turn_id: str = FIRST, **part: Any) -> TurnRecord:
    classic = ClassicPart(agent_id="math", turn_id=FIRST, input_messages=ASKED, **part)
    turn = Turn(id=turn_id, agent="math", input=[], conversation="conv_1")
    return TurnRecord(
        turn=turn, framework="langgraph", status="queued", accepted_at=1000.0, origin=classic.origin()
    )


def rendered(*events: ev.Event, record: TurnRecord | None = None) -> tuple[list[dict[str, Any]], PartRendering]:
    """The payloads of the stream, and the fold."""
    rendering = PartRendering(record or accepted())
    rendering.ended_at = 1009.0
    chunks = [chunk for event in events for chunk in rendering.feed(event)]
    return [chunk["event"]["payload"] if "event" in chunk else chunk for chunk in chunks], rendering


def types(payloads: list[dict[str, Any]]) -> list[str]:
    return [payload.get("event_type", "error") for payload in payloads]


CALLED: list[ev.Event] = [
    ev.TurnAccepted(),
    ev.TurnStarted(attempt=1, worker="w"),
    ev.StepStarted(step_id="s0", kind="inference", at=1001.0),
    ev.ToolCallStarted(call_id="c", name="add"),
    ev.ToolCallDelta(call_id="c", delta='{"a": 2}'),
    ev.ToolCall(call_id="c", name="add", arguments='{"a": 2}'),
    ev.Usage(model="m", input_tokens=1, output_tokens=1),
    ev.StepCompleted(step_id="s0", kind="inference", at=1002.0),
    ev.StepStarted(step_id=ev.tool_step("c"), kind="tool", name="add", at=1003.0),
    ev.ToolResult(call_id="c", output="4"),
    ev.StepCompleted(step_id=ev.tool_step("c"), kind="tool", at=1004.0),
]
ANSWERED: list[ev.Event] = [
    ev.StepStarted(step_id="s1", kind="inference", at=1005.0),
    ev.TextDelta(message_id="m", delta="It is "),
    ev.TextDelta(message_id="m", delta="4."),
    ev.MessageDone(message_id="m", text="It is 4."),
    ev.StepCompleted(step_id="s1", kind="inference", at=1006.0),
    ev.TurnCompleted(),
]


def test_a_turn_with_a_tool_of_the_agents() -> None:
    payloads, _ = rendered(*CALLED, *ANSWERED)
    assert types(payloads) == [
        "turn_start",
        *["step_start", "step_progress", "step_progress", "step_progress", "step_complete"],
        *["step_start", "step_progress", "step_complete"],
        *["step_start", "step_progress", "step_progress", "step_complete"],
        "turn_complete",
    ]
    turn = payloads[-1]["turn"]
    asked, ran, said = turn["steps"]
    call = {"call_id": "c", "tool_name": "add", "arguments": '{"a": 2}'}
    assert asked["model_response"]["tool_calls"] == [call]
    assert asked["model_response"]["stop_reason"] == "end_of_message"
    assert (ran["step_type"], ran["tool_calls"]) == ("tool_execution", [call])
    assert ran["tool_responses"] == [{"call_id": "c", "tool_name": "add", "content": "4", "metadata": None}]
    assert said["model_response"]["content"] == "It is 4."
    assert turn["output_message"] == {
        "role": "assistant",
        "content": "It is 4.",
        "stop_reason": "end_of_turn",
        "tool_calls": [],
    }
    assert (turn["turn_id"], turn["session_id"], turn["input_messages"]) == (FIRST, "conv_1", ASKED)


def test_steps_and_turn_have_their_times() -> None:
    _, rendering = rendered(*CALLED, *ANSWERED)
    turn = rendering.turn()
    seconds = [(step["started_at"][17:19], step["completed_at"][17:19]) for step in turn["steps"]]
    assert seconds == [("41", "42"), ("43", "44"), ("45", "46")]
    assert (turn["started_at"], turn["completed_at"]) == ("1970-01-01T00:16:40+00:00", "1970-01-01T00:16:49+00:00")


def test_step_ids_are_those_of_the_turn_however_often_it_is_rendered() -> None:
    _, one = rendered(*CALLED, *ANSWERED)
    _, other = rendered(*CALLED, *ANSWERED)
    ids = [step["step_id"] for step in one.turn()["steps"]]
    assert ids == [step["step_id"] for step in other.turn()["steps"]]
    assert len(set(ids)) == 3


def test_a_tool_that_failed_says_so() -> None:
    events: list[ev.Event] = [*CALLED[:-2], ev.ToolResult(call_id="c", output="no", is_error=True), CALLED[-1]]
    _, rendering = rendered(*events)
    assert rendering.turn()["steps"][1]["tool_responses"][0]["metadata"] == {"is_error": True}


ASKS_CLIENT: list[ev.Event] = [
    ev.TurnAccepted(),
    ev.StepStarted(step_id="s0", kind="inference", at=1001.0),
    ev.ToolCall(call_id="c", name="add", arguments='{"a": 2}', side="client"),
    ev.StepCompleted(step_id="s0", kind="inference", at=1002.0),
    ev.TurnCompleted(),
]


def test_a_tool_of_the_clients_ends_the_stream_awaiting_input() -> None:
    payloads, _ = rendered(*ASKS_CLIENT)
    assert types(payloads)[-1] == "turn_awaiting_input"
    turn = payloads[-1]["turn"]
    assert turn["output_message"]["stop_reason"] == "end_of_message"
    assert [call["call_id"] for call in turn["output_message"]["tool_calls"]] == ["c"]
    assert turn["completed_at"] is None


def test_the_next_part_begins_with_the_step_that_the_client_ran() -> None:
    before = render_part(accepted(), ASKS_CLIENT, 1009.0)
    response = {"call_id": "c", "tool_name": "add", "content": "4", "metadata": {}}
    record = accepted(
        SECOND, tool_calls=before.message["tool_calls"], tool_responses=[response], asked_at=before.ended_at
    )
    rendering = PartRendering(record, [before])
    chunks = [chunk for event in (ev.TurnAccepted(), *ANSWERED) for chunk in rendering.feed(event)]
    payloads = [chunk["event"]["payload"] for chunk in chunks]
    assert types(payloads)[:2] == ["step_complete", "step_start"]
    assert payloads[0]["step_details"]["tool_responses"] == [response]
    turn = payloads[-1]["turn"]
    assert turn["turn_id"] == FIRST
    assert [step["step_type"] for step in turn["steps"]] == ["inference", "tool_execution", "inference"]
    assert {step["turn_id"] for step in turn["steps"]} == {FIRST}
    assert turn["output_message"]["content"] == "It is 4."


def test_clients_0_2_are_given_arguments_as_an_object() -> None:
    rendering = PartRendering(accepted())
    chunks = [chunk_0_2(chunk) for event in (*CALLED, *ANSWERED) for chunk in rendering.feed(event)]
    (parsed,) = [
        payload["delta"]["tool_call"]
        for payload in (chunk["event"]["payload"] for chunk in chunks)
        if payload.get("delta", {}).get("parse_status") == "succeeded"
    ]
    assert (parsed["arguments"], parsed["arguments_json"]) == ({"a": 2}, '{"a": 2}')
    turn = chunks[-1]["event"]["payload"]["turn"]
    assert turn["steps"][0]["model_response"]["tool_calls"] == [parsed]
    assert turn["steps"][1]["tool_calls"] == [parsed]


def test_what_a_second_attempt_takes_back_is_not_in_the_turn() -> None:
    events: list[ev.Event] = [
        *CALLED,
        ev.TurnStarted(attempt=2, worker="other"),
        ev.ItemDropped(item_id="c"),
        *ANSWERED,
    ]
    _, rendering = rendered(*events)
    (step,) = rendering.turn()["steps"]
    assert step["model_response"]["content"] == "It is 4."


def test_a_message_that_begins_anew_replaces_what_it_said() -> None:
    events: list[ev.Event] = [
        *ANSWERED[:2],
        ev.TurnStarted(attempt=2, worker="other"),
        ev.ItemDropped(item_id="m"),
        ev.TextDelta(message_id="m", delta="Four."),
        ev.MessageDone(message_id="m", text="Four."),
        *ANSWERED[4:],
    ]
    _, rendering = rendered(*events)
    (step,) = rendering.turn()["steps"]
    assert step["model_response"]["content"] == "Four."


def test_model_calls_at_once_keep_their_texts_apart() -> None:
    events: list[ev.Event] = [
        ev.StepStarted(step_id="a", kind="inference"),
        ev.StepStarted(step_id="b", kind="inference"),
        ev.TextDelta(message_id="ma", delta="A"),
        ev.TextDelta(message_id="mb", delta="B"),
        ev.TextDelta(message_id="ma", delta="A"),
        ev.StepCompleted(step_id="a", kind="inference"),
        ev.StepCompleted(step_id="b", kind="inference"),
        ev.TurnCompleted(),
    ]
    _, rendering = rendered(*events)
    assert [step["model_response"]["content"] for step in rendering.turn()["steps"]] == ["AA", "B"]


def test_each_message_without_a_step_is_a_step() -> None:
    events: list[ev.Event] = [
        ev.MessageDone(message_id="a", text="Hello."),
        ev.MessageDone(message_id="b", text="Bye."),
    ]
    payloads, rendering = rendered(*events, ev.TurnCompleted())
    assert types(payloads) == [*["step_start", "step_progress", "step_complete"] * 2, "turn_complete"]
    assert rendering.turn()["output_message"]["content"] == "Bye."


def test_a_turn_that_failed_ends_with_an_error() -> None:
    payloads, rendering = rendered(*CALLED, ev.TurnFailed(code="model_error", message="The model is away."))
    assert payloads[-1]["error"] == {
        "code": "model_error",
        "message": "The model is away.",
        "turn_id": FIRST,
    }
    turn = rendering.turn()
    assert turn["error"]["code"] == "model_error"
    assert turn["completed_at"] is not None


def test_a_turn_out_of_tokens_says_why_it_stopped() -> None:
    payloads, _ = rendered(*ANSWERED[:-1], ev.TurnIncomplete(reason="max_output_tokens"))
    assert payloads[-1]["turn"]["output_message"]["stop_reason"] == "out_of_tokens"


def test_a_turn_that_waits_for_a_person_is_not_for_the_client_to_answer() -> None:
    events: list[ev.Event] = [
        *ASKS_CLIENT[:1],
        ev.Interrupt(call_id="p", name="pay", arguments="{}"),
        ev.TurnSuspended(expires_at=2000.0),
    ]
    payloads, _ = rendered(*events)
    assert types(payloads)[-1] == "turn_awaiting_input"
    message = payloads[-1]["turn"]["output_message"]
    assert (message["stop_reason"], message["tool_calls"][0]["tool_name"]) == ("end_of_turn", "pay")


def test_a_part_that_failed_and_ran_again_does_not_count() -> None:
    response = {"call_id": "c", "tool_name": "add", "content": "4", "metadata": {}}
    record = accepted(SECOND, tool_calls=[{"call_id": "c"}], tool_responses=[response])
    failed = record.model_copy(update={"status": "failed"})
    again = TurnRecord(**{**retrying_turn(failed).model_dump(), "status": "queued", "accepted_at": 1000.0})
    assert again.origin == record.origin
    parts = [
        render_part(accepted(), ASKS_CLIENT, 1009.0),
        render_part(failed, [ev.TurnAccepted(), ev.TurnFailed(code="agent_error", message="no")], 1010.0),
        render_part(again, [ev.TurnAccepted(), *ANSWERED], 1011.0),
    ]
    turn = turn_of(parts)
    assert [step["step_type"] for step in turn["steps"]] == ["inference", "tool_execution", "inference"]
    assert "error" not in turn


def test_a_call_that_was_approved_is_not_a_model_call_again() -> None:
    events: list[ev.Event] = [ev.TurnAccepted(), *CALLED[3:6], *CALLED[8:], *ANSWERED]
    turn = turn_of([render_part(accepted(), events, 1009.0)])
    assert [step["step_type"] for step in turn["steps"]] == ["tool_execution", "inference"]
    assert turn["steps"][0]["tool_calls"][0]["call_id"] == "c"
    assert turn["output_message"]["content"] == "It is 4."
