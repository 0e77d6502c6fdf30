"""The worker's log: one event a line on standard error, as JSON where no person is watching."""

import logging
import os
from contextlib import suppress
from typing import TextIO, cast

import structlog

_STANDARD_ERROR = 2


class LogFile:
    """A text file whose writing never fails: a line that cannot be written ends nothing, it is lost.

    Args:
        descriptor: the descriptor to write to, open for as long as the process.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def write(self, text: str) -> None:
        """Write all of a text."""
        left = text.encode(errors="replace")
        with suppress(OSError):
            while left:
                left = left[os.write(self._descriptor, left) :]

    def flush(self) -> None:
        """Do nothing: what was written is."""

    def isatty(self) -> bool:
        """Return whether a person watches."""
        return os.isatty(self._descriptor)


def open_log() -> LogFile:
    """Return what writes to standard error as it is now, whatever agents' code closes or redirects later."""
    try:
        return LogFile(os.dup(_STANDARD_ERROR))
    except OSError:  # Who started the worker closed it.
        return LogFile(os.open(os.devnull, os.O_WRONLY))


def configure_logs(file: TextIO | LogFile) -> None:
    """Set the log up. To be called again after the framework was imported: some set it up for themselves.

    Args:
        file: the file to write to.
    """
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer() if file.isatty() else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(cast(TextIO, file)),
        cache_logger_on_first_use=False,
    )
