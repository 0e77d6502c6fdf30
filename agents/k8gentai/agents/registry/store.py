"""The port to the place where the registry is kept, which each kind of place implements."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


class NoRegistryError(OSError):
    """Nothing was ever kept there."""


class RegistryReplacedError(OSError):
    """Another writer replaced the registry since it was read."""


@dataclass(frozen=True)
class Stored:
    """The registry as it was kept."""

    version: object
    """Another one whenever the registry is replaced."""
    content: bytes
    written_at: float
    """Unix time in seconds."""


class RegistryStore(Protocol):
    """A place where one registry is kept."""

    @property
    def name(self) -> str:
        """The place as a person names it."""

    @property
    def directory(self) -> Path | None:
        """The directory that paths in the registry may be relative to; None where there is none."""

    def look(self, seen: object) -> Stored | None:
        """Return what is kept, if that is another version than the one seen; None where it is the same one.

        It does not wait for anything far away: servers and workers look for every turn.

        Args:
            seen: a :attr:`Stored.version`, or None.

        Raises:
            NoRegistryError: nothing was ever kept.
            OSError: the place is out of reach, or what is there is no registry.
        """

    def refresh(self) -> None:
        """Have the next `look` see what is kept now. It may wait, and raises nothing: `look` does."""

    def claim(self) -> AbstractContextManager[None]:
        """See that the place is in reach, and keep other writers away while the context is open, where it can.

        Raises:
            OSError: it is not, or another writer does not end.
        """

    def write(self, content: str, over: object) -> None:
        """Replace what is kept as a whole.

        Args:
            content: the content to keep.
            over: the version that is to be replaced, None for none; ignored where `claim` keeps others away.

        Raises:
            RegistryReplacedError: there is another version by now.
            OSError: it cannot be written. In each case what was kept stands.
        """
