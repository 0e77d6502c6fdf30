"""Each column of the table, for each shape: see :mod:`tests.conformance.shapes.shape`."""

import asyncio
import json

import pytest

from k8gentai.agents.adapters import FRAMEWORKS
from k8gentai.agents.registry.registry import Registry
from k8gentai.stack.conformance.expect import one
from k8gentai.stack.conformance.lab import completed, items
from tests.conformance.helpers import answer, eventually, prompt
from tests.conformance.shapes import stage
from tests.conformance.shapes.agents.functions import Order
from tests.conformance.shapes.definitions import agents_of
from tests.conformance.shapes.shape import ORDER, Column, Shape, shapes_of
from tests.scripted import FOREVER, Answer, Call, Gate, Refuse

_SECONDS = 60


def shows(column: Column):
    """Put every framework's shapes to a test of a column."""
    shapes = [
        pytest.param(framework, shape, id=f"{framework}-{shape.name}", marks=_marks(column, shape))
        for framework in FRAMEWORKS
        for shape in shapes_of(framework)
    ]
    return pytest.mark.parametrize(("framework", "shape"), shapes, indirect=["framework"], scope="session")


def _marks(column: Column, shape: Shape):
    if why := shape.without.get(column):
        return [pytest.mark.skip(why)]
    if why := shape.fails.get(column):
        return [pytest.mark.xfail(reason=why, strict=True)]
    return []


@pytest.mark.parametrize("framework", [*filter(shapes_of, FRAMEWORKS)], indirect=True, scope="session")
async def test_every_shape_is_ready(framework, stack):
    broken = [a.error for a in Registry(stack.registry).list() if a.id in agents_of(framework) and a.error]
    assert not broken, "\n".join(broken)


@shows(Column.STREAMS)
async def test_text_comes_as_the_model_says_it_and_once(shape, lab, alone):
    gate = Gate()
    called = stage.calls(shape, stage.looking(lab.page))
    stage.script(lab.model, lab.key, shape, called, Answer("It ", gate, "costs 3."))
    events = []
    try:
        async with asyncio.timeout(_SECONDS):
            async for event in await lab.ask(shape.name, stream=True):
                events.append(event)
                if event.type == "response.output_text.delta" and event.delta == "It ":
                    gate.open()
    finally:
        gate.open()
    assert [event.sequence_number for event in events] == list(range(len(events)))
    response = completed(events[-1].response)
    stage.check_texts(events)
    assert stage.texts(response)[-1] == alone[shape.name]
    assert len(lab.lines()) == len(called)


@shows(Column.APPROVAL)
async def test_a_tool_waits_for_a_person_and_runs_once(shape, lab, alone):
    arguments = {"path": str(lab.page), "amount": stage.AMOUNT}
    paying = (Answer(Call("pay", arguments)),)
    scripts = stage.script(lab.model, lab.key, shape, paying, Answer("It ", "costs 3."))
    asked = await lab.answer(shape.guarded)
    request = one("requests", items(asked, "mcp_approval_request"))
    assert request.name == (shape.asks or "pay")
    if shape.asks:
        assert str(stage.AMOUNT) in request.arguments
    else:
        assert json.loads(request.arguments) == arguments
    assert lab.lines() == []
    done = completed(await answer(lab.client, asked, request, approve=True))
    assert items(done, "mcp_approval_request") == []
    assert len(lab.lines()) == 1
    paid = one("calls of pay", [call for call in items(done, "mcp_call") if call.name == "pay"])
    assert paid.output == "paid 120"
    assert stage.texts(done)[-1] == alone[shape.name]
    if shape.remembers:
        before = len(stage.requests(lab.model, lab.key))
        stage.go_on(lab.model, scripts, lab.key, shape, Answer("As ", "I said."))
        completed(await lab.ask(shape.guarded, previous_response_id=done.id))
        assert "paid 120" in stage.told(lab.model, lab.key, before)


@shows(Column.STRUCTURED)
async def test_the_answer_is_an_object(shape, lab, alone):
    called = stage.calls(shape, stage.looking(lab.page))
    stage.script(lab.model, lab.key, shape, called, *shape.structured.final)
    response = completed(
        await lab.client.responses.parse(model=shape.in_structure, input=lab.prompt(), text_format=Order)
    )
    assert response.output_parsed == Order(**ORDER)
    assert Order.model_validate_json(alone[f"{shape.name}-structured"]) == Order(**ORDER)


