"""A turn run again says only what is new (k8gentai.workers.attempt.replay_filter)."""

import random
from collections.abc import Sequence
from itertools import product

import pytest

from k8gentai.agents.contract.events import (
    Event,
    Interrupt,
    ItemDone,
    ItemDropped,
    ItemProgress,
    ItemStarted,
    MessageDone,
    StepCompleted,
    StepStarted,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    ToolCallStarted,
    ToolResult,
    TurnCompleted,
    TurnSuspended,
    Usage,
    request_item,
)
from k8gentai.workers.attempt.inside import Inside
from k8gentai.workers.attempt.published_items import Pieces, PublishedItem, SaidAgain
from k8gentai.workers.attempt.replay_filter import Republisher

TURN: list[Event] = [
    StepStarted(step_id="s1", kind="inference"),
    TextDelta(message_id="m1", delta="Let me "),
    TextDelta(message_id="m1", delta="see."),
    ToolCallStarted(call_id="c1", name="add"),
    ToolCallDelta(call_id="c1", delta='{"a": 1'),
    ToolCallDelta(call_id="c1", delta="}"),
    ToolCall(call_id="c1", name="add", arguments='{"a": 1}'),
    MessageDone(message_id="m1", text="Let me see."),
    Usage(model="m", input_tokens=1, output_tokens=1),
    StepCompleted(step_id="s1", kind="inference"),
    ToolResult(call_id="c1", output="3"),
    StepStarted(step_id="s2", kind="inference"),
    TextDelta(message_id="m2", delta="3"),
    MessageDone(message_id="m2", text="3"),
    Usage(model="m", input_tokens=1, output_tokens=1),
    StepCompleted(step_id="s2", kind="inference"),
    TurnCompleted(),
]


def again(published: list[Event], attempt: list[Event], before: tuple[Event, ...] = ()) -> list[Event]:
    put: list[Event] = []
    republisher = Republisher(before, published, put.append)
    for event in attempt:
        republisher.put(event)
    return put


@pytest.mark.parametrize("cut", range(len(TURN)))
def test_wherever_a_turn_was_cut_off_the_same_turn_goes_on_there(cut: int) -> None:
    assert again(TURN[:cut], TURN) == TURN[cut:]


CHANGED: list[Event] = [
    *TURN[:10],
    ItemDropped(item_id="c1"),
    ToolCall(call_id="c1", name="add", arguments='{"a": 10}'),
    *TURN[10:],
]
"""A turn whose code changed the arguments of the model's call."""


RESULT = next(place for place, event in enumerate(TURN) if isinstance(event, ToolResult)) + 1
RETOLD: list[Event] = [
    *TURN[:RESULT],
    ItemDropped(item_id="c1"),
    next(event for event in TURN if isinstance(event, ToolCall)),
    ToolResult(call_id="c1", output="another"),
    *TURN[RESULT:],
]
"""A turn whose code made another result of the tool's."""


@pytest.mark.parametrize(("turn", "cut"), [(turn, cut) for turn in (CHANGED, RETOLD) for cut in range(len(turn))])
def test_so_does_one_whose_call_was_shown_anew(turn: list[Event], cut: int) -> None:
    assert again(turn[:cut], turn) == turn[cut:]


@pytest.mark.parametrize("turn", [TURN, CHANGED, RETOLD])
def test_so_it_does_after_a_second_crash(turn: list[Event]) -> None:
    for first, second in product(range(len(turn)), repeat=2):
        published = turn[:first] + again(turn[:first], turn[:second])
        assert published + again(published, turn) == turn


def test_a_delta_that_was_cut_otherwise_gives_only_its_end() -> None:
    attempt: list[Event] = [TextDelta(message_id="m1", delta="Let me see."), TurnCompleted()]
    assert again(TURN[:2], attempt) == [TextDelta(message_id="m1", delta="see."), TurnCompleted()]


def test_a_message_that_departs_is_dropped_and_begun_anew_with_all_it_says() -> None:
    attempt: list[Event] = [
        TextDelta(message_id="m1", delta="Let "),
        TextDelta(message_id="m1", delta="us see."),
        MessageDone(message_id="m1", text="Let us see."),
    ]
    assert again(TURN[1:3], attempt) == [
        ItemDropped(item_id="m1"),
        TextDelta(message_id="m1", delta="Let us see."),
        MessageDone(message_id="m1", text="Let us see."),
    ]


