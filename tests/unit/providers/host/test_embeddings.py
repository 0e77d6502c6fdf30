"""The embeddings the stack's vector stores are filled with."""

import asyncio
import base64
import struct
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import openai
import pytest
import tiktoken
from pydantic import ValidationError

from k8gentai.providers import host
from k8gentai.providers.host.embeddings import Embeddings, EmbeddingsConfig, get_provider_impl
from k8gentai.providers.lexical import DIMENSION, embed
from k8gentai.stack.conformance.scripted.embeddings import DIMENSION as SCRIPTED_DIMENSION
from k8gentai.stack.conformance.scripted.embeddings import MODEL
from tests.scripted import ScriptedModel

AWAY = "http://127.0.0.1:9/v1"


def provider(**config: Any) -> Embeddings:
    return Embeddings(EmbeddingsConfig(**{"openai_base_url": AWAY, "openai_api_key": "key", **config}))


def request(model: str, text: Any = "a text", **more: Any) -> SimpleNamespace:
    return SimpleNamespace(
        **{"model": model, "input": text, "encoding_format": "float", "dimensions": None, **more}
    )


async def test_without_a_model_there_are_vectors_of_words() -> None:
    (listed,) = await provider().list_models()
    assert (listed.identifier, listed.model_type) == ("lexical", "embedding")
    assert listed.metadata == {"embedding_dimension": DIMENSION}
    answer = await provider().openai_embeddings(request("lexical", ["two words", "one"]))
    assert [item.embedding for item in answer.data] == [embed("two words"), embed("one")]
    assert answer.usage.total_tokens == 3


async def test_base64_is_what_the_openai_sdk_asks_for() -> None:
    answer = await provider().openai_embeddings(request("lexical", encoding_format="base64"))
    packed = base64.b64decode(answer.data[0].embedding)
    assert struct.unpack(f"<{DIMENSION}f", packed) == pytest.approx(embed("a text"))


@pytest.mark.parametrize(("name", "value"), [("dimensions", 3), ("input", [1, 2])])
async def test_what_words_alone_cannot_do_is_refused_by_its_name(name: str, value: object) -> None:
    asked = request("lexical")
    setattr(asked, name, value)
    with pytest.raises(ValueError, match=f"^{name}: 'lexical'"):
        await provider().openai_embeddings(asked)


@pytest.mark.parametrize("own", ["openai_base_url", "base_url"])
async def test_a_model_of_an_endpoint_is_asked(model: ScriptedModel, own: str) -> None:
    with_model = provider(model=MODEL, dimension=SCRIPTED_DIMENSION, **{own: model.base_url})
    listed = {each.identifier: each.metadata["embedding_dimension"] for each in await with_model.list_models()}
    assert listed == {"lexical": DIMENSION, MODEL: SCRIPTED_DIMENSION}
    # The dimension is the model's own: the endpoint is not told, as it would refuse.
    answer = await with_model.openai_embeddings(request(MODEL, "A dog.", dimensions=SCRIPTED_DIMENSION))
    assert answer.data[0].embedding == pytest.approx([1, 0, 0, 0.1])


def test_a_key_goes_to_its_own_endpoint_only() -> None:
    config = EmbeddingsConfig(openai_base_url="http://a", openai_api_key="secret", base_url="http://b")
    assert config.endpoint == ("http://b", "none")


async def test_an_endpoint_that_is_away_is_named() -> None:
    away = provider(model="some", dimension=3)
    with pytest.raises(ConnectionError, match=f"The embedding endpoint {AWAY} does not answer"):
        await away.openai_embeddings(request("some"))


async def test_an_error_of_status_200_is_raised_in_the_endpoints_words() -> None:
    body = b'{"error": {"message": "out of credits", "code": 402}}'

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        asked = provider(model="some", dimension=3, base_url=f"http://127.0.0.1:{port}/v1")
        with pytest.raises(openai.APIStatusError, match="out of credits") as raised:
            await asked.openai_embeddings(request("some"))
    assert raised.value.status_code == 402


async def test_an_unknown_model_is_not_found() -> None:
    with pytest.raises(host.ModelNotFoundError, match="embeddings/other"):
        await provider().openai_embeddings(request("other"))


async def test_it_does_not_chat() -> None:
    with pytest.raises(ValueError, match="'lexical' makes embeddings"):
        await provider().openai_chat_completion(request("lexical"))


def test_a_model_needs_the_length_of_its_vectors() -> None:
    with pytest.raises(ValidationError, match="set EMBEDDING_DIMENSION"):
        provider(model="some")


async def test_files_are_cut_up_without_a_download(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tiktoken.registry.ENCODINGS", {})
    monkeypatch.setattr("tiktoken.load.read_file", _only_files)
    await get_provider_impl(EmbeddingsConfig(openai_base_url=AWAY, openai_api_key="key"), {})
    assert tiktoken.get_encoding("cl100k_base").encode("hello world") == [15339, 1917]


def _only_files(path: str) -> bytes:
    assert "://" not in path
    return Path(path).read_bytes()
