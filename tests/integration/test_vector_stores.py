"""Files, vector stores and search: the host's own, filled with our embeddings."""

import openai
import pytest

from k8gentai.stack.conformance.scripted.embeddings import DIMENSION, MODEL
from tests.support.authority import Authority
from tests.support.run_yaml import with_owners

DOCUMENTS = {
    "returns.md": "Unopened bags may be returned within 30 days.",
    "visiting.md": "The shop opens at eight. Dogs are welcome.",
}


async def filled(client, name):
    """A new vector store of the documents. Returns its id."""
    files = [
        await client.files.create(file=(file, text.encode()), purpose="assistants")
        for file, text in DOCUMENTS.items()
    ]
    store = await client.vector_stores.create(name=name)
    for file in files:
        put = await client.vector_stores.files.create(store.id, file_id=file.id)
        assert (put.status, put.last_error) == ("completed", None)
    return store.id


async def best(client, store, question):
    """The file that a search finds first, and the passage."""
    found = (await client.vector_stores.search(store, query=question)).data[0]
    return found.filename, found.content[0].text


async def test_a_store_is_searched_by_words_and_by_a_named_model_and_outlives_the_server(own_stack, model):
    server = own_stack.add_server()
    async with server.openai() as client:
        by_words = await filled(client, "words")
        found = await best(client, by_words, "How long may bags be returned?")
        assert found == ("returns.md", DOCUMENTS["returns.md"])
    server.stop()
    own_stack.environment.update(EMBEDDING_MODEL=MODEL, EMBEDDING_DIMENSION=str(DIMENSION))
    server.start()
    async with server.openai() as client:
        assert await best(client, by_words, "How long may bags be returned?") == found
        # No word of the question is in the document: only a model knows.
        by_meaning = await filled(client, "meaning")
        assert (await best(client, by_meaning, "May I bring my pet?"))[0] == "visiting.md"
        kept = {store.name: store.metadata["embedding_model"] async for store in client.vector_stores.list()}
        assert kept == {"words": "embeddings/lexical", "meaning": f"embeddings/{MODEL}"}


async def test_a_store_is_its_owners_own(own_stack, tmp_path):
    authority = Authority()
    authority.start()
    try:
        own_stack.run_yaml = with_owners(tmp_path / "run.yaml", authority.url)
        server = own_stack.add_server()
        async with server.openai() as client:
            ada, ben = client.with_options(api_key="ada"), client.with_options(api_key="ben")
            store = await filled(ada, "ada's")
            assert (await best(ada, store, "How long may bags be returned?"))[0] == "returns.md"
            assert (await ben.vector_stores.list()).data == []
            with pytest.raises(openai.NotFoundError, match=store):
                await ben.vector_stores.search(store, query="bags")
    finally:
        authority.stop()


async def test_embeddings_are_served_to_anyone(client):
    answer = await client.embeddings.create(model="embeddings/lexical", input=["a bag", "bag"])
    assert answer.data[0].embedding == pytest.approx(answer.data[1].embedding)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("POST", ""),
        ("DELETE", ""),
        ("POST", "/search"),
        ("GET", "/files"),
        ("POST", "/files"),
        ("GET", "/files/file-0"),
    ],
)
async def test_an_unknown_store_is_not_found_and_the_connection_stays(http, method, path):
    body = {"json": {"query": "bags", "file_id": "file-0"}} if method == "POST" else {}
    for _ in range(2):
        answer = await http.request(method, f"/v1/vector_stores/vs_none{path}", **body)
        assert answer.status_code == 404
        error = answer.json()["error"]
        assert (error["code"], error["param"]) == ("vector_store_not_found", "vector_store_id")
        assert "'vs_none'" in error["message"]


async def test_a_file_that_is_not_there_is_told(client):
    store = await client.vector_stores.create(name="empty")
    unknown = f"file-{'0' * 32}"
    put = await client.vector_stores.files.create(store.id, file_id=unknown)
    assert put.status == "failed"
    assert unknown in put.last_error.message
    with pytest.raises(openai.NotFoundError, match=unknown):
        await client.files.retrieve(unknown)
    await client.vector_stores.delete(store.id)
