"""The process that a turn runs in, apart from the children that its agent's code forks."""

import os


class ForkedCallError(RuntimeError):
    """A tool was called in a forked child of the process that its turn runs in."""


class HomeProcess:
    """The process in which this is made."""

    def __init__(self) -> None:
        self._process = os.getpid()

    def check(self, name: str) -> None:
        """Refuse a call in a forked child: what would record it, approve it or answer it does not run there.

        Args:
            name: the tool, for the error.

        Raises:
            ForkedCallError: this is another process.
        """
        if os.getpid() != self._process:
            raise ForkedCallError(
                f"{name} was called in a child process, where calls of tools cannot be approved or recorded: call "
                "it in the agent's own process or a thread of it (ThreadPoolExecutor), and let processes compute"
            )
