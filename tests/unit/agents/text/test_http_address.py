"""Addresses of HTTP servers, which may hold secrets."""

import pytest

from k8gentai.agents.text.http_address import is_http_address, shown_address


@pytest.mark.parametrize("url", ["http://a", "https://a.test:1/b?c=d", "http://[::1]:8/mcp"])
def test_what_is_one(url: str) -> None:
    assert is_http_address(url)


NONE = ["", "a", "file:///a", "http://", "http://:8", "http://a:0", "http://a:99999", "http://["]
TIDIED_UP = [" http://a", "http://a/\n", "http://a b"]
"""What urllib makes addresses of, and httpx does not."""


@pytest.mark.parametrize("url", [*NONE, *TIDIED_UP])
def test_what_is_none(url: str) -> None:
    assert not is_http_address(url)


def test_no_secret_is_shown() -> None:
    assert shown_address("http://ada:hush@a.test:8/mcp?key=hush#hush") == "http://a.test:8/mcp"
    assert shown_address("http://[::1]:8") == "http://[::1]:8"
    assert shown_address("http://[hush") == "(no address)"
