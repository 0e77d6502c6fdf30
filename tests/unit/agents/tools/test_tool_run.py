"""Which runs of a tool are a call's, and what is kept of them (k8gentai.agents.tools.tool_run)."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from k8gentai.agents.code.kept_errors import write_error
from k8gentai.agents.tools.admitted_arguments import Admission
from k8gentai.agents.tools.own_result import FailedTry, OwnResult, current_own_result
from k8gentai.agents.tools.tool_run import ToolRun


class Word(Exception):  # noqa: N818
    """What a framework tells itself by an exception, as LangGraph's interrupt."""


@contextmanager
def attempt(own: OwnResult) -> Iterator[Admission]:
    """While inside, a call is made. Yields it.

    Args:
        own: takes what its tool comes to.
    """
    token = current_own_result.set(own)
    try:
        yield Admission("c1", "pay", {})
    finally:
        current_own_result.reset(token)


@pytest.fixture
def own() -> OwnResult:
    return OwnResult()


@pytest.fixture
def admission(own: OwnResult) -> Iterator[Admission]:
    with attempt(own) as made:
        yield made


def taken(admission: Admission) -> ToolRun:
    """Take a run that is the call's."""
    run = admission.take_run()
    assert run is not None
    return run


def test_of_two_runs_that_begin_at_once_one_is_the_calls(admission: Admission) -> None:
    """The other is none before the first has begun, either."""
    assert [admission.take_run() is None for _ in range(3)] == [False, True, True]


def test_a_run_that_returned_is_the_last_of_the_call(admission: Admission, own: OwnResult) -> None:
    with taken(admission).at_work() as run:
        assert admission.counts_beside()
        run.keep("paid")
    assert admission.take_run() is None
    assert (own.text, own.has_ended, own.is_at_work) == ("paid", True, False)


@pytest.mark.parametrize("is_raised", [True, False])
def test_a_run_that_failed_may_be_tried_again(admission: Admission, own: OwnResult, is_raised: bool) -> None:
    try:
        with taken(admission).at_work() as run:
            if is_raised:
                raise ConnectionError("no")
            run.keep_error("no")
    except ConnectionError:
        pass
    assert [each.was_raised for each in own.failed] == [is_raised]
    with attempt(OwnResult(None, own.failed)) as again:
        try:
            with taken(again).at_work() as run:
                assert run.again() == "no"
        except ConnectionError:
            assert is_raised
        assert len(own.failed) == 1
        assert taken(again).again() is None


def test_what_was_raised_before_is_kept_once() -> None:
    failed = [FailedTry(text=write_error(OSError("no")) or "", was_raised=True)]
    own = OwnResult(None, failed)
    with attempt(own) as admission, pytest.raises(OSError, match="no"), taken(admission).at_work() as run:
        run.again()
    assert own.failed == failed


def test_a_word_of_the_framework_is_no_failure(admission: Admission, own: OwnResult) -> None:
    with pytest.raises(Word), taken(admission).at_work(Word):
        raise Word
    assert (own.failed, bool(own.unknown())) == ([], False)
    assert admission.take_run() is not None


def test_what_a_tool_runs_of_its_own_layers_is_part_of_the_run(admission: Admission, own: OwnResult) -> None:
    with taken(admission).at_work() as run:
        with taken(admission).at_work() as layer:
            layer.keep("half of it")
        assert (own.text, own.is_at_work) == (None, True)
        run.keep("all of it")
    assert own.text == "all of it"


def test_what_another_tool_comes_to_in_place_of_the_calls_is_not_kept(
    admission: Admission, own: OwnResult
) -> None:
    with admission.new_run(keeps=False).at_work() as run:
        assert (run.again(), own.is_at_work) == (None, True)
        run.keep("by another")
    assert (own.text, own.has_ended) == (None, False)
    assert admission.take_run() is None


@pytest.mark.parametrize("is_approved", [True, False])
async def test_what_a_thread_comes_to_is_not_kept_when_nobody_waits_for_it_any_more(
    admission: Admission, own: OwnResult, is_approved: bool
) -> None:
    """The tool may be tried again meanwhile, unless a person approved what it may have done."""
    own.is_approved = is_approved
    begun, may_end = asyncio.Event(), asyncio.Event()
    threads: list[asyncio.Task[None]] = []

    async def work() -> None:
        with taken(admission).at_work() as run:
            begun.set()
            await may_end.wait()
            run.keep("of the thread")

    async def wait() -> None:
        async with taken(admission).awaited_in_thread():
            threads.append(asyncio.create_task(work()))
            await asyncio.shield(threads[0])

    waiting = asyncio.create_task(wait())
    await begun.wait()
    waiting.cancel()
    await asyncio.wait({waiting})
    assert (admission.take_run() is None) == is_approved
    may_end.set()
    await threads[0]
    assert (own.text, own.has_ended) == (None, False)


async def test_a_run_for_which_no_thread_began_makes_room(admission: Admission) -> None:
    with pytest.raises(ValueError, match="of the framework"):
        async with taken(admission).awaited_in_thread():
            raise ValueError("of the framework's own")
    assert admission.take_run() is not None


async def test_what_a_run_came_to_counts_once_what_it_left_behind_has_its_answer(
    admission: Admission, own: OwnResult
) -> None:
    """It asks in the background; the run itself failed, and another has been tried since."""
    asked, answered = asyncio.Event(), asyncio.Event()

    async def ask() -> None:
        own.ask()
        asked.set()
        await answered.wait()
        own.answered()

    async def fail_and_ask() -> None:
        with taken(admission).at_work():
            asking.append(asyncio.create_task(ask()))
            await asked.wait()
            raise ConnectionError("no")

    asking: list[asyncio.Task[None]] = []
    with pytest.raises(ConnectionError):
        await fail_and_ask()
    assert own.failed == []
    assert admission.take_run() is not None
    answered.set()
    await asking[0]
    assert len(own.failed) == 1


async def test_a_run_that_code_closed_may_have_taken_effect(admission: Admission, own: OwnResult) -> None:
    """Whatever its thread comes to then: nobody waits for that, and nothing says so but this."""
    run = taken(admission)
    waiting = run.awaited_in_thread()
    await waiting.__aenter__()
    with taken(admission).at_work():
        await waiting.__aexit__(GeneratorExit, GeneratorExit(), None)
        run.keep("paid")
    assert (own.text, own.unknown()) == (None, [run])
