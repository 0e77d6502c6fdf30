"""Models that search files of the stack, cite them, and are given them; what is not there is refused."""

import openai
import pytest

from tests.integration.helpers import IMPLICIT, check_sequence, collect, eventually, prompt, text_of
from tests.scripted import Answer, Call

RETURNS = "Unopened bags may be returned within 30 days."
SEARCH = Call("file_search", {"query": "How long may bags be returned?"}, id="c1")


@pytest.fixture
async def file(client):
    """A file of the stack."""
    return await client.files.create(file=("returns.txt", RETURNS.encode()), purpose="assistants")


@pytest.fixture
async def tool(client, file):
    """A search of a vector store that holds it."""
    store = await client.vector_stores.create(name="shop")
    put = await client.vector_stores.files.create(store.id, file_id=file.id, attributes={"shop": "ghent"})
    assert put.status == "completed", put.last_error
    return {"type": "file_search", "vector_store_ids": [store.id]}


async def test_a_search_is_an_item_and_its_file_is_cited(client, model, key, file, tool):
    model.script(key, Answer(SEARCH), Answer("Within 30 days <|", f"{file.id}|>", "."), Answer("You are welcome."))
    place = {"conversation": (await client.conversations.create()).id}
    stream = await client.responses.create(model=IMPLICIT, input=prompt(key), tools=[tool], stream=True, **place)
    events = await collect(stream)
    check_sequence(events)
    response = events[-1].response
    search, answer = response.output
    assert (search.type, search.status) == ("file_search_call", "completed")
    assert search.queries == ["How long may bags be returned?"]
    (hit,) = search.results
    assert (hit.file_id, hit.filename, hit.text) == (file.id, "returns.txt", RETURNS)
    assert hit.score > 0
    assert hit.attributes["shop"] == "ghent"
    states = [event.type.rpartition(".")[2] for event in events if "file_search_call" in event.type]
    assert states == ["in_progress", "searching", "completed"]
    (part,) = answer.content
    assert text_of(events) == part.text == "Within 30 days."
    (cited,) = part.annotations
    assert (cited.type, cited.file_id, cited.filename) == ("file_citation", file.id, "returns.txt")
    assert RETURNS in model.requests(key)[1].texts("tool")[0]

    await client.responses.create(model=IMPLICIT, input="Thank you.", **place)
    assert RETURNS in model.requests(key)[2].texts("tool")[0]


async def test_what_was_searched_is_in_the_conversation(client, model, key, tool):
    model.script(key, Answer(SEARCH), Answer("Within 30 days."))
    place = await client.conversations.create()
    response = await client.responses.create(
        model=IMPLICIT, input=prompt(key), tools=[tool], conversation=place.id
    )

    async def kept():
        return [item async for item in client.conversations.items.list(place.id, order="asc")]

    items = await eventually(kept, lambda items: len(items) == 3)
    assert items[1].id == response.output[0].id
    assert items[1].results[0].text == RETURNS


@pytest.mark.parametrize(("shop", "count"), [("ghent", 1), ("oslo", 0)])
async def test_filters_narrow_a_search(client, model, key, tool, shop, count):
    model.script(key, Answer(SEARCH), Answer("So."))
    narrow = {**tool, "filters": {"type": "eq", "key": "shop", "value": shop}, "max_num_results": 3}
    response = await client.responses.create(model=IMPLICIT, input=prompt(key), tools=[narrow])
    assert len(response.output[0].results) == count


async def test_a_file_of_the_input_is_given_to_the_model(client, model, key, file):
    model.script(key, Answer("Read."))
    parts = [{"type": "input_text", "text": prompt(key)}, {"type": "input_file", "file_id": file.id}]
    await client.responses.create(model=IMPLICIT, input=[{"role": "user", "content": parts}])
    (message,) = model.requests(key)[0].messages
    assert message["content"][1]["file"]["filename"] == "returns.txt"
    assert message["content"][1]["file"]["file_data"].startswith("data:text/plain;base64,")


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({"tools": [{"type": "file_search", "vector_store_ids": ["vs_gone"]}]}, "tools[0].vector_store_ids[0]"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "file-gone"}]}]},
            "input[0].content[0].file_id",
        ),
    ],
)
async def test_what_is_not_there_is_named(client, wrong, param):
    with pytest.raises(openai.BadRequestError) as refused:
        await client.responses.create(**{"model": IMPLICIT, "input": "Hello.", **wrong})
    assert refused.value.param == param
