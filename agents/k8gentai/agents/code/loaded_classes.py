"""Finds classes by their names among what is loaded, and imports nothing."""

import sys
from typing import Any


def loaded_class(name: str) -> type[Any]:
    """Return the class of a name, where its module is imported.

    Args:
        name: ``module:qualified.name``.

    Raises:
        LookupError: there is none.
    """
    module, _, path = name.partition(":")
    found: Any = sys.modules.get(module)
    for part in path.split("."):
        # A module's own __getattr__ may import what it is asked for.
        found = getattr(found, "__dict__", {}).get(part)
    if not isinstance(found, type):
        raise LookupError(f"what this tool returned is of the class {name}, which is not loaded now")
    return found
