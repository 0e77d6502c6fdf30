"""Calls that the agent itself gives up are given up again when the turn is run again."""

import asyncio
import json
import math
from collections.abc import AsyncIterator, Callable, Mapping
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from k8gentai.agents.contract.events import TurnEnd
from k8gentai.agents.contract.turn import Decision, ToolFailedError
from k8gentai.agents.resources.agent import Limits, ToolTerms
from k8gentai.agents.tools.admitted_arguments import Admission
from k8gentai.agents.tools.own_result import OwnResult, current_own_result
from k8gentai.workers.attempt import given_up as given_up_module
from k8gentai.workers.attempt import recorded_order as order_module
from k8gentai.workers.attempt.budget import Budget, BudgetExceededError
from k8gentai.workers.attempt.given_up import GivenUp
from k8gentai.workers.attempt.inside import Inside
from k8gentai.workers.attempt.journal_entries import ToolEntry
from k8gentai.workers.attempt.recorded_order import Place
from k8gentai.workers.attempt.tool_guard import ToolGuard
from k8gentai.workers.gateway import patience as patience_module
from k8gentai.workers.process.failures import failure
from k8gentai.workers.queue.clock import Clock
from k8gentai.workers.tools.boundary import Tools
from tests.support.gateway import ANSWER, Bench
from tests.unit.workers.tools.test_tool_boundary import Person, Recorded

TEXT = {"choices": [{"index": 0, "delta": {"content": "So it "}}]}
MORE = {"choices": [{"index": 0, "delta": {"content": "is."}}]}
END = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
VECTORS = {"data": [{"index": 0, "embedding": [1.0]}], "usage": {"prompt_tokens": 1, "total_tokens": 1}}


class Model:
    """A model that thinks until it may speak, or is left."""

    def __init__(self, *begun: dict[str, Any]) -> None:
        self.begun = begun
        self.asked = asyncio.Event()
        self.may_speak = asyncio.Event()
        self.was_left = asyncio.Event()

    async def answer(self, request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content)
        if self.begun:
            return httpx.Response(200, stream=Chunks(self))
        await self.think()
        if request.url.path.endswith("embeddings"):
            return httpx.Response(200, json=VECTORS)
        return (
            httpx.Response(200, text=sse(TEXT, MORE, END))
            if body.get("stream")
            else httpx.Response(200, json=ANSWER)
        )

    async def think(self) -> None:
        self.asked.set()
        try:
            await self.may_speak.wait()
        except asyncio.CancelledError:
            self.was_left.set()
            raise


class Chunks(httpx.AsyncByteStream):
    def __init__(self, model: Model) -> None:
        self._model = model

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield sse(*self._model.begun).encode()
        await self._model.think()
        yield sse(MORE, END).encode()

    async def aclose(self) -> None:
        self._model.was_left.set()


def sse(*chunks: dict[str, Any]) -> str:
    return "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks)


