"""The YAML files under a directory of resources."""

from collections.abc import Iterator
from pathlib import Path

from k8gentai.agents.text.utf8 import encodable


def yaml_files(directory: Path) -> list[Path]:
    """Return every ``*.yaml`` and ``*.yml`` under a directory once, in order. Links are followed.

    Raises:
        NotADirectoryError: there is no such directory.
    """
    if not directory.is_dir():
        hint = "AMF_AGENTS names one directory, in which links to others are followed"
        raise NotADirectoryError(f"{directory}: no such directory of agent definitions ({hint})")
    found = (path for path in _files(directory, set()) if path.suffix in {".yaml", ".yml"} and path.is_file())
    # The shortest path is what a person looks for: Kubernetes mounts files as links into hidden directories.
    once = {path.resolve(): path for path in sorted(found, key=lambda path: len(path.parts), reverse=True)}
    return sorted(once.values())


def shown_path(path: Path) -> str:
    """Return the path as a person would name it: from the working directory, if it is below."""
    try:
        return encodable(str(path.resolve().relative_to(Path.cwd())))
    except ValueError:
        return encodable(str(path))


def _files(directory: Path, entered: set[Path]) -> Iterator[Path]:
    """Yield what is under a directory and is none, each directory being entered once."""
    if (real := directory.resolve()) in entered:
        return
    entered.add(real)
    for path in sorted(_listed(directory)):
        if path.is_dir():
            yield from _files(path, entered)
        else:
            yield path


def _listed(directory: Path) -> list[Path]:
    """Return what is in a directory; nothing where that must not be read, as in a file system's ``lost+found``."""
    try:
        return [*directory.iterdir()]
    except PermissionError:
        return []
