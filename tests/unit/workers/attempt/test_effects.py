"""Effects that are neither model calls nor tool calls are recorded, so that a turn that is run again asks nothing
again."""

import asyncio
import base64
import json
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import httpx
import pytest

from k8gentai.agents.contract.events import TurnFailed
from k8gentai.agents.contract.stack_services import StackFile
from k8gentai.agents.contract.turn import ToolFailedError
from k8gentai.workers.attempt import journal as module
from k8gentai.workers.attempt.journal import EffectRefusedError, Journal
from k8gentai.workers.attempt.retried import left_out
from k8gentai.workers.queue.attempts import FencedError, Lease
from k8gentai.workers.queue.stored import EFFECT
from k8gentai.workers.stack.client import StackClient
from k8gentai.workers.stack.credentials import Caller, StaticKey
from k8gentai.workers.stack.services import TurnServices
from tests.support.gateway import Kept

KEYS = [
    "effect moderation d66902e2200345f9d21b4315b99746f13ad6c0ac124b31441b03592d910b95cd 1",
    "effect file 93eb47bfd7b1936ace348265a5eb9ae318de10c18f7d2a21140ece0f833e8967 1",
]
"""Of effects that a version of today records: a later one finds them by these alone."""


class Turn:
    """A turn whose stack is a function, and which is run again as often as a test likes."""

    def __init__(self, answer: Callable[[str, dict[str, Any]], httpx.Response | Exception]) -> None:
        self.kept = Kept()
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.around = ""
        self._answer = answer
        self.run_again()

    def run_again(self, attempt: int = 1) -> None:
        """Begin an attempt, with the journal of those before."""
        lease = Lease("resp_1", attempt)
        self.journal = Journal(self.kept, lease, self.kept.entries | self.kept.places)
        stack = StackClient("http://stack", StaticKey(), transport=httpx.MockTransport(self._served))
        caller = Caller(lease.turn_id, lease.attempt)
        self.services = TurnServices(stack, caller, self.journal, lambda: self.around)

    def _served(self, request: httpx.Request) -> httpx.Response:
        asked = request.url.path.rpartition("/")[2], json.loads(request.content)
        self.asked.append(asked)
        answer = self._answer(*asked)
        if isinstance(answer, Exception):
            raise answer
        return answer


def well(service: str, body: dict[str, Any]) -> httpx.Response:
    """Answer all that may be asked."""
    answers: dict[str, dict[str, Any]] = {
        "file": {"filename": "a.txt", "content": base64.b64encode(b"a").decode()},
        "moderation": {"violation": "No swords." if "sword" in str(body.get("text")) else None},
        "file-search": {"data": [{"score": 0.5}]},
        "web-search": {"text": "It rains."},
    }
    return httpx.Response(200, json=answers[service])


@pytest.mark.parametrize(
    ("ask", "answer"),
    [
        (lambda s: s.violation("A sword.", "g"), "No swords."),
        (lambda s: s.violation("A dove.", "g"), None),
        (lambda s: s.file("file-1"), StackFile("a.txt", b"a")),
        (lambda s: s.search_vector_store("vs_1", {"query": "q"}), [{"score": 0.5}]),
        (lambda s: s.search_web({"query": "q"}), "It rains."),
    ],
)
async def test_what_was_answered_is_not_asked_again(ask: Callable[[TurnServices], Any], answer: Any) -> None:
    turn = Turn(well)
    for _ in range(3):
        assert await ask(turn.services) == answer
        turn.run_again()
    assert len(turn.asked) == 1


async def test_equal_effects_are_told_apart_by_how_many_came_before() -> None:
    numbers = iter("12345")
    turn = Turn(lambda *_: httpx.Response(200, json={"text": next(numbers)}))
    asked = [await turn.services.search_web({"query": "q"}) for _ in range(2)]
    turn.run_again()
    again = [await turn.services.search_web({"query": "q"}) for _ in range(3)]
    assert (asked, again) == (["1", "2"], ["1", "2", "3"])


async def test_what_is_asked_otherwise_is_asked() -> None:
    turn = Turn(well)
    await turn.services.violation("A dove.", "g")
    turn.run_again()
    await turn.services.violation("A dove!", "g")
    await turn.services.violation("A dove.", "h")
    assert len(turn.asked) == 3


async def test_the_keys_stay_as_they_are_for_later_versions() -> None:
    turn = Turn(well)
    await turn.services.violation("A dove.", "g")
    turn.around = "c1"
    await turn.services.file("file-1")
    assert list(turn.kept.entries) == KEYS


async def test_a_refusal_is_recorded_and_a_failure_that_passes_is_not() -> None:
    statuses = iter([404, 500, 500, 401, 401])
    error = {"error": {"message": "There is no such file.", "code": "not_found"}}
    turn = Turn(lambda *_: httpx.Response(next(statuses), json=error))
    for _ in range(2):
        with pytest.raises(EffectRefusedError, match=r"no such file\.") as refused:
            await turn.services.file("file-1")
        assert (refused.value.code, refused.value.status) == ("not_found", 404)
        turn.run_again()
    assert len(turn.asked) == 1
    for _ in range(4):
        with pytest.raises(ToolFailedError, match=r"no such file\."):
            await turn.services.file("file-2")
        turn.run_again()
    assert len(turn.asked) == 5