class Held:
    """Calls that were given up before, which are held until they may go on."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.may_end = asyncio.Event()

    async def hold(self) -> None:
        self.begun.set()
        await self.may_end.wait()


@pytest.fixture
async def held(monkeypatch: pytest.MonkeyPatch) -> Held:
    held = Held()
    monkeypatch.setattr(GivenUp, "hold", lambda _: held.hold())
    return held


Ask = Callable[[Bench], Any]


async def whole(bench: Bench) -> httpx.Response:
    return await bench.post({"model": "m", "messages": []})


async def streamed(bench: Bench) -> httpx.Response:
    return await bench.post({"model": "m", "messages": [], "stream": True})


async def embedded(bench: Bench) -> httpx.Response:
    key = {"authorization": f"Bearer {bench.calls.attempt.key}"}
    return await bench.client.post("/v1/embeddings", json={"model": "m", "input": "a"}, headers=key)


async def leave(asking: "asyncio.Task[Any]") -> None:
    asking.cancel()
    await asyncio.wait({asking})


async def given_up(bench: Bench, model: Model, ask: Ask) -> dict[str, Any]:
    """Ask a model that thinks, leave it, and return what is kept of that."""
    asking = asyncio.create_task(ask(bench))
    await model.asked.wait()
    await leave(asking)
    kept: dict[str, Any] = json.loads(await bench.kept.until("given_up"))
    await model.was_left.wait()
    return kept


@pytest.mark.parametrize("ask", [whole, streamed, embedded])
async def test_a_call_that_the_agent_left_is_held_when_it_runs_again(held, ask) -> None:
    model = Model()
    bench = Bench(model.answer)
    async with bench.served():
        kept = await given_up(bench, model, ask)
        assert 0 < kept["seconds"] <= kept["since_begin"] < 60
        assert (kept["turn_id"], kept["chunks"]) == ("resp_1", [])
        bench.run_again()
        asking = asyncio.create_task(ask(bench))
        await asyncio.wait_for(held.begun.wait(), 10)
        await leave(asking)
        await asyncio.wait(list(bench.calls._watching))
        assert len(bench.asked) == 1
        assert not bench.kept.of("model")


@pytest.mark.parametrize("ask", [whole, streamed, embedded])
async def test_the_model_is_asked_for_an_agent_that_waits_longer_now(held, ask) -> None:
    model = Model()
    bench = Bench(model.answer)
    async with bench.served():
        await given_up(bench, model, ask)
        held.may_end.set()
        model.may_speak.set()
        bench.run_again()
        answered = await ask(bench)
        held.begun.clear()
        assert answered.status_code == 200
        assert len(bench.asked) == 2
        bench.run_again()
        assert (await ask(bench)).text == answered.text
        assert len(bench.asked) == 2
        assert not held.begun.is_set(), "it had its answer"


async def test_an_agent_that_left_an_answer_in_its_middle_is_shown_as_much_again(held) -> None:
    model = Model(TEXT)
    bench = Bench(model.answer)

    async def read_some(bench: Bench) -> str:
        body = {"model": "m", "messages": [], "stream": True}
        headers = {"authorization": f"Bearer {bench.calls.attempt.key}"}
        async with bench.client.stream("POST", "/v1/chat/completions", json=body, headers=headers) as answer:
            return await anext(answer.aiter_lines())

    async with bench.served():
        seen = await read_some(bench)
        kept = json.loads(await bench.kept.until("given_up"))
        assert "So it " in json.dumps(kept["chunks"])
        bench.run_again()
        assert await read_some(bench) == seen
        await asyncio.wait(list(bench.calls._watching))
        held.may_end.set()
        bench.run_again()
        waiting = await streamed(bench)
        assert waiting.text.startswith(seen)
        assert "the agent had given up this answer, and waits longer for its rest now" in waiting.text
        assert len(bench.asked) == 1


async def test_code_that_looks_at_its_clock_between_chunks_comes_to_do_so(monkeypatch, held) -> None:
    monkeypatch.setattr(patience_module, "_WAKING_SECONDS", 0.01)
    model = Model(TEXT)
    bench = Bench(model.answer)
    body = {"model": "m", "messages": [], "stream": True}
    headers = {"authorization": f"Bearer {bench.calls.attempt.key}"}

    async def read(until: Callable[[], bool]) -> list[Any]:
        read = []
        async with bench.client.stream("POST", "/v1/chat/completions", json=body, headers=headers) as answer:
            async for line in answer.aiter_lines():
                if line:
                    read.append(json.loads(line.removeprefix("data: "))["choices"][0]["delta"]["content"])
                if until():
                    return read
        raise AssertionError("it ended")

    async with bench.served():
        assert await read(lambda: True) == ["So it "]
        await bench.kept.until("given_up")
        bench.run_again()
        headers = {"authorization": f"Bearer {bench.calls.attempt.key}"}
        turns = iter([False, False, False, True])
        assert await read(lambda: next(turns)) == ["So it ", ""]


@pytest.mark.parametrize("ask", [whole, streamed, embedded])
async def test_an_agent_that_is_stopped_gives_nothing_up(ask) -> None:
    model = Model()
    bench = Bench(model.answer)
    async with bench.served():
        asking = asyncio.create_task(ask(bench))
        await model.asked.wait()
        bench.calls.is_ending = True
        watching = list(bench.calls._watching)
        await leave(asking)
        await model.was_left.wait()
        await asyncio.wait(watching)
        assert bench.kept.entries == {}


@pytest.mark.parametrize("ask", [whole, streamed, embedded])
async def test_an_answer_that_came_too_late_is_not_what_the_agent_had(monkeypatch, held, ask) -> None:
    """Its record waits for Redis, and the agent waits no longer."""
    model = Model()
    bench = Bench(model.answer)
    record, recording, is_back = bench.kept.record, asyncio.Event(), asyncio.Event()

    async def away(lease: Any, *entry: Any) -> bool:
        recording.set()
        await is_back.wait()
        return await record(lease, *entry)

    monkeypatch.setattr(bench.kept, "record", away)
    model.may_speak.set()
    async with bench.served():
        asking = asyncio.create_task(ask(bench))
        await recording.wait()
        await leave(asking)
        is_back.set()
        await bench.kept.until("given_up")
        bench.run_again()
        asking = asyncio.create_task(ask(bench))
        await asyncio.wait_for(held.begun.wait(), 10)
        assert not asking.done()
        await leave(asking)


@pytest.mark.parametrize("ask", [whole, streamed, embedded])
async def test_what_the_agent_had_to_its_end_was_not_given_up(ask) -> None:
    model = Model()
    model.may_speak.set()
    bench = Bench(model.answer)
    async with bench.served():
        assert (await ask(bench)).status_code == 200
        watching = list(bench.calls._watching)
    if watching:
        await asyncio.wait(watching)
    assert not bench.kept.of("given_up")


async def test_a_time_out_of_asyncio_is_the_models_that_it_cancelled(held) -> None:
    model = Model()
    bench = Bench(model.answer)
    async with bench.served():
        with pytest.raises(TimeoutError) as of_model:
            await asyncio.wait_for(asyncio.create_task(whole(bench)), 0.2)
        await bench.kept.until("given_up")
        assert "model m: the agent waited no longer" in failure(of_model.value, bench.calls).message
        with pytest.raises(TimeoutError) as of_other:
            await asyncio.wait_for(asyncio.Event().wait(), 0.01)
        assert failure(of_other.value, bench.calls).code == "agent_error"


async def test_an_answer_that_was_recorded_and_not_waited_for_holds_back_nothing(monkeypatch) -> None:
    """The agent gives the call up again, and does not come to that answer."""
    monkeypatch.setattr(order_module, "_MOST_SECONDS", 60)
    bench = Bench(lambda _: httpx.Response(200, json=ANSWER))
    for number, key in enumerate(("model a 1", "given_up model a 1 1", "model b 1")):
        bench.kept.entries[f"order {key}"] = Place(number=number, at=number, waited=60).model_dump_json()
    bench.kept.entries["given_up model a 1 1"] = GivenUp(seconds=60).model_dump_json()
    bench.run_again()
    journal = bench.calls.journal
    own = journal.patience_key("model a 1")
    before = journal.given_up(own)
    assert before is not None
    holding = asyncio.create_task(journal.hold(own, before))
    await asyncio.wait({holding}, timeout=0.01)
    await leave(holding)
    async with asyncio.timeout(10), journal.in_turn("model b 1"):
        pass


async def test_entries_are_written_in_their_order(monkeypatch) -> None:
    """That a call was given up stands in Redis before what the agent did then."""
    bench = Bench(lambda _: httpx.Response(200, json=ANSWER))
    record, is_back = bench.kept.record, asyncio.Event()

    async def away(lease: Any, key: str, *value: Any) -> bool:
        if key.startswith("given_up"):
            await is_back.wait()
        return await record(lease, key, *value)

    monkeypatch.setattr(bench.kept, "record", away)
    journal = bench.calls.journal
    first = asyncio.create_task(journal.record_given_up(journal.patience_key("model a 1"), GivenUp(seconds=1)))
    second = asyncio.create_task(journal.record_answer("model b 1", []))
    third = asyncio.create_task(journal.close())
    done, _ = await asyncio.wait({second, third}, timeout=0.1)
    assert not done
    is_back.set()
    await asyncio.gather(first, second, third)
    assert list(bench.kept.entries) == ["given_up model a 1 1", "model b 1"]


async def test_a_call_is_held_for_longer_than_the_agent_waited(monkeypatch) -> None:
    slept = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(given_up_module, "asyncio", SimpleNamespace(sleep=sleep))
    await GivenUp(seconds=60).hold()
    await GivenUp(seconds=0.1).hold()
    await GivenUp(seconds=1, since_begin=30).hold()
    assert slept[0] > 60
    assert slept[1] > 1, "clocks of a busy process are late"
    assert slept[2] > 30, "its time-out may be of more than the call"


def boundary(journal: Recorded, person: Person, **of_definition: Any) -> Tools:
    """Return the tools of a new attempt."""
    journal.run_again()
    return tools_of(journal, person, **of_definition)


def tools_of(
    journal: Any,  # or Recorded in its place
    person: Any,  # in the place of Approvals
    policies: Mapping[str, ToolTerms] | None = None,
    limits: Limits | None = None,
) -> Tools:
    """Return an attempt's tools."""
    ends: list[TurnEnd] = []
    budget, guard = Budget(limits or Limits(), ends.append), ToolGuard((), (), (), ends.append)
    return Tools(
        "resp_1",
        policies or {},
        journal,
        lambda *_: None,
        person,
        budget,
        math.inf,
        Clock(0),
        guard=guard,
    )


