"""Addresses of HTTP servers, which may hold secrets in their user, password and query."""

from urllib.parse import urlsplit


def is_http_address(url: str) -> bool:
    """Return whether a text is the address of an HTTP server: with a host, and with no port that is none."""
    try:
        address = urlsplit(url)
        return address.scheme in ("http", "https") and bool(address.hostname) and address.port != 0
    except ValueError:
        return False


def shown_address(url: str) -> str:
    """Return an address without what may be a secret in it: its user, password, query and fragment."""
    address = urlsplit(url)
    return address._replace(netloc=address.netloc.rpartition("@")[2], query="", fragment="").geturl()