async def test_an_answer_of_no_known_form_is_not_recorded() -> None:
    turn = Turn(lambda *_: httpx.Response(200, json={"verdict": "fine"}))
    with pytest.raises(ToolFailedError, match="is not the stack: violation: Field required"):
        await turn.services.violation("A dove.", "g")
    assert turn.kept.entries == {}


async def test_a_turn_that_is_retried_asks_again_what_failed_it_and_nothing_else() -> None:
    turn = Turn(lambda service, body: well(service, body) if service != "file" else httpx.Response(404))
    await turn.services.violation("A dove.", "g")
    with pytest.raises(EffectRefusedError) as refused:
        await turn.services.file("file-1")
    end = TurnFailed(
        code="invalid_request", message=f"the file 'file-1' of the input cannot be read: {refused.value}"
    )
    (left,) = left_out(turn.kept.entries, "resp_1", end)
    assert left.startswith("failure effect file ")
    assert left_out(turn.kept.entries, "resp_1", TurnFailed(code="time_limit", message="too long")) == []


async def test_a_large_file_is_read_again_and_leaves_room_for_what_cannot_be() -> None:
    content = "a" * (module._REPEATABLE_BYTES // 4 * 4)
    turn = Turn(lambda *_: httpx.Response(200, json={"filename": "a.txt", "content": content}))
    most = module._REPEATABLE_IN_ALL // len(content)
    for _ in range(2):
        for number in range(most + 1):
            await turn.services.file(f"file-{number}")
        turn.run_again()
    # All but the last were recorded by the first attempt, and none beyond by the second.
    assert len(turn.asked) == most + 2
    content += "aaaa"
    for _ in range(2):
        await turn.services.file("file-large")
        assert not turn.journal.is_full
        turn.run_again()
    assert len(turn.asked) == most + 4


async def test_no_room_in_the_journal_is_told_but_for_what_may_be_asked_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def full(*_: Any) -> bool:
        return False

    turn = Turn(well)
    monkeypatch.setattr(turn.kept, "record", full)
    await turn.services.file("file-1")
    assert not turn.journal.is_full
    assert await turn.services.violation("A sword.", "g") == "No swords."
    assert turn.journal.is_full


async def test_an_attempt_that_lost_its_turn_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fenced(*_: Any) -> bool:
        raise FencedError("resp_1")

    turn = Turn(well)
    monkeypatch.setattr(turn.kept, "record", fenced)
    with pytest.raises(asyncio.CancelledError):
        await turn.services.violation("A dove.", "g")


async def test_effects_of_a_tool_call_are_its_own_and_are_passed_over_with_it() -> None:
    turn = Turn(well)
    turn.around = "c1"
    await turn.services.search_web({"query": "q"})
    turn.around = ""
    await turn.services.search_web({"query": "q"})
    assert len(turn.asked) == 2
    turn.run_again(2)
    # The tool runs again: what it had asked is answered. Outside of it stands another.
    turn.around = "c1"
    await turn.services.search_web({"query": "q"})
    turn.run_again(3)
    # The tool is answered: nobody asks what it had asked, and nothing waits for that.
    async with turn.journal.tool_in_turn("c1"):
        pass
    turn.around = ""
    await asyncio.wait_for(turn.services.search_web({"query": "q"}), 2)
    assert len(turn.asked) == 2


async def test_what_a_tool_call_finds_takes_no_room_from_what_cannot_be_asked_again() -> None:
    turn = Turn(lambda *_: httpx.Response(200, json={"text": "a" * module._REPEATABLE_BYTES}))
    for around, asked in (("c1", 2), ("", 1)):
        turn.asked.clear()
        for _ in range(2):
            turn.around = around
            await turn.services.search_web({"query": "q"})
            turn.run_again()
        assert len(turn.asked) == asked


@pytest.mark.parametrize("refused", [False, True])
async def test_effects_come_again_in_the_order_in_which_they_came(refused: bool) -> None:
    release, order = asyncio.Event(), list[str]()
    turn = Turn(well)

    async def do(name: str) -> None:
        async def make() -> str:
            if name == "slow":
                await release.wait()
            if refused:
                raise EffectRefusedError(name)
            return name

        with pytest.raises(EffectRefusedError, match=name) if refused else nullcontext():
            await turn.journal.once("test", name, make)
        order.append(name)
        release.set()

    for _ in range(2):
        await asyncio.gather(do("slow"), do("quick"))
        turn.run_again()
        release.clear()
    assert order == ["quick", "slow"] * 2
    assert json.loads(next(iter(turn.kept.places.values())))["waited"] < 5


async def test_what_earlier_attempts_recorded_takes_its_part_of_the_room() -> None:
    """Else each attempt would fill the journal further, whose end ends the turn."""
    kept = "x" * 900_000
    recorded = {f"{EFFECT}search {number} 1": json.dumps(kept) for number in range(5)}
    attempts: Any = None
    journal = Journal(attempts, Lease("resp_1", 2), recorded)

    async def search() -> str:
        return kept

    # Nothing is written, which would fail here.
    assert await journal.once("search", "another", search, bytes_of=len) == kept
