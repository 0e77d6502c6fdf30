"""Addresses of HTTP servers, which may hold secrets in their user, password and query."""

import re
from urllib.parse import urlsplit

_ADDRESS = re.compile(r"https?://[^\s'\"<>]+")


def is_http_address(url: str) -> bool:
    """Return whether a text is the address of an HTTP server: with a host, and with no port that is none."""
    if not url.isprintable() or " " in url:
        return False
    try:
        address = urlsplit(url)
        return address.scheme in ("http", "https") and bool(address.hostname) and address.port != 0
    except ValueError:
        return False


def shown_address(url: str) -> str:
    """Return an address without what may be a secret in it: its user, password, query and fragment."""
    try:
        address = urlsplit(url)
    except ValueError:
        return "(no address)"
    return address._replace(netloc=address.netloc.rpartition("@")[2], query="", fragment="").geturl()


def with_shown_addresses(words: str) -> str:
    """Return words, as of an error, whose addresses show no secret."""
    return _ADDRESS.sub(lambda found: shown_address(found[0]), words)