class Slow:
    """A tool that comes to its end when it may."""

    def __init__(self) -> None:
        self.ran = 0
        self.begun = asyncio.Event()
        self.may_end = asyncio.Event()

    async def run(self) -> str:
        self.ran += 1
        self.begun.set()
        await self.may_end.wait()
        return "done"


async def tool_given_up(tools: Tools, slow: Slow) -> None:
    calling = asyncio.create_task(tools.call("c1", "slow", {}, slow.run))
    await slow.begun.wait()
    await leave(calling)
    slow.begun.clear()


async def test_results_of_tools_come_again_in_their_order() -> None:
    """Also where the agent asks for the later one first."""
    bench = Bench(lambda _: httpx.Response(200, json=ANSWER))
    done = ToolEntry(state="done", output="done").model_dump_json()
    for number, call_id in enumerate(("first", "second")):
        bench.kept.entries[f"tool {call_id}"] = done
        place = Place(number=number, at=number, since_begin=number, waited=9)
        bench.kept.entries[f"order tool {call_id}"] = place.model_dump_json()
    bench.run_again()
    slow, came = Slow(), list[str]()
    tools = tools_of(bench.calls.journal, Person())

    async def call(call_id: str) -> None:
        await tools.call(call_id, "slow", {}, slow.run)
        came.append(call_id)

    await asyncio.gather(call("second"), call("first"))
    assert came == ["first", "second"]