def test_what_the_new_attempt_never_comes_to_is_dropped_at_its_end() -> None:
    attempt: list[Event] = [TextDelta(message_id="m1", delta="Let me see."), TurnCompleted()]
    assert again(TURN[:7], attempt) == [ItemDropped(item_id="c1"), TurnCompleted()]


def test_a_question_that_was_withdrawn_is_shown_when_it_is_asked_again() -> None:
    asked = Interrupt(call_id="c1", name="add", arguments="{}")
    dropped = ItemDropped(item_id=request_item("c1"))
    assert again([asked], [asked, TurnSuspended(expires_at=1)]) == [TurnSuspended(expires_at=1)]
    assert again([asked, dropped], [asked, TurnSuspended(expires_at=1)]) == [asked, TurnSuspended(expires_at=1)]


def test_a_message_that_ends_sooner_than_it_did_is_dropped() -> None:
    attempt: list[Event] = [TextDelta(message_id="m1", delta="Let"), MessageDone(message_id="m1", text="Let")]
    assert again(TURN[1:3], attempt) == [ItemDropped(item_id="m1"), MessageDone(message_id="m1", text="Let")]


def test_the_call_that_asked_while_it_ran_is_told_again_with_the_answer() -> None:
    call = ToolCall(call_id="c1", name="publish", arguments="{}")
    result = ToolResult(call_id="c1", output="published")
    asking = Interrupt(call_id="q1", name="input", arguments="{}", waiting=["c1"])
    before = (call, asking, TurnSuspended(expires_at=0))
    assert again([], [call, result, TurnCompleted()], before) == [call, result, TurnCompleted()]


def test_a_turn_that_continues_and_has_nothing_to_say_ends_with_what_was_said() -> None:
    asking = Interrupt(call_id="q1", name="interrupt", arguments="{}")
    said = [*words("m1", "The"), *words("m2", "plan.")]
    before = (*said, asking, TurnSuspended(expires_at=0))
    whole = next(event for event in reversed(said) if isinstance(event, MessageDone))
    assert again([], [*said, TurnCompleted()], before) == [whole, TurnCompleted()]
    # It was killed right then.
    assert again([whole], [*said, TurnCompleted()], before) == [TurnCompleted()]
    call, result = ToolCall(call_id="c1", name="pay", arguments="{}"), ToolResult(call_id="c1", output="paid")
    assert again([], [*said, call, result, TurnCompleted()], before) == [call, result, TurnCompleted()]
    assert again([], [*said, asking, TurnSuspended(expires_at=1)], before) == [asking, TurnSuspended(expires_at=1)]


def test_a_turn_that_continues_lists_the_tools_of_its_servers_again() -> None:
    listing = {"id": "i0", "type": "mcp_list_tools", "server_label": "calc", "tools": []}
    listed = (
        ItemStarted(item=listing),
        ItemProgress(item_id="i0", event={"type": "response.mcp_list_tools.completed"}),
        ItemDone(item=listing),
    )
    said = MessageDone(message_id="m1", text="Let me see.")
    assert again([], [*listed, said], (*listed, said)) == [*listed]
    assert again([*listed], [*listed]) == []


def test_a_call_without_a_result_is_told_again_by_the_turn_that_continues() -> None:
    """Whatever asked: LangGraph's questions come from beside the call."""
    call = ToolCall(call_id="c1", name="pay", arguments="{}")
    done = ToolCall(call_id="c2", name="look", arguments="{}")
    asking = Interrupt(call_id="q1", name="interrupt", arguments="{}")
    before = (call, done, ToolResult(call_id="c2", output="seen"), asking, TurnSuspended(expires_at=0))
    result = ToolResult(call_id="c1", output="paid")
    attempt: list[Event] = [call, done, ToolResult(call_id="c2", output="seen"), result, TurnCompleted()]
    assert again([], attempt, before) == [call, result, TurnCompleted()]


def words(message_id: str, *pieces: str) -> list[Event]:
    said: list[Event] = [TextDelta(message_id=message_id, delta=piece) for piece in pieces]
    return [*said, MessageDone(message_id=message_id, text="".join(pieces))]


NORTH, SOUTH = ("I think ", "that north."), ("I think ", "that south.")


