"""Standard input, output and error of a process that many agents share: none of them closes them for the others.

A descriptor that is free becomes the next connection's: what is printed would go into another turn's request.
"""

import builtins
import io
import logging
import sys
from abc import ABCMeta
from collections.abc import Callable
from contextlib import suppress
from functools import update_wrapper
from operator import index
from typing import IO, Any

STANDARD_FILES = frozenset({0, 1, 2})
"""The descriptors."""
_PYTHONS = io.FileIO
"""The class of the files that Python itself opens."""


class _File(io.FileIO):
    """The file under a standard stream, which closing leaves open."""

    def close(self) -> None:
        """Do nothing."""


class _Buffer(io.BufferedWriter):
    """The buffer of a standard stream, which closing leaves open and in its place."""

    def close(self) -> None:
        """Write out what is in it."""
        _write_out(self)

    def detach(self) -> Any:
        """Write out what is in it. Returns the file under it."""
        _write_out(self)
        return self.raw


class _StandardStream(io.TextIOWrapper):
    """A standard stream that closing leaves open, and that goes on where code takes its buffer for another."""

    def close(self) -> None:
        """Write out what is in it."""
        _write_out(self)

    def detach(self) -> Any:
        """Write out what is in it. Returns its buffer."""
        _write_out(self)
        return self.buffer


def _write_out(stream: io.TextIOWrapper | io.BufferedWriter) -> None:
    with suppress(OSError, ValueError):
        stream.flush()


def keep_streams_open() -> None:
    """Put streams that stay open in the place of the process's. To be called before agents are imported, once."""
    # Python's own handlers write to what agents' code may have put there, and would raise where that fails.
    logging.raiseExceptions = False
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        # It has none where who started the process closed it.
        if stream is not None:
            kept = _kept(stream)
            setattr(sys, name, kept)
            setattr(sys, f"__{name}__", kept)
    _keep_files_open()


def _keep_files_open() -> None:
    """Have files that are opened by a standard descriptor's number leave it open when they are closed."""
    io.open = builtins.open = _Open(io.open)  # type: ignore[assignment]
    io.FileIO = _NumberedFile  # type: ignore[misc]


class _Open:
    """Python's ``open``; as that, no function, which a class that has it as an attribute would make a method.

    Args:
        original: the ``open`` that was there, which closes what it is told to.
    """

    def __init__(self, original: Callable[..., IO[Any]]) -> None:
        update_wrapper(self, original)
        self._original = original

    def __call__(
        self,
        file: Any,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        closefd: bool = True,
        opener: Any = None,
    ) -> IO[Any]:
        closes = closefd and not _is_standard(file)
        return self._original(file, mode, buffering, encoding, errors, newline, closes, opener)


class _FileType(ABCMeta):
    """The type of the class that takes the place of ``FileIO``: what Python opens itself is of the original."""

    def __instancecheck__(cls, instance: Any) -> bool:
        return super().__instancecheck__(instance) or (cls is _NumberedFile and isinstance(instance, _PYTHONS))

    def __subclasscheck__(cls, subclass: type) -> bool:
        return super().__subclasscheck__(subclass) or (cls is _NumberedFile and issubclass(subclass, _PYTHONS))


class _NumberedFile(io.FileIO, metaclass=_FileType):
    """Python's ``FileIO``."""

    def __init__(self, file: Any, mode: str = "r", closefd: bool = True, opener: Any = None) -> None:
        super().__init__(file, mode, closefd and not _is_standard(file), opener)


def _is_standard(file: Any) -> bool:
    # Python takes a number of any type, as numpy's.
    return hasattr(file, "__index__") and index(file) in STANDARD_FILES


def _kept(stream: io.TextIOWrapper) -> _StandardStream:
    stream.flush()
    file = _File(stream.fileno(), "wb", closefd=False)
    return _StandardStream(
        # An unbuffered stream writes at once, as ``PYTHONUNBUFFERED`` asks for.
        file if stream.write_through else _Buffer(file),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )
