"""What a web page of others could send is refused; what else comes is not looked at twice."""

from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request
from starlette.types import Message

from k8gentai.workers.gateway.app import gateway
from k8gentai.workers.gateway.model_calls import OpenAttempts
from k8gentai.workers.http.web_pages import TransportSecurity, Trust

JSON = {"content-type": "application/json"}
OWN = "http://127.0.0.1:8321"


def guarded(trust: Trust | None = None, *, form: bool = False) -> Any:
    app = FastAPI()

    @app.api_route("/", methods=["GET", "HEAD", "POST", "DELETE", "OPTIONS"])
    async def echo(request: Request) -> str:
        return (await request.body()).decode()

    app.add_middleware(TransportSecurity, trust=trust, takes_form=lambda _: form)
    return app


async def asked(app: Any, method: str = "POST", url: str = OWN, **request: Any) -> int:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as client:
        return (await client.request(method, url, **request)).status_code


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "application/json; charset=utf-8",
        "Application/JSON;charset=UTF-8",
    ],
)
async def test_json_is_taken(content_type: str) -> None:
    assert await asked(guarded(), content=b"{}", headers={"content-type": content_type}) == 200


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "text/plain",
        "text/plain; application/json",
        "application/jsonp",
        "text/json",
        "application/reports+json",
        "application/merge-patch+json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
    ],
)
async def test_any_other_body_is_refused(content_type: str | None) -> None:
    headers = {"content-type": content_type} if content_type is not None else {}
    assert await asked(guarded(), content=b"{}", headers=headers) == 415
    assert await asked(guarded(), "DELETE", content=b"{}", headers=headers) == 415


async def test_a_body_of_unknown_length_is_a_body() -> None:
    async def body() -> Any:
        yield b"{}"

    assert await asked(guarded(), content=body(), headers={"content-type": "text/plain"}) == 415


async def test_no_body_needs_no_type() -> None:
    assert await asked(guarded()) == 200
    assert (
        await asked(guarded(), content=b"", headers={"content-type": "application/x-www-form-urlencoded"}) == 200
    )


async def test_a_route_of_files_takes_forms() -> None:
    form = {"content-type": "multipart/form-data; boundary=x"}
    assert await asked(guarded(form=True), content=b"--x--", headers=form) == 200
    assert await asked(guarded(form=True), content=b"{}", headers={"content-type": "text/plain"}) == 415


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": OWN},
        {"origin": OWN, "sec-fetch-site": "same-origin"},
        {"sec-fetch-site": "same-origin"},
        {"sec-fetch-site": "none"},
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_its_own_pages_and_programs_may_call(method: str, headers: dict[str, str]) -> None:
    assert await asked(guarded(), method, headers=headers) == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://elsewhere.example"},
        {"origin": "null"},
        {"origin": ""},
        {"origin": "http://["},
        {"origin": "http://[::1"},
        {"origin": "http://a]b"},
        {"origin": "http://127.0.0.1:8321\uff0f".encode()},
        {"origin": "http://127.0.0.1:3000", "sec-fetch-site": "same-site"},
        {"origin": "http://localhost:8321"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe"},
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"},
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "OPTIONS"])
async def test_pages_of_others_may_not(method: str, headers: dict[str, str]) -> None:
    assert await asked(guarded(), method, headers=headers) == 403


async def test_a_link_may_be_followed() -> None:
    link = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    assert await asked(guarded(), "GET", headers=link) == 200
    assert await asked(guarded(), "POST", headers=link) == 403


@pytest.mark.parametrize(
    "trust",
    [
        Trust(origins=["https://elsewhere.example"]),
        Trust(origins=["*"]),
        Trust(origin_pattern=r"https://\w+\.example"),
    ],
)
async def test_pages_that_are_allowed_may_call(trust: Trust) -> None:
    allowed = {"origin": "https://elsewhere.example", "sec-fetch-site": "cross-site"}
    assert await asked(guarded(trust), json={}, headers=allowed) == 200
    assert await asked(guarded(trust), content=b"{}", headers=allowed) == 415


async def test_an_allowed_origin_is_matched_whole() -> None:
    trust = Trust(origins=["https://a.example"], origin_pattern=r"https://b\.example")
    for origin in ("https://a.example.evil", "https://b.example.evil", "https://a.example:444"):
        assert await asked(guarded(trust), headers={"origin": origin}) == 403


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:80", "127.0.0.1:8321", "127.8.8.8", "[::1]:8321", "localhost."]
)
async def test_loopback_goes_by_its_own_names(host: str) -> None:
    assert await asked(guarded(), headers={"host": host}) == 200


