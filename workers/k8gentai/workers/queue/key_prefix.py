"""The prefix of every key and channel, by which several stacks can share one Redis.

``AMF_KEY_PREFIX`` is read once, when the process first imports this; servers, workers and the command of one stack
are given the same. With a hash tag in it (``{prod}:``) all keys lie in one slot, as a Redis Cluster wants them.
"""

import os
import re
from typing import Final

PREFIX: Final = os.environ.get("AMF_KEY_PREFIX", "")

_FORM: Final = re.compile(r"(?!.*(?:amf:|rq:))[\w.:-]*(?:\{[\w.:-]+\})?[\w.:-]*:|", re.ASCII)
"""Nothing that is special in Lua or in patterns of keys; one that holds ``amf:`` might be part of others' keys."""
_MOST: Final = 64
_TAG: Final = re.compile(r"\{[^}]+\}")


def fault_of(prefix: str) -> str | None:
    """Return what is wrong with a prefix, for a person; None where nothing is."""
    if len(prefix) <= _MOST and _FORM.fullmatch(prefix):
        return None
    return (
        f"AMF_KEY_PREFIX cannot be {prefix!r}: it is letters, digits, '.', '_', '-' and ':', at most one part of "
        f"it in braces, with ':' at its end, {_MOST} characters at most, and holds neither 'amf:' nor 'rq:'"
    )


def has_tag(prefix: str) -> bool:
    """Return whether all keys behind a prefix lie in one slot of a Redis Cluster."""
    return _TAG.search(prefix) is not None