@shows(Column.RAISING)
async def test_the_model_is_shown_what_a_tool_raises(shape, lab):
    failing = Answer(Call("fail", {"reason": "no funds"}))
    stage.script(lab.model, lab.key, shape, (failing,), Answer("It ", "failed."))
    response = await lab.answer(shape.name)
    call = one("calls of fail", [call for call in items(response, "mcp_call") if call.name == "fail"])
    assert "it failed: no funds" in f"{call.error} {call.output}"
    assert "it failed: no funds" in stage.told(lab.model, lab.key)
    assert stage.texts(response)[-1] == "It failed."


@shows(Column.AS_TOOL)
async def test_as_a_tool_it_answers_and_its_approval_comes_up(shape, lab, alone):
    paying = Answer(Call("pay", {"path": str(lab.page), "amount": stage.AMOUNT}))
    inner = f"{lab.key}-inner"
    stage.script(lab.model, inner, shape, stage.calls(shape, paying), Answer("It ", "costs 3."))
    lab.script(Answer(Call("colleague", {"input": prompt(inner)})), Answer("Done."))
    response = await lab.answer(shape.asking)
    if shape.tools:
        request = one("requests", items(response, "mcp_approval_request"))
        assert str(stage.AMOUNT) in request.arguments
        assert lab.lines() == []
    response = await stage.approve(lab, response)
    assert stage.texts(response)[-1] == "Done."
    asked = one("calls", [call for call in items(response, "mcp_call") if call.name == "colleague"])
    assert asked.output == alone[shape.name]
    assert len(lab.lines()) == int(shape.tools)


@pytest.mark.parametrize("framework", [*filter(shapes_of, FRAMEWORKS)], indirect=True, scope="session")
async def test_turns_of_all_shapes_survive_the_end_of_their_worker(framework, lab, processes, alone):
    """One kill while the last model call of each is held; tools that were done do not run again."""
    shapes = [shape for shape in shapes_of(framework) if shape.has(Column.CRASH)]
    gates, scripts, turns = {}, {}, {}
    for number, shape in enumerate(shapes):
        gate = gates[shape.name] = Gate()
        called = stage.calls(shape, stage.looking(_page(lab, number)))
        cut_off = (Answer("It ", gate, FOREVER), Answer("It ", "costs 3."))
        scripts[shape.name] = stage.script(lab.model, f"{lab.key}-{number}x", shape, called, *cut_off)
        turns[shape.name] = await lab.begin(shape.name, part=f"{number}x")
    reading = {name: asyncio.create_task(lab.follow(turn_id)) for name, turn_id in turns.items()}
    for name, gate in gates.items():
        await _stands(gate, reading[name])
    for pid in processes.worker_pids():
        await processes.kill_worker(pid)
    await asyncio.wait(reading.values())
    failed = {}
    for number, shape in enumerate(shapes):
        try:
            events = await reading[shape.name]
            response = completed(events[-1].response)
            stage.check_texts(events)
            assert stage.texts(response)[-1] == alone[shape.name]
            made = {key: len(lab.model.requests(key)) for key in scripts[shape.name]}
            assert made == {key: len(answers) for key, answers in scripts[shape.name].items()}
            assert len(_page(lab, number).read_text().splitlines() if shape.tools else []) == int(shape.tools)
        except Exception as error:  # noqa: BLE001 - the other shapes are looked at
            failed[shape.name] = f"{type(error).__name__}: {error}"
    assert not failed, json.dumps(failed, indent=2)


@pytest.mark.parametrize("framework", [*filter(shapes_of, FRAMEWORKS)], indirect=True, scope="session")
@pytest.mark.parametrize("last", [False, True], ids=["first", "last"])
async def test_a_model_that_refuses_ends_the_turns_of_all_shapes(framework, last, lab):
    """Whichever of their agents asks, with the endpoint's words."""
    turns = {}
    for number, shape in enumerate(shapes_of(framework)):
        called = stage.calls(shape, stage.looking(_page(lab, number)))
        refused = Refuse(400, "no capacity today")
        key = f"{lab.key}-{number}r"
        for part, answers in stage.script(lab.model, key, shape, called, Answer("It ", "costs 3.")).items():
            lab.model.script(part, *(answers[:-1] if last else ()), refused)
        turns[shape.name] = await lab.begin(shape.name, part=f"{number}r")
    ended = {name: (await lab.follow(turn_id))[-1].response for name, turn_id in turns.items()}
    told = {name: (response.status, response.error and response.error.message) for name, response in ended.items()}
    assert {name: why for name, why in told.items() if "no capacity today" not in str(why)} == {}
    assert {status for status, _ in told.values()} == {"failed"}


async def _stands(gate, reading):
    """Wait until a turn's model call is held, or the turn has ended before."""

    async def look():
        return gate.is_reached or reading.done()

    await eventually(look, bool)


def _page(lab, number):
    """The file that the tools of one of many turns write to."""
    return lab.page.with_name(f"page-{number}.txt")
