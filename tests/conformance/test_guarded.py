"""A tool that wants approval asks, whatever in the framework runs it."""

import pytest

from tests.conformance.guarded import GUARDED, agent_id
from tests.conformance.helpers import answer, items_of

SHAPES = [(framework, shape) for framework, shapes in GUARDED.items() for shape in shapes]


@pytest.mark.parametrize(("framework", "shape"), SHAPES, indirect=["framework"], scope="session")
async def test_a_tool_asks_before_it_runs(framework, shape, client, model, key, page):
    question, answers = GUARDED[framework][shape](key, page)
    model.script(key, *answers)
    asked = await client.responses.create(model=agent_id(shape), input=question)
    requests = [r for r in items_of(asked, "mcp_approval_request") if r.name == "write"]
    assert len(requests) == 1, asked.error or asked.output
    assert not page.exists()
    done = await answer(client, asked, requests[0], approve=True)
    assert done.status == "completed", done.error
    assert len(page.read_text().splitlines()) == 1
    outputs = [call.output for call in items_of(done, "mcp_call") if call.name == "write"]
    assert outputs[-1] == "wrote one"
    assert len(outputs) == 1
