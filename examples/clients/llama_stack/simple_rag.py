"""Answers from documents: puts the files of ``documents/`` into a vector store of the stack, and has an agent
search it for a question's passages and answer from them:

python -m examples.clients.llama_stack.simple_rag localhost 8321 ["How long may a bag be returned?"]
"""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from llama_stack_client import APIConnectionError, APIStatusError, LlamaStackClient

AGENT = "llama-stack-assistant"
DOCUMENTS = Path(__file__).parent / "documents"
QUESTION = "Within how many days may an unopened bag be returned?"
PASSAGES = 2
"""How many a search finds. A large model does well with more."""
LEXICAL = "embeddings/lexical"
"""What the stack finds passages with where no embedding model is named."""


def main(host: str, port: str, question: str = QUESTION) -> None:
    # The client says of each request that it was made.
    logging.disable(logging.INFO)
    url = f"http://{host}:{port}"
    client = LlamaStackClient(base_url=url)
    try:
        with indexed(client, sorted(DOCUMENTS.glob("*.md"))) as store:
            answer(client, store, question)
    except APIConnectionError:
        sys.exit(f"No stack answers at {url}: start one with ./scripts/up.")
    except APIStatusError as error:
        sys.exit(f"The stack at {url} refuses: {error.message}")


@contextmanager
def indexed(client: LlamaStackClient, paths: list[Path]) -> Iterator[str]:
    """A vector store of some files, for as long as it is needed: it and the files are removed at the end, and also
    where not all of them can be put into it.

    Returns:
        The store's id.
    """
    store = client.vector_stores.create(name="simple_rag")
    uploaded = []
    try:
        for path in paths:
            file = client.files.create(file=path, purpose="assistants")
            uploaded.append(file.id)
            put = client.vector_stores.files.create(vector_store_id=store.id, file_id=file.id)
            if put.status != "completed":
                sys.exit(
                    f"{path.name} cannot be indexed: {put.last_error.message if put.last_error else put.status}"
                )
        print(f"Indexed {', '.join(path.name for path in paths)}.")
        print(f"Embeddings: {told(store.metadata['embedding_model'])}\n")
        yield store.id
    finally:
        client.vector_stores.delete(store.id)
        for file_id in uploaded:
            client.files.delete(file_id)


def told(model: str) -> str:
    """An embedding model, for a person."""
    if model != LEXICAL:
        return model
    return "none. Passages are found by their words, not by their meaning; EMBEDDING_MODEL names a model."


def answer(client: LlamaStackClient, store: str, question: str) -> None:
    """Print the passages of a store that the agent finds for a question, and its answer."""
    print(f"> {question}\n")
    search = {"type": "file_search", "vector_store_ids": [store], "max_num_results": PASSAGES}
    events = client.responses.create(
        model=AGENT, input=question, tools=[search], include=["file_search_call.results"], stream=True
    )
    for event in events:
        if event.type == "response.output_item.done" and event.item.type == "file_search_call":
            for passage in event.item.results or []:
                print(f"--- {passage.filename}\n{passage.text.strip()}\n")
        elif event.type == "response.output_text.delta":
            print(event.delta, end="", flush=True)
        elif event.type in ("response.failed", "error"):
            sys.exit(f"{AGENT} gave no answer: {event}")
    print()


if __name__ == "__main__":
    main(*sys.argv[1:])
