"""Guardrails that a request may name: shields of the host's Safety API, and a moderation endpoint of OpenAI's kind
(https://platform.openai.com/docs/api-reference/moderations), which is all that OGX has."""

from typing import Any

import httpx

from k8gentai.providers import host
from k8gentai.providers.errors import ApiError, invalid
from k8gentai.workers.http.sent_errors import SentError

ENDPOINT = "moderation"
"""The endpoint's name as a guardrail, where they have names. OGX has ``guardrails: true`` for it."""
_SECONDS = 30.0
_MOST_WORDS = 500
"""The number of characters of an endpoint's words that a message carries."""


class ModerationEndpoint:
    """An endpoint that says of a text whether it is to be blocked.

    Args:
        url: takes ``POST {"input": text}``.
        api_key: the endpoint's credential, if it asks for one.
    """

    def __init__(self, url: str, api_key: str | None = None) -> None:
        self._url = url
        headers = {"authorization": f"Bearer {api_key}"} if api_key else {}
        self._client = httpx.AsyncClient(headers=headers, timeout=_SECONDS)

    async def close(self) -> None:
        """Close its connections."""
        await self._client.aclose()

    async def violation(self, text: str) -> str | None:
        """Return why a text is blocked, in the host's own words; None where it is not.

        Raises:
            ApiError: the endpoint does not answer (503), or not as it should (400).
        """
        try:
            answer = await self._client.post(self._url, json={"input": text})
        except httpx.TransportError as error:
            raise _away(f"does not answer ({type(error).__name__})") from error
        if answer.is_server_error or answer.status_code == httpx.codes.TOO_MANY_REQUESTS:
            raise _away(f"answers {answer.status_code}{_words(answer)}")
        try:
            results = answer.raise_for_status().json()["results"]
            blocked = [result for result in results if result["flagged"]]
        except (httpx.HTTPStatusError, ValueError, KeyError, TypeError):
            message = f"The moderation endpoint answers {answer.status_code}, and no moderation."
            raise invalid(message, code="moderation_failed") from None
        if not blocked:
            return None
        categories = [name for name, applies in (blocked[0].get("categories") or {}).items() if applies]
        reason = f" (flagged for: {', '.join(categories)})" if categories else ""
        return f"Content blocked by safety guardrails{reason}"


class Guardrails:
    """Finds guardrails, and asks them.

    Args:
        safety: the host's Safety API; None where it has none.
        endpoint: the moderation endpoint; None where none is named.
    """

    def __init__(self, safety: Any, endpoint: ModerationEndpoint | None) -> None:
        self._safety = safety
        self._endpoint = endpoint

    async def close(self) -> None:
        """Close connections."""
        if self._endpoint is not None:
            await self._endpoint.close()

    async def names(self, asked: Any) -> list[str]:
        """Return the names of those that a request asks for.

        Args:
            asked: the ``guardrails`` of a request, in the host's shape.

        Raises:
            ApiError: one is not there (400), or none is anywhere (503).
        """
        if self._safety is None and self._endpoint is None:
            raise ApiError(
                503,
                "Guardrails need a provider of the Safety API in the run YAML, or AMF_MODERATION_URL.",
                code="service_not_enabled",
                param="guardrails",
                headers={"X-Should-Retry": "false"},
            )
        names = [ENDPOINT] if asked is True else [g if isinstance(g, str) else g["type"] for g in asked]
        there = await self._there()
        for index, name in enumerate(names):
            if name not in there:
                message = f"There is no guardrail '{name}'; there are: {', '.join(sorted(there)) or 'none'}."
                raise invalid(message, f"guardrails[{index}]", "guardrail_not_found")
        return names

    async def violation(self, text: str, guardrail: str) -> str | None:
        """Return why a guardrail blocks a text; None where it does not.

        Raises:
            ApiError: it does not answer.
            ValueError: there is no such guardrail.
        """
        if guardrail == ENDPOINT and self._endpoint is not None:
            return await self._endpoint.violation(text)
        return await host.violation(self._safety, text, guardrail)

    async def _there(self) -> set[str]:
        there = {ENDPOINT} if self._endpoint is not None else set()
        if self._safety is not None:
            there |= {shield.identifier for shield in (await self._safety.routing_table.list_shields()).data}
        return there


def _words(answer: httpx.Response) -> str:
    """Return what an answer says of its error; nothing where that is no JSON."""
    try:
        said = answer.json()
    except ValueError:
        said = None
    words = SentError.of(said).message if isinstance(said, dict) and said else ""
    return f": {words.rstrip('.')[:_MOST_WORDS]}" if words else ""


def _away(how: str) -> ApiError:
    message = f"The moderation endpoint {how}."
    return ApiError(503, message, code="moderation_unavailable", headers={"Retry-After": "1"})
