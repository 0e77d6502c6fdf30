"""One order for what adapters, tools and the gateway say (k8gentai.workers.attempt.sequencer)."""

from typing import Literal

import pytest

from k8gentai.agents.contract.events import (
    Event,
    ItemDropped,
    MessageDone,
    StepCompleted,
    StepStarted,
    TextDelta,
    ToolCall,
    ToolResult,
    Usage,
)
from k8gentai.workers.attempt.sequencer import EventOrder

USAGE = Usage(model="m", input_tokens=1, output_tokens=2)


def call(call_id: str) -> ToolCall:
    return ToolCall(call_id=call_id, name="add", arguments="{}")


def tool_events(call_id: str) -> list[Event]:
    return [
        call(call_id),
        StepStarted(step_id=f"tool-{call_id}", kind="tool"),
        ToolResult(call_id=call_id, output="3"),
        StepCompleted(step_id=f"tool-{call_id}", kind="tool"),
    ]


def types(events: list[Event]) -> list[str]:
    return [event.type for event in events]


def test_a_tool_that_runs_before_its_call_is_told_waits_for_the_end_of_the_model_call() -> None:
    put: list[Event] = []
    order = EventOrder(put.append)
    order.from_adapter(StepStarted(step_id="s", kind="inference"))
    for event in tool_events("a"):
        order.from_tool("a", event)
    order.from_adapter(call("a"))
    order.from_gateway(USAGE)
    order.from_adapter(StepCompleted(step_id="s", kind="inference"))
    assert types(put) == [
        "step.started",
        "tool.call",
        "usage",
        "step.completed",
        "step.started",
        "tool.result",
        "step.completed",
    ]


def test_a_call_the_adapter_never_tells_of_is_told_from_the_tool() -> None:
    put: list[Event] = []
    order = EventOrder(put.append)
    for event in tool_events("a"):
        order.from_tool("a", event)
    order.from_adapter(StepStarted(step_id="s2", kind="inference"))
    assert types(put) == ["tool.call", "step.started", "tool.result", "step.completed", "step.started"]


def test_a_call_that_no_model_made_is_published_as_it_is_made() -> None:
    put: list[Event] = []
    order = EventOrder(put.append, is_of_model={"a"}.__contains__)
    order.from_adapter(StepStarted(step_id="s", kind="inference"))
    order.from_tool("a", call("a"))
    for event in tool_events("b"):
        order.from_tool("b", event)
    order.from_adapter(TextDelta(message_id="m", delta="Done."))
    made = ["tool.call", "step.started", "tool.result", "step.completed"]
    assert types(put) == ["step.started", *made, "text.delta"]


def test_a_call_of_a_model_that_the_adapter_does_not_follow_is_published_as_it_is_made() -> None:
    put: list[Event] = []
    order = EventOrder(put.append)
    order.from_adapter(StepStarted(step_id="s", kind="inference"))
    for event in tool_events("a"):
        order.from_tool("a", event)
    order.from_adapter(StepCompleted(step_id="s", kind="inference"))
    for event in tool_events("b"):
        order.from_tool("b", event)
    order.from_adapter(TextDelta(message_id="m", delta="Done."))
    made = ["tool.call", "step.started", "tool.result", "step.completed"]
    assert types(put) == ["step.started", "step.completed", *made, *made, "text.delta"]


def test_a_call_that_nobody_ran_is_an_error_and_one_without_a_result_is_none() -> None:
    put: list[Event] = []
    order = EventOrder(put.append, is_silent={"silent"}.__contains__)
    for call_id in ("left", "silent", "dropped"):
        order.from_adapter(call(call_id))
    order.from_adapter(ItemDropped(item_id="dropped"))
    order.from_adapter(ToolCall(call_id="theirs", name="add", arguments="{}", side="client"))
    order.finish(completed=True)
    assert put[-2:] == [
        ToolResult(
            call_id="left",
            output="not run: the agent's framework or code left this tool call out",
            is_error=True,
        ),
        ToolResult(call_id="silent", output=""),
    ]


def test_a_call_whose_tool_began_and_has_no_result_was_not_waited_for() -> None:
    put: list[Event] = []
    order = EventOrder(put.append)
    for event in (call("left"), StepStarted(step_id="tool-left", kind="tool", name="add")):
        order.from_tool("left", event)
    order.finish(completed=True)
    why = "the agent stopped waiting for this tool: whether it took effect is not known"
    assert put[-1] == ToolResult(call_id="left", output=why, is_error=True)


@pytest.mark.parametrize("asked", [False, True])
def test_a_call_of_the_clients_comes_once_after_the_calls_beside_it(*, asked: bool) -> None:
    put: list[Event] = []
    order = EventOrder(put.append)
    theirs = ToolCall(call_id="theirs", name="locate", arguments="{}", side="client")
    order.from_adapter(StepStarted(step_id="s", kind="inference"))
    order.from_adapter(theirs)
    order.from_adapter(call("a"))
    order.from_adapter(StepCompleted(step_id="s", kind="inference"))
    assert theirs not in put
    if asked:
        order.finish(completed=False, suspended=True)
        assert theirs not in put
        return
    for event in tool_events("a"):
        order.from_tool("a", event)
    order.finish(completed=True)
    assert put[-1] == theirs


@pytest.mark.parametrize("side", ["client", "worker"])
def test_arguments_that_are_no_object_are_shown_as_the_model_wrote_them(side: Literal["client", "worker"]) -> None:
    put: list[Event] = []
    order = EventOrder(put.append, unreadable={"a": "[1]"})
    order.from_adapter(ToolCall(call_id="a", name="add", arguments="not a JSON object: [1]", side=side))
    order.finish(completed=True)
    assert put[0] == ToolCall(call_id="a", name="add", arguments="[1]", side=side)


def test_a_call_of_the_clients_alone_is_of_its_model_call() -> None:
    put: list[Event] = []
    order = EventOrder(put.append)
    order.from_adapter(StepStarted(step_id="s", kind="inference"))
    order.from_adapter(ToolCall(call_id="theirs", name="locate", arguments="{}", side="client"))
    order.from_adapter(StepCompleted(step_id="s", kind="inference"))
    order.finish(completed=True)
    assert types(put) == ["step.started", "tool.call", "step.completed"]


def test_a_call_that_code_changed_is_shown_as_it_is_made() -> None:
    put: list[Event] = []
    order = EventOrder(put.append)
    written = ToolCall(call_id="a", name="add", arguments='{"n":1}', server_label="desk")
    order.from_adapter(written)
    order.from_tool("a", ToolCall(call_id="a", name="add", arguments='{"n": 10}'))
    order.from_tool("a", ToolResult(call_id="a", output="10"))
    order.from_adapter(StepCompleted(step_id="s", kind="inference"))
    order.from_tool("a", ToolCall(call_id="a", name="add", arguments='{"n": 10}'))
    assert put == [
        written,
        StepCompleted(step_id="s", kind="inference"),
        ItemDropped(item_id="a"),
        written.model_copy(update={"arguments": '{"n": 10}'}),
        ToolResult(call_id="a", output="10"),
    ]


def test_a_call_that_is_made_as_it_was_written_is_shown_once() -> None:
    put: list[Event] = []
    order = EventOrder(put.append)
    order.from_adapter(ToolCall(call_id="a", name="add", arguments='{"n":1,"m":2}'))
    order.from_adapter(StepCompleted(step_id="s", kind="inference"))
    order.from_tool("a", ToolCall(call_id="a", name="add", arguments='{"m": 2, "n": 1}'))
    assert types(put) == ["tool.call", "step.completed"]


def test_a_result_is_told_once_whoever_tells_it_first() -> None:
    put: list[Event] = []
    order = EventOrder(put.append)
    order.from_adapter(call("a"))
    order.from_adapter(StepCompleted(step_id="s", kind="inference"))
    for event in tool_events("a"):
        order.from_tool("a", event)
    order.from_adapter(ToolResult(call_id="a", output="3"))
    order.from_adapter(call("a"))
    assert types(put).count("tool.result") == 1
    assert types(put).count("tool.call") == 1


