"""Standard output and error of a process that many agents share: no code of theirs closes them for the others."""

import io
import logging
import sys
from contextlib import suppress


class _StandardStream(io.TextIOWrapper):
    """A standard stream that closing leaves open."""

    def close(self) -> None:
        """Write out what is in it."""
        with suppress(OSError, ValueError):
            self.flush()


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


def _kept(stream: io.TextIOWrapper) -> _StandardStream:
    stream.flush()
    return _StandardStream(
        # An unbuffered stream writes at once, as ``PYTHONUNBUFFERED`` asks for.
        open(stream.fileno(), "wb", buffering=0 if stream.write_through else -1, closefd=False),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )
