"""The host's ``responses`` provider: the object it holds, and how it is made.

Over HTTP our own routes answer; this object serves the host's other parts, which call it as Python.
"""

import logging
import os
import sys
from collections.abc import AsyncIterator
from typing import Any, NoReturn

from pydantic import TypeAdapter
from redis.exceptions import RedisError

from k8gentai.providers import host
from k8gentai.providers.server.config import AmfConfig
from k8gentai.providers.server.server import Server
from k8gentai.workers.process.descriptors import raise_limit
from k8gentai.workers.queue import preflight
from k8gentai.workers.queue.connection import AWAY, connect, masked
from k8gentai.workers.queue.record import TurnRecord

_HOST_EVENT: TypeAdapter[Any] = TypeAdapter(host.types.OpenAIResponseObjectStream)


class AmfResponses(host.Responses):  # type: ignore[misc]  # the host is untyped
    """The host's Responses API over :class:`ResponsesService`."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._service = server.responses

    async def shutdown(self) -> None:
        await self.server.stop()

    async def create_openai_response(self, request: Any) -> Any:
        self.server.start()
        turn, read = await self._service.acceptor.accept(request.model_dump(mode="json", exclude_unset=True))
        if read.stream:
            return self._host_events(turn)
        if read.background:
            return _response(await self._service.accepted(turn))
        return _response(await self._service.wait(turn))

    async def get_openai_response(self, request: Any) -> Any:
        return _response(await self._service.get(request.response_id))

    async def list_openai_responses(self, request: Any) -> Any:
        found, more = await self._service.page(
            after=request.after,
            limit=request.limit or 50,
            model=request.model,
            descending=request.order != "asc",
        )
        return host.types.ListOpenAIResponseObject(
            data=[
                host.types.OpenAIResponseObjectWithInput.model_validate({**each.response, "input": each.input})
                for each in found
            ],
            has_more=more,
            first_id=found[0].response["id"] if found else "",
            last_id=found[-1].response["id"] if found else "",
        )

    async def list_openai_response_input_items(self, request: Any) -> Any:
        items = await self._service.input(request.response_id)
        ordered = items if request.order == "asc" else items[::-1]
        return host.types.ListOpenAIResponseInputItem.model_validate({"data": ordered[: request.limit]})

    async def delete_openai_response(self, request: Any) -> Any:
        await self._service.delete(request.response_id)
        return host.types.OpenAIDeleteResponseObject(id=request.response_id)

    async def cancel_openai_response(self, request: Any) -> Any:
        return _response(await self._service.cancel(request.response_id))

    async def _host_events(self, turn: TurnRecord) -> AsyncIterator[Any]:
        async for event in await self._service.created(turn):
            # The host has no type for this one.
            if event["type"] != "response.queued":
                yield _HOST_EVENT.validate_python({"response_id": turn.turn.id, **event})


def _response(response: dict[str, Any]) -> Any:
    return host.types.OpenAIResponseObject.model_validate(response)


async def get_adapter_impl(config: AmfConfig, deps: dict[Any, Any], policy: list[Any]) -> AmfResponses:
    """Called by the host. Where its event loop does not live on, no connection may be kept here."""
    # The host shows warnings only of what it does not know.
    logging.getLogger("k8gentai").setLevel(logging.INFO)
    raise_limit()
    await _require_redis(config.redis_url)
    server = await Server.build(config, deps, policy)
    if host.ONE_LOOP:
        await server.open()
    return AmfResponses(server)


async def _require_redis(url: str) -> None:
    """End the process, in one line, where Redis does not answer, or not as one that can keep turns."""
    try:
        redis = connect(url)
        try:
            await preflight.check(redis)
        finally:
            await redis.aclose()
    except AWAY as error:
        _end(f"Redis at {masked(url)} does not answer: {_reason(error)}. Start it, or set REDIS_URL.")
    except preflight.UnfitError as error:
        _end(f"Redis at {masked(url)} cannot be used. {_reason(error)}.")
    except (ValueError, TypeError) as error:
        # A TypeError is that of an option that redis-py does not know.
        _end(f"REDIS_URL is not usable ({masked(url)}): {_reason(error)}.")
    except RedisError as error:
        _end(f"Redis at {masked(url)} refuses: {_reason(error)}.")


def _reason(error: Exception) -> str:
    return str(error).rstrip(".")


def _end(message: str) -> NoReturn:
    # The log is not for this: it must be the last thing seen.
    print(f"k8gentai: {message}", file=sys.stderr, flush=True)  # noqa: T201
    # The host's command turns SystemExit into exit code 0, and any other exception into a long trace.
    os._exit(1)
