"""Answers from documents: puts the files of ``documents/`` into a vector store of the stack, finds the passages
for a question there, and has an agent answer from them:

python -m examples.clients.llama_stack.simple_rag localhost 8321 ["How long may a bag be returned?"]
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from llama_stack_client import APIConnectionError, APIStatusError, LlamaStackClient

AGENT = "llama-stack-assistant"
DOCUMENTS = Path(__file__).parent / "documents"
QUESTION = "Within how many days may an unopened bag be returned?"
PASSAGES = 2
"""How many the agent is given. A large model does well with more."""
LEXICAL = "embeddings/lexical"
"""What the stack finds passages with where no embedding model is named."""


def main(host: str, port: str, question: str = QUESTION) -> None:
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
    """Print the passages of a store that a question is about, and the answer from them."""
    found = client.vector_stores.search(store, query=question, max_num_results=PASSAGES).data
    passages = [(passage.filename, "".join(part.text for part in passage.content)) for passage in found]
    for name, text in passages:
        print(f"--- {name}\n{text.strip()}\n")
    context = "\n\n".join(text for _, text in passages)
    print(f"> {question}")
    prompt = f"{context}\n\nAnswer in one sentence, from the text above only: {question}"
    for event in client.responses.create(model=AGENT, input=prompt, stream=True):
        if event.type == "response.output_text.delta":
            print(event.delta, end="", flush=True)
        elif event.type in ("response.failed", "error"):
            sys.exit(f"{AGENT} gave no answer: {event}")
    print()


if __name__ == "__main__":
    main(*sys.argv[1:])
