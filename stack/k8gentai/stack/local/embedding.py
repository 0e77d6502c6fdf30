"""Chooses the embedding model that the stack's vector stores are filled with, and finds the length of its
vectors."""

from collections.abc import Mapping
from dataclasses import dataclass

import httpx

from k8gentai.stack.environments.installed import SetUpError
from k8gentai.stack.local.api_keys import api_key
from k8gentai.stack.local.model_endpoint import NO_KEY, Endpoint

_SECONDS = 60
"""The seconds that a model may take to load."""


@dataclass(frozen=True)
class EmbeddingModel:
    """One that a person named.

    Args:
        name: the model's name at its endpoint.
        dimension: the number of figures in one of its vectors.
        endpoint: the endpoint that serves it.
    """

    name: str
    dimension: int
    endpoint: Endpoint


def named_model(environment: Mapping[str, str], endpoint: Endpoint) -> EmbeddingModel | None:
    """Return the model the environment names; none: passages are found by their words.

    Args:
        environment: ``EMBEDDING_…``.
        endpoint: of the other models, which is asked where the environment names none of its own.

    Raises:
        SetUpError: what it names cannot be had.
    """
    name = environment.get("EMBEDDING_MODEL")
    if not name:
        return None
    if url := environment.get("EMBEDDING_BASE_URL"):
        key = api_key(environment, "EMBEDDING_API_KEY") or NO_KEY
        endpoint = Endpoint(url.rstrip("/"), key, "EMBEDDING_BASE_URL")
    return EmbeddingModel(name, _dimension(name, endpoint), endpoint)


def _dimension(name: str, endpoint: Endpoint) -> int:
    """Return how long a model's vectors are, which no endpoint says but by making one."""
    where = f"The embedding model '{name}' (EMBEDDING_MODEL) at {endpoint.base_url} (from {endpoint.origin})"
    try:
        answer = httpx.post(
            f"{endpoint.base_url}/embeddings",
            headers={"Authorization": f"Bearer {endpoint.api_key}"},
            json={"model": name, "input": "How long is this?"},
            timeout=_SECONDS,
        )
        return len(answer.raise_for_status().json()["data"][0]["embedding"])
    except httpx.HTTPStatusError as error:
        raise SetUpError(
            f"{where} cannot be used: {error.response.status_code} {error.response.text[:200]}"
        ) from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise SetUpError(f"{where} does not answer: {error}") from error
    except (ValueError, LookupError, TypeError) as error:
        raise SetUpError(f"{where} does not answer with an embedding.") from error
