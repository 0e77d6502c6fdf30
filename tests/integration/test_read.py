"""Retrieve, list, input items, delete."""

import openai
import pytest

from k8gentai.workers.queue import keys
from tests.integration.helpers import LANGGRAPH, collect, ended, eventually, prompt
from tests.scripted import Answer, Gate


async def make(client, model, key, count=1, agent=LANGGRAPH):
    """Finished responses, one after another."""
    model.script(key, *(Answer(f"Answer {number}.") for number in range(count)))
    return [
        await client.responses.create(model=agent, input=prompt(key, f"Question {number}."))
        for number in range(count)
    ]


async def test_retrieve_gives_what_create_gave(client, model, key):
    (made,) = await make(client, model, key)
    assert (await client.responses.retrieve(made.id)).to_dict() == made.to_dict()


async def test_a_finished_response_is_read_from_the_store_when_redis_has_forgotten_it(client, stack, model, key):
    (made,) = await make(client, model, key)
    with stack.redis() as redis:
        await eventually_settled(redis, made.id)
        redis.delete(keys.TURN + made.id, keys.TURN + made.id + keys.EVENTS)
    assert (await client.responses.retrieve(made.id)).to_dict() == made.to_dict()
    items = await client.responses.input_items.list(made.id)
    assert "Question 0." in items.data[0].content[0].text


async def eventually_settled(redis, response_id):
    async def look():
        return redis.hget(keys.TURN + response_id, "settled")

    await eventually(look, lambda settled: settled not in (None, b"0"))


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_list_in_pages(client, http, model, key, order):
    made = [response.id for response in await make(client, model, key, 5)]
    wanted = made if order == "asc" else made[::-1]
    # Other tests make responses too: the pages begin just before or after ours.
    start = await neighbour(http, wanted[0], order)
    seen = []
    after = start
    for _ in range(3):
        query = {"limit": 2, "order": order, **({"after": after} if after else {})}
        page = (await http.get("/v1/responses", params=query)).json()
        assert page["object"] == "list"
        seen += [response["id"] for response in page["data"]]
        assert (page["first_id"], page["last_id"]) == (seen[-len(page["data"])], seen[-1])
        if not page["has_more"]:
            break
        after = page["last_id"]
    assert [id_ for id_ in seen if id_ in made] == wanted


async def neighbour(http, response_id, order):
    """The response listed just before that one, or None."""
    query = {"limit": 100, "order": order}
    while True:
        page = (await http.get("/v1/responses", params=query)).json()
        ids = [response["id"] for response in page["data"]]
        if response_id in ids:
            at = ids.index(response_id)
            return ids[at - 1] if at else query.get("after")
        assert page["has_more"], "the response is not in the list"
        query["after"] = page["last_id"]


async def test_list_of_one_model_holds_running_turns_too(client, http, model, key):
    gate = Gate()
    model.script(key, Answer(gate, "Late."))
    running = await client.responses.create(model="calculator", input=prompt(key), background=True)
    await gate.reached()
    page = (await http.get("/v1/responses", params={"model": "calculator", "limit": 100})).json()
    assert {response["model"] for response in page["data"]} == {"calculator"}
    (shown,) = [response for response in page["data"] if response["id"] == running.id]
    assert shown["status"] == "in_progress"
    gate.open()
    await ended(client, running.id)


async def test_input_items_in_pages_both_ways(client, model, key):
    model.script(key, Answer("Yes."))
    texts = ["One.", "Two.", prompt(key, "Three.")]
    response = await client.responses.create(
        model=LANGGRAPH, input=[{"role": "user", "content": text} for text in texts]
    )
    for order, wanted in (("asc", texts), ("desc", texts[::-1])):
        items = [item async for item in client.responses.input_items.list(response.id, order=order, limit=2)]
        assert [item.content[0].text for item in items] == wanted
    ids = [item.id for item in items]
    assert len(set(ids)) == 3


async def test_delete(client, model, key):
    (made,) = await make(client, model, key)
    await client.responses.delete(made.id)
    with pytest.raises(openai.NotFoundError):
        await client.responses.retrieve(made.id)
    with pytest.raises(openai.NotFoundError):
        await client.responses.delete(made.id)
    with pytest.raises(openai.NotFoundError):
        await client.responses.input_items.list(made.id)


async def test_deleting_a_running_response_closes_the_models_stream(client, model, key):
    model.script(key, Answer("Begun ", Gate(), "never ended."))
    response = await client.responses.create(model=LANGGRAPH, input=prompt(key), background=True)
    request = await model.request(key)
    await client.responses.delete(response.id)
    await request.wait_closed()
    with pytest.raises(openai.NotFoundError):
        await client.responses.retrieve(response.id)


async def test_store_false_is_honoured(client, http, model, key):
    """Streamed to whoever asked, then gone."""
    model.script(key, Answer("Forget me."))
    stream = await client.responses.create(model=LANGGRAPH, input=prompt(key), store=False, stream=True)
    events = await collect(stream)
    assert events[-1].response.output_text == "Forget me."
    response_id = events[-1].response.id

    async def gone():
        return (await http.get(f"/v1/responses/{response_id}")).status_code

    await eventually(gone, lambda status: status == 404)
    listed = (await http.get("/v1/responses", params={"limit": 100})).json()["data"]
    assert response_id not in [response["id"] for response in listed]


@pytest.mark.parametrize("call", ["retrieve", "cancel", "delete"])
async def test_an_unknown_response_is_a_404_that_says_how_to_list(client, call):
    with pytest.raises(openai.NotFoundError) as caught:
        await getattr(client.responses, call)("resp_00000000000000000000000000000000")
    assert "client.responses.list()" in caught.value.message
    assert caught.value.code == "response_not_found"
