"""Finds the model that the agents run on: the one that the environment names, an Ollama's on its usual port, or
the embedded one."""

from collections.abc import Mapping
from dataclasses import dataclass

import httpx

from k8gentai.stack.environments.installed import SetUpError
from k8gentai.stack.local.api_keys import api_key

PROVIDER = "openai"
"""The ``provider_id`` of the endpoint in ``stack/run.yaml``; it begins every model's id."""

OPENAI_URL = "https://api.openai.com/v1"
USUAL_OLLAMA = "http://127.0.0.1:11434"
NO_KEY = "none"
"""The key for an endpoint that asks for none; the host wants one to be set."""

NOT_CHAT = (
    "embed",
    "whisper",
    "tts",
    "dall-e",
    "image",
    "audio",
    "realtime",
    "transcribe",
    "moderation",
    "babbage",
    "davinci",
    "sora",
    "rerank",
)
"""Parts of the names of models that do not chat."""


@dataclass(frozen=True)
class Endpoint:
    """An OpenAI-compatible API."""

    base_url: str
    api_key: str
    origin: str
    """The variable, or other source, that it comes from, in words for a person."""


def named_endpoint(environment: Mapping[str, str]) -> Endpoint | None:
    """Return the endpoint the environment names, or an Ollama that has a model; None: use the embedded model.

    Raises:
        SetUpError: no HTTP header can carry its key.
    """
    key = api_key(environment, "OPENAI_API_KEY") or NO_KEY
    if url := environment.get("OPENAI_BASE_URL"):
        return Endpoint(url.rstrip("/"), key, "OPENAI_BASE_URL")
    if key != NO_KEY:
        return Endpoint(OPENAI_URL, key, "OPENAI_API_KEY")
    if url := environment.get("OLLAMA_URL"):
        return Endpoint(_ollama(url), NO_KEY, "OLLAMA_URL")
    usual = Endpoint(_ollama(USUAL_OLLAMA), NO_KEY, "an Ollama on its usual port")
    try:
        return usual if chat_models(usual, seconds=1) else None
    except SetUpError:
        return None


def _ollama(url: str) -> str:
    return url.rstrip("/").removesuffix("/v1") + "/v1"


def chat_models(endpoint: Endpoint, seconds: float = 10) -> list[str]:
    """Return the names of the models an endpoint lists, those left out that clearly do not chat.

    Raises:
        SetUpError: it does not answer, refuses the key, or does not list models.
    """
    headers = {"Authorization": f"Bearer {endpoint.api_key}"}
    where = f"The model endpoint {endpoint.base_url} (from {endpoint.origin})"
    try:
        answer = httpx.get(f"{endpoint.base_url}/models", headers=headers, timeout=seconds)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise SetUpError(f"{where} does not answer: {error}") from error
    if answer.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        raise SetUpError(f"{where} refuses the key: set OPENAI_API_KEY to one it takes.")
    try:
        listed = [str(model["id"]) for model in answer.raise_for_status().json()["data"] or []]
    except (httpx.HTTPStatusError, ValueError, KeyError, TypeError) as error:
        raise SetUpError(f"{where} does not list its models: {error}") from error
    return [name for name in listed if not any(part in name.lower() for part in NOT_CHAT)]


def stack_model(wanted: str | None, listed: list[str], endpoint: Endpoint) -> str:
    """Return the id under which the stack knows the model that agents are to use.

    Args:
        wanted: ``INFERENCE_MODEL``: the endpoint's own name for it, or the stack's id.
        listed: the models that the endpoint lists; a model need not be among them.

    Raises:
        SetUpError: none is wanted and none is listed.
    """
    if wanted is None:
        if not listed:
            raise SetUpError(f"{endpoint.base_url} lists no model: set INFERENCE_MODEL, or load one there.")
        return f"{PROVIDER}/{listed[0]}"
    # An endpoint's own names may begin with the provider's id too.
    if wanted.startswith(f"{PROVIDER}/") and wanted not in listed:
        return wanted
    return f"{PROVIDER}/{wanted}"


def model_beside(running: str, wanted: str | None, started_with: str | None) -> str:
    """Return the id under which a stack that is up knows the model that this process is to use.

    Args:
        running: the id of the model that it runs on.
        wanted: ``INFERENCE_MODEL`` of this process; None where it names none.
        started_with: ``INFERENCE_MODEL`` as the stack's ``up`` was started with it.
    """
    if wanted is None or wanted in (running, started_with) or f"{PROVIDER}/{wanted}" == running:
        return running
    return wanted if wanted.startswith(f"{PROVIDER}/") else f"{PROVIDER}/{wanted}"