@pytest.mark.parametrize("mixed", [False, True])
def test_messages_that_come_in_another_order_are_known_by_what_they_say(mixed: bool) -> None:
    before = (*words("m1", *NORTH), *words("m2", *SOUTH), TurnSuspended(expires_at=0))
    first, second, third = words("m1", *SOUTH), words("m2", *NORTH), words("m3", "Fine.")
    swapped = [first[0], second[0], *first[1:], *second[1:]] if mixed else [*first, *second]
    assert again([], [*swapped, *third, TurnCompleted()], before) == [*third, TurnCompleted()]


def test_so_they_are_where_they_were_cut_off() -> None:
    published = [*words("m1", *NORTH)[:2], *words("m2", *SOUTH)[:1]]
    attempt = [*words("m1", *SOUTH), *words("m2", *NORTH)]
    came = again(published, [*attempt, TurnCompleted()])
    assert [event for event in came if isinstance(event, ItemDropped)] == []
    texts: dict[str, str] = {}
    for event in [*published, *came]:
        if isinstance(event, TextDelta):
            texts[event.message_id] = texts.get(event.message_id, "") + event.delta
    done = {event.message_id: event.text for event in came if isinstance(event, MessageDone)}
    assert sorted(texts.values()) == ["".join(NORTH), "".join(SOUTH)]
    assert done == texts


def test_what_is_new_takes_no_id_of_another_message() -> None:
    before = (*words("m1", "North."), *words("m2", "South."), TurnSuspended(expires_at=0))
    attempt = [*words("m1", "South."), *words("m2", "New."), *words("m3", "North.")]
    came = again([], [*attempt, ItemDropped(item_id="m2"), TurnCompleted()], before)
    (new,) = {event.message_id for event in came if isinstance(event, TextDelta)}
    last = MessageDone(message_id="m2", text="South.")
    assert came == [*words(new, "New."), ItemDropped(item_id=new), last, TurnCompleted()]
    assert new not in ("m1", "m2")


@pytest.mark.parametrize("new", [("Yes.",), ("I think ", "so.")])
def test_a_new_message_leaves_those_alone_that_come_after_it(new: tuple[str, ...]) -> None:
    """One of two parallel parts goes on before the other has come to what it said."""
    before = (*words("m1", *NORTH), *words("m2", *SOUTH), TurnSuspended(expires_at=0))
    attempt = [*words("m1", *NORTH), *words("m2", *new), *words("m3", *SOUTH)]
    came = again([], [*attempt, TurnCompleted()], before)
    (name,) = {event.message_id for event in came if isinstance(event, TextDelta)}
    assert came == [*words(name, *new), TurnCompleted()]
    assert name not in ("m1", "m2")


@pytest.mark.parametrize("seed", range(60))
def test_parallel_parts_show_each_text_once_however_they_run(seed: int) -> None:
    """Each says something and asks; one is answered after the other, and both run again each time."""
    chance = random.Random(seed)
    shown: list[Event] = []
    answered = ("N: ", "Yes."), ("S: ", "Yes.")
    runs = ([NORTH], [SOUTH]), ([NORTH, answered[0]], [SOUTH]), ([NORTH, answered[0]], [SOUTH, answered[1]])
    for north, south in runs:
        shown += again([], [*_mixed(chance, north, south), TurnSuspended(expires_at=0)], tuple(shown))
    assert [event for event in shown if isinstance(event, ItemDropped)] == []
    texts = [event.text for event in shown if isinstance(event, MessageDone)]
    assert sorted(texts) == ["I think that north.", "I think that south.", "N: Yes.", "S: Yes."]
    deltas = "".join(sorted(event.delta for event in shown if isinstance(event, TextDelta)))
    assert len(deltas) == len("".join(texts))