@pytest.mark.parametrize(
    "host", ["elsewhere.example", "elsewhere.example:8321", "localhost.evil", "10.0.0.1", "", "[::1"]
)
async def test_and_by_no_other(host: str) -> None:
    """A page whose name was bound anew to loopback is of the same origin as the server, for its browser."""
    rebound = {"host": host, "origin": f"http://{host}", "sec-fetch-site": "same-origin"}
    assert await asked(guarded(), headers=rebound) == 421
    assert await asked(guarded(), "GET", headers={"host": host}) == 421


@pytest.mark.parametrize(
    "host",
    [
        "localhost/.evil.com",
        "localhost#.evil.com",
        "localhost?.evil.com",
        "evil.com@127.0.0.1",
        "localhost\\.evil.com",
        "localhost:80:80",
        "localhost:eight",
        "localhost evil.com",
        "localhost,evil.com",
        "evil%2ecom",
        "[::1",
        "[::1]evil.com",
        "[localhost]",
        "[127.0.0.1]",
        "::1",
    ],
)
@pytest.mark.parametrize("server", ["127.0.0.1", "172.17.0.2"])
async def test_what_is_no_host_is_refused(server: str, host: str) -> None:
    assert await on(server, host) == 421
    assert await on(server, host, Trust(hosts=["*"])) == 421


async def test_a_client_without_a_host_is_no_browser() -> None:
    answered: list[int] = []

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            answered.append(message["status"])

    scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": []}
    await guarded()({**scope, "server": ("127.0.0.1", 8321)}, receive, send)
    assert answered == [200]


async def test_names_can_be_allowed() -> None:
    trust = Trust(hosts=["stack.example"])
    assert await asked(guarded(trust), url="http://stack.example:8321") == 200
    assert await asked(guarded(trust), url=OWN) == 200
    assert await asked(guarded(trust), url="http://elsewhere.example") == 421
    assert await asked(guarded(Trust(hosts=["*"])), headers={"host": "elsewhere.example"}) == 200


async def test_a_server_that_asks_who_calls_goes_by_any_name() -> None:
    assert await asked(guarded(Trust(authenticated=True)), headers={"host": "elsewhere.example"}) == 200


async def on(server: str, host: str, trust: Trust | None = None) -> int:
    app = guarded(trust)

    async def came_to(scope: Any, receive: Any, send: Any) -> None:
        await app({**scope, "server": (server, 8321)}, receive, send)

    return await asked(came_to, headers={"host": host})


@pytest.mark.parametrize(
    "host",
    [
        "10.0.0.1",
        "10.0.0.1:8321",
        "[fd00::1]:8321",
        "localhost:8321",
        "server:8321",
        "stack.agents.svc.cluster.local",
        "stack.agents.svc:8321",
        "host.docker.internal:8321",
        "box.home.arpa",
    ],
)
async def test_a_server_on_a_network_goes_by_names_that_no_page_can_have(host: str) -> None:
    """A published port of a container is one: the browser's loopback is another address inside."""
    assert await on("172.17.0.2", host) == 200


@pytest.mark.parametrize(
    "host", ["elsewhere.example", "10.0.0.1.nip.io:8321", "local.example", "arpa.example", ""]
)
async def test_and_by_none_that_could_be_bound_to_it(host: str) -> None:
    assert await on("172.17.0.2", host) == 421
    assert await on("172.17.0.2", host, Trust(authenticated=True)) == 200


async def test_a_server_on_a_network_can_be_given_names() -> None:
    trust = Trust(hosts=["stack.example"])
    assert await on("172.17.0.2", "stack.example:8321", trust) == 200
    assert await on("172.17.0.2", "server:8321", trust) == 200
    assert await on("172.17.0.2", "elsewhere.example", trust) == 421


@pytest.mark.parametrize(
    ("server", "expected"),
    [("127.0.0.1", 421), ("::1", 421), ("::ffff:127.0.0.1", 421), ("::ffff:10.0.0.1", 200), ("10.0.0.1", 200)],
)
async def test_loopback_is_known_in_each_of_its_forms(server: str, expected: int) -> None:
    """A socket of both families shows clients of the older one by mapped addresses."""
    assert await on(server, "server:8321") == expected


async def test_the_gateway_of_models_is_protected() -> None:
    nothing_gets_that_far: Any = None
    app = gateway(OpenAttempts(OWN), nothing_gets_that_far)
    url = f"{OWN}/v1/chat/completions"
    assert await asked(app, url=url, content=b"{}", headers={"content-type": "text/plain"}) == 415
    assert await asked(app, url=url, json={}, headers={"origin": "https://elsewhere.example"}) == 403
    assert await asked(app, url=url, json={}, headers={"host": "elsewhere.example"}) == 421
    assert await asked(app, url=url, json={}) == 401
