"""The consoles that the command prints to, and its words for faults that a person can mend."""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn, TextIO

import typer
from rich.console import Console
from rich.markup import escape
from rich.status import Status

_COLUMNS = 1_000
"""More than a line has that nobody reads at a terminal."""

# What agents and paths have between two colons is none of ours to draw.
out = Console(emoji=False)
err = Console(stderr=True, emoji=False)


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Print errors that a person can mend in one line, and end with exit code 1."""
    from k8gentai.stack.environments.installed import SetUpError

    try:
        yield
    except SetUpError as error:
        fail(str(error))
    except OSError as error:
        if error.errno == errno.ENOSPC:
            fail(f"The disk is full ({error.filename or Path.cwd()}): make room and try again.")
        fail(str(error))


def print_whole_lines(console: Console) -> None:
    """Have lines cut or broken at a terminal only, so that what reads them elsewhere finds them whole."""
    if not console.is_terminal:
        console.width = _COLUMNS


@contextmanager
def perhaps_unread() -> Iterator[None]:
    """Print what nobody may be there to read: the terminal was closed, or the reader of a pipe has ended. No more
    can be printed then, and what the command does goes on.
    """
    try:
        yield
    except (OSError, SystemExit):
        # SystemExit is what rich makes of a broken pipe.
        for file in (sys.stdout, sys.stderr):
            _discard_unread(file)


def _discard_unread(file: TextIO) -> None:
    """Have a file that cannot be written to take what is printed: else Python's own end fails of it."""
    try:
        file.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, file.fileno())
        os.close(nowhere)


@contextmanager
def progress(console: Console, what: str) -> Iterator[Status]:
    """Show at a terminal what goes on, for as long as it lasts; whether or not it can be shown.

    Yields:
        What shows it, to be updated.
    """
    status = console.status(what)
    with perhaps_unread():
        status.start()
    try:
        yield status
    finally:
        with perhaps_unread():
            status.stop()


def fail(message: str) -> NoReturn:
    """Print what is wrong, and end with exit code 1."""
    with perhaps_unread():
        err.print(f"[red]{escape(message)}[/]", highlight=False, soft_wrap=True)
    raise typer.Exit(1)
