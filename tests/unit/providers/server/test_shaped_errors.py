"""Errors of the host's routes have the OpenAI API's shape, and those of other APIs keep theirs."""

import json
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, StreamingResponse
from llama_stack.core.server.server import global_exception_handler

from k8gentai.providers import host
from k8gentai.providers.server.shaped_errors import ShapedErrors, shaped


def hosts() -> httpx.AsyncClient:
    """Return a client of an application that answers errors as the host does."""
    app = FastAPI()
    for kind in (RequestValidationError, host.HostError, Exception):
        app.exception_handler(kind)(global_exception_handler)

    @app.get("/models/{name}")
    async def model(name: str) -> None:
        raise host.ModelNotFoundError(name)

    @app.get("/files")
    async def files(limit: int) -> list[str]:
        if not limit:
            raise host.InvalidParameterError("limit", limit, "Must be >= 1.")
        return ["ünchanged"] * limit

    @app.post("/bills")
    async def bills(bill: dict[str, int]) -> int:
        return len(bill)

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        return StreamingResponse((part for part in ("a", "b")), 500, media_type="text/plain")

    @app.get("/broken")
    async def broken() -> StreamingResponse:
        async def parts() -> Any:
            yield "{"
            raise ValueError("why")

        return StreamingResponse(parts(), 500, media_type="application/json")

    return httpx.AsyncClient(transport=httpx.ASGITransport(ShapedErrors(app)), base_url="http://localhost")


@pytest.mark.parametrize("body", ['{"a":', "", "{'a': 1}"])
async def test_a_body_that_is_no_json_names_no_field(body: str) -> None:
    async with hosts() as http:
        answer = await http.post("/bills", content=body, headers={"content-type": "application/json"})
    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (400, None)
    assert error["message"] == ("The body is not valid JSON." if body else "Field required.")


@pytest.mark.parametrize(
    ("asked", "status", "message", "param", "code"),
    [
        (
            "GET /models/nope",
            404,
            "Model 'nope' not found. Use 'client.models.list()' to list available Models.",
            None,
            "not_found",
        ),
        ("GET /nothing", 404, "GET /nothing: Not Found", None, "not_found"),
        ("PUT /files", 405, "PUT /files: Method Not Allowed", None, "method_not_allowed"),
        (
            "GET /files?limit=many",
            400,
            "'limit': Input should be a valid integer, unable to parse string as an integer.",
            "limit",
            "invalid_value",
        ),
        ("GET /files?limit=0", 400, "Invalid value for 'limit': 0. Must be >= 1.", "limit", "invalid_value"),
    ],
)
async def test_an_error_of_the_host_is_whole(
    asked: str, status: int, message: str, param: str | None, code: str
) -> None:
    async with hosts() as http:
        answer = await http.request(*asked.split())
    assert answer.status_code == status
    error = {"message": message, "type": "invalid_request_error", "param": param, "code": code}
    assert answer.json() == {"error": error}
    assert answer.headers["content-length"] == str(len(answer.content))


async def test_what_is_no_json_error_is_left_as_it_is() -> None:
    async with hosts() as http:
        assert (await http.get("/files", params={"limit": 2})).json() == ["ünchanged"] * 2
        assert (await http.get("/stream")).text == "ab"
        with pytest.raises(ValueError, match="why"):
            await http.get("/broken")


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": "m", "type": "t", "param": None, "code": "c"}},
        {"error": {"detail": "d", "message": "m", "code": "c", "param": None}},
        {"error": {"code": 404, "message": "m", "status": "NOT_FOUND"}},
        {"type": "error", "error": {"type": "not_found_error", "message": "m"}},
        {"error": "m"},
        ["m"],
        None,
    ],
    ids=["whole", "classic", "google", "anthropic", "text", "list", "null"],
)
def test_errors_of_other_shapes_are_left_as_they_are(body: Any) -> None:
    sent = json.dumps(body).encode()
    assert shaped(404, sent, "GET /") == sent


def test_what_the_host_says_is_kept() -> None:
    told = json.loads(shaped(429, b'{"error": {"message": "m", "type": "t", "code": "429"}}', "GET /"))
    assert told == {"error": {"message": "m", "type": "t", "param": None, "code": "429"}}
    told = json.loads(shaped(500, bytes(JSONResponse({"detail": ["a", {"b": 1}]}).body), "GET /"))
    assert told["error"]["message"] == '["a",{"b":1}]'
    assert told["error"]["type"] == "server_error"