async def test_a_tool_that_the_agent_left_is_held_and_not_run(held) -> None:
    journal, person, slow = Recorded(), Person(), Slow()
    await tool_given_up(boundary(journal, person), slow)
    assert journal.states() == {"c1": "running"}
    tools = boundary(journal, person)
    calling = asyncio.create_task(tools.call("c1", "slow", {}, slow.run))
    await asyncio.wait_for(held.begun.wait(), 10)
    assert tools.busy, "nobody takes the turn for one that waits for a person"
    await leave(calling)
    assert slow.ran == 1
    slow.may_end.set()
    # The agent calls it once more, as it had: that call was not given up.
    assert (await tools.call("c1", "slow", {}, slow.run)).output == "done"


async def test_it_runs_for_an_agent_that_waits_longer_now(held) -> None:
    journal, person, slow = Recorded(), Person(), Slow()
    await tool_given_up(boundary(journal, person), slow)
    held.may_end.set()
    slow.may_end.set()
    assert (await boundary(journal, person).call("c1", "slow", {}, slow.run)).output == "done"
    assert slow.ran == 2
    assert journal.left == {}


async def test_a_tool_that_ran_is_recorded_for_an_agent_that_does_not_wait_for_that(held) -> None:
    class Away(Recorded):
        is_back = asyncio.Event()
        recording = asyncio.Event()

        async def record_tool(self, call_id: str, entry: ToolEntry, around: str = "") -> bool:
            if entry.state == "done":
                self.recording.set()
                await self.is_back.wait()
            return await super().record_tool(call_id, entry)

    journal, person, slow = Away(), Person(), Slow()
    slow.may_end.set()
    calling = asyncio.create_task(boundary(journal, person).call("c1", "slow", {}, slow.run))
    await journal.recording.wait()
    calling.cancel()
    journal.is_back.set()
    await asyncio.wait({calling})
    assert journal.states() == {"c1": "done"}
    again = asyncio.create_task(boundary(journal, person).call("c1", "slow", {}, slow.run))
    await asyncio.wait_for(held.begun.wait(), 10)
    held.may_end.set()
    assert (await again).output == "done"
    assert slow.ran == 1


