"""Errors that were answered end the request, and no connection."""

from typing import Any

import httpx
import pytest
import structlog
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, StreamingResponse

from k8gentai.providers.server.answered_errors import AnsweredErrors


def failing(status: int) -> FastAPI:
    """Return an application with a handler of all exceptions, as the hosts have it."""
    app = FastAPI()

    @app.get("/")
    async def fail() -> None:
        raise ValueError("why")

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        async def pieces() -> Any:
            yield "a"
            raise ValueError("why")

        return StreamingResponse(pieces())

    @app.exception_handler(Exception)
    async def answer(_: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"error": str(error)}, status)

    return app


async def get(app: Any, path: str = "/") -> httpx.Response:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
        return await client.get(path)


@pytest.mark.parametrize(("status", "logged"), [(400, []), (500, ["request_failed"])])
async def test_an_error_that_was_answered_is_not_raised(status: int, logged: list[str]) -> None:
    with pytest.raises(ValueError, match="why"):
        await get(failing(status))
    with structlog.testing.capture_logs() as logs:
        answer = await get(AnsweredErrors(failing(status)))
    assert (answer.status_code, answer.json()) == (status, {"error": "why"})
    assert [entry["event"] for entry in logs] == logged


async def test_one_that_broke_off_its_answer_is() -> None:
    with pytest.raises(ValueError, match="why"):
        await get(AnsweredErrors(failing(500)), "/stream")
