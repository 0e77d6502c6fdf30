"""Where the command prints, and how it tells of what a person can mend."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import typer
from rich.console import Console
from rich.markup import escape

_COLUMNS = 1_000
"""More than a line has that nobody reads at a terminal."""

# What agents and paths have between two colons is none of ours to draw.
out = Console(emoji=False)
err = Console(stderr=True, emoji=False)


@contextmanager
def one_line_errors() -> Iterator[None]:
    """What a person can mend is told in one line, and the exit code is 1."""
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


def fail(message: str) -> NoReturn:
    """Print what is wrong, and end with exit code 1."""
    err.print(f"[red]{escape(message)}[/]", highlight=False, soft_wrap=True)
    raise typer.Exit(1)