def _mixed(chance: random.Random, *parts: Sequence[tuple[str, ...]]) -> list[Event]:
    """The events of parts that run side by side; a message has the next number when it begins."""
    waiting = [[(text, index) for text in part for index in range(len(text) + 1)] for part in parts]
    begun: list[str] = ["" for _ in parts]
    events: list[Event] = []
    number = 0
    while left := [place for place, part in enumerate(waiting) if part]:
        place = chance.choice(left)
        text, index = waiting[place].pop(0)
        if index == 0:
            number += 1
            begun[place] = f"m{number}"
        events.append(words(begun[place], *text)[index])
    return events


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many characters of published texts are looked at or put together, a time."""
    counts: list[int] = []
    text, part, is_of = Pieces.text, Pieces.part, SaidAgain.is_of

    def counted_text(pieces: Pieces) -> str:
        if len(pieces._pieces) > 1:
            counts.append(pieces.length)
        return text(pieces)

    def counted_part(pieces: Pieces, start: int, length: int) -> str:
        found = part(pieces, start, length)
        counts.append(len(found))
        return found

    def counted_is_of(message: SaidAgain, item: PublishedItem) -> bool:
        counts.append(1)
        return is_of(message, item)

    monkeypatch.setattr(Pieces, "text", counted_text)
    monkeypatch.setattr(Pieces, "part", counted_part)
    monkeypatch.setattr(SaidAgain, "is_of", counted_is_of)
    return counts


def _a_long_message(size: int) -> list[Event]:
    pieces = [f"word {number:05d} " for number in range(size)]
    deltas: list[Event] = [TextDelta(message_id="m", delta=piece) for piece in pieces]
    arguments: list[Event] = [ToolCallDelta(call_id="c", delta=piece) for piece in pieces]
    return [*deltas, MessageDone(message_id="m", text="".join(pieces)), *arguments]


def _many_messages(size: int) -> list[Event]:
    return [event for number in range(size) for event in words(f"m{number}", f"text {number} ", "and more")]


def _under_other_ids(events: list[Event]) -> list[Event]:
    def renamed(event: Event) -> Event:
        message_id = getattr(event, "message_id", None)
        return event.model_copy(update={"message_id": f"other {message_id}"}) if message_id else event

    return list(map(renamed, events))


@pytest.mark.parametrize("made", [_a_long_message, _many_messages])
@pytest.mark.parametrize("cut", [1.0, 0.5])
@pytest.mark.parametrize("renamed", [False, True])
def test_twice_as_much_is_twice_the_work(made, cut: float, renamed: bool, compared: list[int]) -> None:
    work = []
    for size in (200, 400):
        compared.clear()
        attempt = made(size)
        published = attempt[: int(len(attempt) * cut)]
        again(published, _under_other_ids(attempt) if renamed else attempt)
        work.append(sum(compared))
    assert 0 < work[1] < 3 * work[0]


@pytest.mark.parametrize("refused", [True, False])
def test_a_call_that_a_person_refused_is_nothing_that_a_turn_shows(refused: bool) -> None:
    call, result = ToolCall(call_id="c", name="send", arguments="{}"), ToolResult(call_id="c", output="no")
    said: list[Event] = [TextDelta(message_id="m", delta="A draft."), MessageDone(message_id="m", text="A draft.")]
    before: tuple[Event, ...] = (
        *said,
        call,
        Interrupt(call_id="c", name="send", arguments="{}"),
        TurnSuspended(expires_at=1),
    )
    put: list[Event] = []
    republisher = Republisher(before, (), put.append, {"c"} if refused else ())
    events: list[Event] = [*said, call, result, TurnCompleted()]
    for event in events:
        republisher.put(event)
    assert put == [call, result, *([said[1]] if refused else []), TurnCompleted()]


def test_what_an_attempt_showed_and_the_next_one_drops_is_nothing_that_a_turn_shows() -> None:
    said: list[Event] = [TextDelta(message_id="m", delta="Before."), MessageDone(message_id="m", text="Before.")]
    dropped: list[Event] = [TextDelta(message_id="n", delta="Half")]
    put: list[Event] = []
    republisher = Republisher([*said, TurnSuspended(expires_at=1)], dropped, put.append)
    for event in [*said, TurnCompleted()]:
        republisher.put(event)
    assert put == [ItemDropped(item_id="n"), said[1], TurnCompleted()]


def test_what_was_done_inside_a_call_that_is_answered_stays() -> None:
    used = Usage(model="m", input_tokens=1, output_tokens=1)
    outer, inner = (
        ToolCall(call_id="o", name="ask", arguments="{}"),
        ToolCall(call_id="i", name="add", arguments="{}"),
    )
    inside: list[Event] = [used, inner, ToolResult(call_id="i", output="3")]
    published: list[Event] = [outer, *inside, ToolResult(call_id="o", output="3")]
    put: list[Event] = []
    republisher = Republisher((), published, put.append)
    republisher.keep(Inside(calls=["i"], usage=[used]))
    for event in (outer, ToolResult(call_id="o", output="3"), used, TurnCompleted()):
        republisher.put(event)
    assert put == [used, TurnCompleted()], "no call is dropped, and a further model call of the same size counts"


def test_what_was_left_out_as_a_turn_was_suspended_is_not_said_again() -> None:
    said: list[Event] = [
        TextDelta(message_id="m1", delta="Let me see."),
        MessageDone(message_id="m1", text="Let me see."),
        TextDelta(message_id="m2", delta="Not this."),
        MessageDone(message_id="m2", text="Not this."),
    ]
    left, dropped = ItemDropped(item_id="m1"), ItemDropped(item_id="m2")
    # What was dropped on the way did not count then, either.
    before = *said, dropped, StepCompleted(step_id="s1", kind="inference"), left, TurnSuspended(expires_at=9)
    answer: list[Event] = [MessageDone(message_id="m3", text="[1]"), left, TurnCompleted()]
    assert again([], [*said, *answer], before) == [*said[2:], *answer]
    # Once more, as a turn may be suspended twice.
    twice = *before, left, TurnSuspended(expires_at=9)
    assert again([], [*said[:2], *answer], twice) == answer


def test_what_was_left_out_is_not_the_last_that_was_said() -> None:
    texts: list[Event] = [MessageDone(message_id="m1", text="[1]"), MessageDone(message_id="m2", text="Wait.")]
    before = *texts, ItemDropped(item_id="m2"), TurnSuspended(expires_at=9)
    assert again([], [*texts, TurnCompleted()], before) == [texts[0], TurnCompleted()]


def test_what_was_left_out_as_no_answer_yet_is_said_again() -> None:
    said = words("m1", "It is done.")
    before = *said, ItemDropped(item_id="m1"), TurnSuspended(expires_at=9)
    put: list[Event] = []
    republisher = Republisher(before, (), put.append, recalls=False)
    for event in (*said, TurnCompleted()):
        republisher.put(event)
    assert put == [*said, TurnCompleted()]


def test_what_an_earlier_turn_shows_is_no_answer_later_and_not_said_again() -> None:
    said, suspended = words("m1", "I shall look."), TurnSuspended(expires_at=9)
    put: list[Event] = []
    republisher = Republisher((*said, suspended), (), put.append, recalls=False)
    for event in (*said, ItemDropped(item_id="m1"), suspended):
        republisher.put(event)
    assert put == [suspended]


def in_another_place(*said: Event) -> list[Event]:
    """A turn whose models answer at once, and whose state has the answers in another order."""
    return [*words("m1", "One."), *words("m2", "Two."), *said]


MOVED = in_another_place(
    *words("m3", "Words:"),
    ItemDropped(item_id="m2"),
    ItemDropped(item_id="m1"),
    *words("m1r", "One."),
    *words("m2r", "Two."),
)


def shown(events: list[Event]) -> list[str]:
    begun: dict[str, str] = {}
    for event in events:
        if isinstance(event, TextDelta):
            begun[event.message_id] = begun.get(event.message_id, "") + event.delta
        elif isinstance(event, ItemDropped):
            begun.pop(event.item_id, None)
    return list(begun.values())


@pytest.mark.parametrize("cut", range(len(MOVED) + 1))
def test_messages_that_are_put_in_order_are_so_wherever_the_turn_was_cut_off(cut: int) -> None:
    swapped = [*words("m2", "Two."), *words("m1", "One."), *MOVED[4:]]
    for attempt in (MOVED, swapped):
        put = again(MOVED[:cut], [*attempt, TurnCompleted()])
        assert shown(MOVED[:cut] + put) == ["Words:", "One.", "Two."]
    assert not again(MOVED, MOVED)


def test_messages_that_were_put_in_order_are_not_said_again_by_the_turn_that_goes_on() -> None:
    asking = Interrupt(call_id="q1", name="interrupt", arguments="{}")
    suspended: list[Event] = [asking, TurnSuspended(expires_at=0)]
    before = (*MOVED, *suspended)
    assert shown(again([], [*MOVED, *words("m4", "Done."), TurnCompleted()], before)) == ["Done."]
    # Asked a second time, and before they were put in order.
    third = [*again([], [*MOVED, *words("m4", "More."), *suspended], before)]
    later = [*MOVED, *words("m4", "More."), *words("m5", "Done."), TurnCompleted()]
    assert shown(again([], later, (*before, *third))) == ["Done."]
    early = (*MOVED[:4], *suspended)
    assert shown(again([], [*MOVED, TurnCompleted()], early)) == ["Words:"]
