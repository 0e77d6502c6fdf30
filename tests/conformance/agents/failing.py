"""A tool that fails after it has done what it is for."""

from pathlib import Path


class UnsentError(RuntimeError):
    """Nothing was sent, as far as is known. It has more to it than its words."""

    def __init__(self, why: str) -> None:
        super().__init__("unsent")
        self.why = why


def fail_first(path: str, line: str) -> None:
    """Fail where the line says so, until it stands in the file twice.

    Raises:
        UnsentError
    """
    if line == "failing" and len(Path(path).read_text().splitlines()) < 2:
        raise UnsentError("out of paper")
