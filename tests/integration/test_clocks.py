"""Servers and workers whose clocks are hours apart: order, approvals and time limits go by Redis."""

from tests.integration.helpers import LANGGRAPH, heard, prompt
from tests.integration.test_approval import answer, asked, lines, suspended
from tests.integration.test_approval import page as page
from tests.scripted import Answer
from tests.support.clocks import skewed


def shown(item):
    return item.content[0].text.rpartition(" ")[2]


async def test_clocks_change_nothing(own_stack, model, key, page):
    environment = own_stack.environment
    ahead = own_stack.add_server(**skewed(environment, 3600))
    behind = own_stack.add_server(**skewed(environment, -3600))
    for seconds in (-7200, 7200):
        environment |= skewed(environment, seconds)
        own_stack.add_worker("langgraph")
    model.script(key, *(Answer(f"a{number}") for number in range(4)))
    wanted = []
    async with ahead.openai() as first, behind.openai() as second:
        conversation = (await first.conversations.create()).id
        for number, client in enumerate((first, second, first, second)):
            await client.responses.create(
                model=LANGGRAPH, input=prompt(key, f"u{number}"), conversation=conversation
            )
            note = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": f"n{number}"}]}
            await client.conversations.items.create(conversation, items=[note])
            wanted += [f"u{number}", f"a{number}", f"n{number}"]
        for client in (first, second):
            items = [item async for item in client.conversations.items.list(conversation, order="asc")]
            assert [shown(item) for item in items] == wanted
        assert [text.rpartition(" ")[2] for _, text in heard(model.requests(key)[-1])] == wanted[:-2]

        asking = await suspended(first, model, key + "p", page)
        (request,) = asked(asking)
        done = await second.responses.create(
            model="guarded", previous_response_id=asking.id, input=[answer(request)]
        )
        assert done.output_text == "Written."
        assert lines(page) == ["one"]
