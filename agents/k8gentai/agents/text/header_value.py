"""Credentials that are sent as HTTP headers."""


def header_value(value: str) -> str:
    """Return a credential as HTTP carries it: without the white space around it, with which files of secrets end.

    Args:
        value: the value as it was given.

    Raises:
        ValueError: no header has such characters (RFC 9110, section 5.5; libraries take ASCII alone). The message
            does not repeat the value.
    """
    stripped = value.strip()
    if not stripped.isascii() or not stripped.isprintable():
        raise ValueError("it has a line break, a control character or one beyond ASCII, and no HTTP header may")
    return stripped
