"""Tools that wait for a person, as the agent's definition asks for it."""

from tests.conformance.helpers import answer, items_of, prompt, write
from tests.scripted import Answer


async def test_an_approved_call_runs(client, model, key, page):
    model.script(key, Answer(write(page, "one")), Answer("Written."))
    asked = await client.responses.create(model="guarded", input=prompt(key))
    (request,) = items_of(asked, "mcp_approval_request")
    assert (request.name, page.exists()) == ("write", False)
    done = await answer(client, asked, request, approve=True)
    assert [call.output for call in items_of(done, "mcp_call")] == ["wrote one"]
    assert done.output_text == "Written."
    assert len(page.read_text().splitlines()) == 1
    assert len(model.requests(key)) == 2


async def test_a_denied_call_does_not_run_and_the_model_is_told_why(client, model, key, page):
    model.script(key, Answer(write(page, "one")), Answer("Then not."))
    asked = await client.responses.create(model="guarded", input=prompt(key))
    (request,) = items_of(asked, "mcp_approval_request")
    done = await answer(client, asked, request, approve=False, reason="Not on a Sunday.")
    assert (done.output_text, page.exists()) == ("Then not.", False)
    assert "Not on a Sunday." in model.requests(key)[1].texts("tool")[0]