def test_a_call_that_the_adapter_drops_may_be_told_again_with_another_result() -> None:
    put: list[Event] = []
    order = EventOrder(put.append)
    order.from_adapter(StepStarted(step_id="s", kind="inference"))
    order.from_adapter(call("a"))
    order.from_adapter(StepCompleted(step_id="s", kind="inference"))
    for event in tool_events("a"):
        order.from_tool("a", event)
    again: list[Event] = [ItemDropped(item_id="a"), call("a"), ToolResult(call_id="a", output="three")]
    for event in again:
        order.from_adapter(event)
    order.finish(completed=True)
    assert put[-3:] == again


def test_a_client_s_call_that_is_dropped_does_not_hand_the_turn_over() -> None:
    put: list[Event] = []
    order = EventOrder(put.append)
    order.from_adapter(StepStarted(step_id="s", kind="inference"))
    order.from_adapter(ToolCall(call_id="a", name="locate", arguments="{}", side="client"))
    order.from_adapter(StepCompleted(step_id="s", kind="inference"))
    assert order.handed_over
    order.from_adapter(ItemDropped(item_id="a"))
    assert not order.handed_over


def test_a_message_that_was_not_closed_is_closed_at_the_end_and_no_usage_is_lost() -> None:
    put: list[Event] = []
    order = EventOrder(put.append)
    order.from_adapter(TextDelta(message_id="m0", delta="a"))
    order.from_adapter(TextDelta(message_id="m0", delta="b"))
    order.from_gateway(USAGE)
    order.finish(completed=True)
    assert put[-2:] == [MessageDone(message_id="m0", text="ab"), USAGE]


def test_a_message_that_was_cut_off_is_not_told_as_whole() -> None:
    put: list[Event] = []
    order = EventOrder(put.append)
    order.from_adapter(TextDelta(message_id="m0", delta="a"))
    order.from_gateway(USAGE)
    order.finish(completed=False)
    assert types(put) == ["text.delta", "usage"]


@pytest.mark.parametrize("reason", ["length", "model_length"])
def test_a_message_that_the_model_cut_off_stays_open_where_the_turn_ends_with_it(reason: str) -> None:
    put: list[Event] = []
    order = EventOrder(put.append)
    order.from_adapter(StepStarted(step_id="s", kind="inference"))
    order.from_adapter(TextDelta(message_id="m", delta="One "))
    order.answered(reason)
    order.from_adapter(MessageDone(message_id="m", text="One two"))
    order.from_adapter(StepCompleted(step_id="s", kind="inference"))
    order.finish(completed=False)
    assert order.cut_off == "max_output_tokens"
    assert types(put) == ["step.started", "text.delta", "text.delta", "step.completed"]
    assert [event.delta for event in put if isinstance(event, TextDelta)] == ["One ", "two"]


@pytest.mark.parametrize(
    ("reason", "cut_off"),
    [
        ("max_tokens", "max_output_tokens"),
        ("MAX_TOKENS", "max_output_tokens"),
        ("model_context_window_exceeded", "max_output_tokens"),
        ("content_filter", "content_filter"),
        ("stop", None),
        ("eos", None),
    ],
)
def test_finish_reasons_of_several_apis_say_what_was_cut_off(reason: str, cut_off: str | None) -> None:
    order = EventOrder(lambda _: None)
    order.answered(reason)
    assert order.cut_off == cut_off


def test_a_message_that_the_model_cut_off_is_done_where_the_agent_goes_on() -> None:
    put: list[Event] = []
    order = EventOrder(put.append)
    order.answered("length")
    order.from_adapter(MessageDone(message_id="m", text=""))
    order.answered("stop")
    order.from_adapter(StepStarted(step_id="s", kind="inference"))
    assert order.cut_off is None
    assert types(put) == ["message.done", "step.started"]


def test_what_the_agent_left_behind_is_dropped_where_the_turn_ends_before_the_agent() -> None:
    put: list[Event] = []
    order = EventOrder(put.append)
    for name in ("m1", "m2", "m3"):
        order.from_adapter(TextDelta(message_id=name, delta=name))
        order.from_adapter(MessageDone(message_id=name, text=name))
        order.leave_out(name, is_left=name != "m3")
    order.leave_out("m2", is_left=False)
    order.finish(completed=False, suspended=True)
    order.drop_left_out()
    assert put[6:] == [ItemDropped(item_id="m1")]
    assert order.last_text() == "m3"