async def test_what_was_done_inside_a_tool_that_the_agent_left_counts_again(held) -> None:
    journal, person, slow = Recorded(), Person(), Slow()
    kept: list[Inside] = []

    async def outer(tools: Tools) -> str:
        async def quick() -> str:
            return "quick"

        await tools.call("inner", "quick", {}, quick)
        return (await tools.call("c1", "slow", {}, slow.run)).output

    tools = boundary(journal, person)
    calling = asyncio.create_task(tools.call("c0", "outer", {}, lambda: outer(tools)))
    await slow.begun.wait()
    await leave(calling)
    again = boundary(journal, person)
    again._keep = kept.append
    calling = asyncio.create_task(again.call("c0", "outer", {}, lambda: outer(again)))
    await asyncio.wait_for(held.begun.wait(), 10)
    await leave(calling)
    assert [inside.calls for inside in kept] == [["inner", "c1"]]
    assert again.has_come_to("inner")


async def test_a_tool_that_the_agent_left_before_a_person_decided_is_held_before_they_are_asked(held) -> None:
    journal, person, slow = Recorded(), Person(), Slow()
    calling = asyncio.create_task(boundary(journal, person).call("c1", "slow", {}, slow.run, approval=True))
    await person.asked.wait()
    await leave(calling)
    person.asked.clear()
    tools = boundary(journal, person)
    calling = asyncio.create_task(tools.call("c1", "slow", {}, slow.run, approval=True))
    await asyncio.wait_for(held.begun.wait(), 10)
    assert tools.busy, "nobody takes the turn for one that waits for a person"
    assert not person.asked.is_set()
    await leave(calling)
    assert slow.ran == 0


async def test_a_tool_around_a_question_that_was_left_is_at_work_again() -> None:
    journal, person, slow = Recorded(), Person(), Slow()
    tools = boundary(journal, person)
    busy: list[bool] = []

    async def outer() -> str:
        asking = asyncio.create_task(tools.call("inner", "pay", {}, slow.run, approval=True))
        await person.asked.wait()
        busy.append(tools.busy)
        await leave(asking)
        busy.append(tools.busy)
        return "went on"

    assert (await tools.call("outer", "outer", {}, outer)).output == "went on"
    assert busy == [False, True]


class Approving(Person):
    """Approves whatever it is asked about."""

    def __init__(self) -> None:
        super().__init__()
        self.about: list[str] = []

    async def ask(self, call_id: str, *_: object) -> Decision:
        self.about.append(call_id)
        return Decision(approve=True)


async def test_a_tool_that_a_person_approved_runs_once_for_that(held) -> None:
    """Code that left it and runs it once more makes another call."""
    journal, person, slow = Recorded(), Approving(), Slow()
    tools = boundary(journal, person)
    for _ in range(2):
        calling = asyncio.create_task(tools.call("c1", "slow", {}, slow.run, approval=True))
        await slow.begun.wait()
        slow.begun.clear()
        await leave(calling)
    assert person.about == ["c1", "c1~2"]
    tools = boundary(journal, person)
    for _ in range(2):
        calling = asyncio.create_task(tools.call("c1", "slow", {}, slow.run, approval=True))
        await asyncio.wait_for(held.begun.wait(), 10)
        held.begun.clear()
        await leave(calling)
    slow.may_end.set()
    await tools.call("c1", "slow", {}, slow.run, approval=True)
    assert person.about == ["c1", "c1~2", "c1~3"]
    assert slow.ran == 3


async def test_a_tool_of_an_attempt_that_ends_is_not_given_up() -> None:
    journal, person, slow = Recorded(), Person(), Slow()
    calling = asyncio.create_task(boundary(journal, person).call("c1", "slow", {}, slow.run))
    await slow.begun.wait()
    person.answer.cancel()
    await leave(calling)
    assert journal.left == {}


@pytest.mark.parametrize(
    ("approved", "error", "is_open"),
    [
        (True, asyncio.CancelledError(), False),
        (False, asyncio.CancelledError(), True),
        (True, ValueError(), True),
    ],
)
async def test_a_tool_that_was_approved_and_left_is_not_run_again_for_that(approved, error, is_open) -> None:
    own = OwnResult()
    own.is_approved = approved
    current_own_result.set(own)
    admission = Admission("c1", "slow", {})
    run = admission.take_run()
    assert run is not None
    with pytest.raises(type(error)), run.at_work():
        raise error
    assert (admission.take_run() is not None) == is_open


