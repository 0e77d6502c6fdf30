"""The server's log: as the host prints it for a person; where no person is watching, one JSON object an event."""

import logging
import sys
from collections.abc import Iterator

import structlog
from rich.logging import RichHandler
from structlog.dev import ConsoleRenderer, plain_traceback
from structlog.stdlib import ProcessorFormatter


def tame_host_logs() -> None:
    """Have the host write a log that can be read by programs, or at least cheaply by people.

    The host lays out each event as a table, which takes a quarter of the server's time under load and breaks a
    turn's id off its line. Its own JSON loses tracebacks. To be called once the host has set its logging up.
    """
    if sys.stderr.isatty():
        _print_plain_tracebacks()
    else:
        _write_json_lines()


def _print_plain_tracebacks() -> None:
    """Have the host print plain tracebacks. Its own way prints every local variable and highlights each file of
    the stack as a whole: seconds for a model call that fails, in which the event loop answers nobody."""
    for _, handler in _handlers():
        if isinstance(handler, RichHandler):
            handler.rich_tracebacks = False
        for processor in getattr(handler.formatter, "processors", ()):
            if isinstance(processor, ConsoleRenderer):
                processor.exception_formatter = plain_traceback


def _write_json_lines() -> None:
    lines = logging.StreamHandler()
    lines.setFormatter(_json_formatter())
    for logger, handler in _handlers():
        if isinstance(handler, RichHandler):
            logger.removeHandler(handler)
            logger.addHandler(lines)


def _json_formatter() -> ProcessorFormatter:
    return ProcessorFormatter(
        foreign_pre_chain=[
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.processors.TimeStamper(fmt="iso"),
        ],
        processors=[
            ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
    )


def _handlers() -> Iterator[tuple[logging.Logger, logging.Handler]]:
    """Yield every handler there is, with its logger."""
    for name in (None, *logging.root.manager.loggerDict):
        logger = logging.getLogger(name)
        for handler in tuple(logger.handlers):
            yield logger, handler