class Guard:
    """Code around the tool of a call, as a middleware: it tries the tool as often as it may, leaves it each time
    once that is at work or held, and then waits.

    Args:
        slow: the tool.
        held: knows when it is held.
        tries: how often it tries.
    """

    def __init__(self, slow: Slow, held: Held, tries: int = 1) -> None:
        self._slow = slow
        self._held = held
        self._tries = tries
        self.errors: list[BaseException | None] = []
        self.is_through = asyncio.Event()

    async def run(self) -> str:
        admission = Admission("c1", "slow", {})
        for _ in range(self._tries):
            trying = asyncio.create_task(self._try(admission))
            begun = [asyncio.create_task(each.wait()) for each in (self._slow.begun, self._held.begun)]
            await asyncio.wait({trying, *begun}, return_when=asyncio.FIRST_COMPLETED)
            await leave(trying)
            self.errors.append(None if trying.cancelled() else trying.exception())
            for event in (self._slow.begun, self._held.begun):
                event.clear()
        self.is_through.set()
        await asyncio.Event().wait()
        return "never"

    async def _try(self, admission: Admission) -> str:
        run = admission.take_run()
        assert run is not None
        async with run.awaited():
            return await self._slow.run()


async def until_killed(tools: Tools, guard: Guard) -> None:
    """Run a call until the code around its tool waits; nothing of the attempt is heard any more then."""
    calling = asyncio.create_task(tools.call("c1", "slow", {}, guard.run))
    await asyncio.wait_for(guard.is_through.wait(), 10)
    tools._approvals.answer.cancel()  # type: ignore[attr-defined]
    await leave(calling)


async def test_a_tool_that_code_around_it_left_is_held_and_not_run(held) -> None:
    """Its call goes on meanwhile, and is begun again with the turn."""
    journal, slow = Recorded(), Slow()
    await until_killed(boundary(journal, Person()), Guard(slow, held))
    assert journal.states() == {"c1": "running"}
    recorded = dict(journal.left)
    await until_killed(boundary(journal, Person()), Guard(slow, held))
    assert slow.ran == 1
    # As it was: in its place in the order.
    assert journal.left == recorded
    assert all(journal.left[key] is recorded[key] for key in recorded)


async def test_a_tool_that_the_agent_left_is_not_run_again_where_its_definition_says_so(held) -> None:
    """Neither by the agent, as a call of its own, nor by code around it, nor when the turn is run again."""
    never = {"slow": ToolTerms(name="slow", retry="never")}
    for _ in range(2):
        journal, slow = Recorded(), Slow()
        tools = boundary(journal, Person(), policies=never)
        await tool_given_up(tools, slow)
        assert "not known" in (await tools.call("c1", "slow", {}, slow.run)).output
        assert slow.ran == 1
    journal, slow = Recorded(), Slow()
    guard = Guard(slow, held, tries=2)
    await until_killed(boundary(journal, Person(), policies=never), guard)
    assert isinstance(guard.errors[1], ToolFailedError)
    assert slow.ran == 1


@pytest.mark.parametrize("retry", ["never", "idempotent"])
async def test_a_tool_that_was_left_begins_again_for_code_that_waits_longer_unless_it_is_not_to(
    held, retry
) -> None:
    """A person was asked meanwhile, and the agent's new code has more patience."""
    policies: dict[str, ToolTerms] = {"slow": ToolTerms(name="slow", retry=retry)}
    journal, slow = Recorded(), Slow()
    await until_killed(boundary(journal, Person(), policies=policies), Guard(slow, held))
    journal.entries["c1"] = journal.entries["c1"].model_copy(update={"state": "left"})
    held.may_end.set()
    slow.may_end.set()
    tools, admission = boundary(journal, Person(), policies=policies), Admission("c1", "slow", {})

    async def patient() -> str:
        try:
            return await once()
        except ToolFailedError:
            return await once()

    async def once() -> str:
        run = admission.take_run()
        assert run is not None
        async with run.awaited():
            return await slow.run()

    outcome = await tools.call("c1", "slow", {}, patient)
    assert (slow.ran, outcome.is_error) == ((1, True) if retry == "never" else (2, False))


async def test_a_call_that_is_made_again_after_it_was_left_counts_again(held) -> None:
    journal, slow = Recorded(), Slow()
    tools = boundary(journal, Person(), limits=Limits(tool_calls=1))
    await tool_given_up(tools, slow)
    with pytest.raises(BudgetExceededError):
        await tools.call("c1", "slow", {}, slow.run)
    assert slow.ran == 1
