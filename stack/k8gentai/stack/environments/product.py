"""The product: where its data is, where its environments are made, and how it is put into one.

It is a clone of the repository, or what a wheel installed. In both, ``data`` has ``stack/run.yaml``,
``stack/apis.d``, ``locks`` and ``examples``. Like :mod:`k8gentai.stack.environments.installed` it needs the
standard library alone.
"""

import hashlib
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import Distribution, PackageNotFoundError, PackagePath
from pathlib import Path
from typing import Protocol

_PACKAGE = Path(__file__).resolve().parents[1]


class SetUpError(Exception):
    """Something k8gentai needs cannot be had. The message is one line for a person."""


class Uv(Protocol):
    """Runs uv with these arguments; raises a :class:`SetUpError` where it fails."""

    def __call__(self, *arguments: str) -> None: ...


@dataclass(frozen=True)
class Clone:
    """A clone of the repository, whose environments are in it and run the code that is in it.

    Args:
        data: the root of the repository.
    """

    data: Path
    up = "./scripts/up"
    """The command that a person types to start everything."""
    update = "./scripts/update-registry"
    """The command that a person types to write the registry."""

    @property
    def environments(self) -> Path:
        """The directory that environments are made in."""
        return self.data / ".venvs"

    def identity(self) -> bytes:
        """Return what changes when an environment has to be made again: how the package is built, and where the
        clone lies (the paths in an environment are absolute)."""
        parts = (self.data / "locks" / "build.txt", self.data / "pyproject.toml")
        return b"\0".join([os.fsencode(self.data), *(part.read_bytes() for part in parts)])

    def put_into(self, environment: Path, uv: Uv) -> None:
        """Install the package into an environment, as one that is edited in the clone.

        Raises:
            SetUpError: uv failed.
        """
        python, build = environment / "bin" / "python", self.data / "locks" / "build.txt"
        options = ("--no-deps", "--python", str(python), "--build-constraints", str(build))
        uv("pip", "install", *options, "--editable", str(self.data))


@dataclass(frozen=True)
class Wheel:
    """A product that a wheel installed. Its environments are in this user's cache, and have a copy of its files:
    no index need have k8gentai.

    Args:
        data: the directory of its data within the package.
    """

    data: Path
    up = "k8gentai up"
    update = "k8gentai agents update"

    @cached_property
    def environments(self) -> Path:
        """The directory that environments are made in: one for each version, and each build of it.

        Raises:
            SetUpError: there is no record of what was installed.
        """
        build = hashlib.sha256(self.identity()).hexdigest()[:8]
        return cache_directory() / "k8gentai" / f"{self._distribution.version}-{build}"

    def identity(self) -> bytes:
        """Return what changes with any file of the product.

        Raises:
            SetUpError: there is no record of what was installed.
        """
        hashes = (f"{file} {file.hash.value if file.hash else ''}" for file in self._files() if _is_code(file))
        return "\n".join(sorted(hashes)).encode()

    def put_into(self, environment: Path, uv: Uv) -> None:
        """Copy the installed files into an environment.

        Raises:
            SetUpError: there is no record of what was installed.
            OSError: they cannot be copied.
        """
        packages = next(environment.glob("lib/python3*/site-packages"))
        for file in self._files():
            target = packages / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(str(file.locate()), target)

    @cached_property
    def _distribution(self) -> Distribution:
        try:
            return Distribution.from_name("k8gentai")
        except PackageNotFoundError as error:
            raise SetUpError(f"k8gentai in {_PACKAGE} was not installed: install its wheel.") from error

    def _files(self) -> Iterator[PackagePath]:
        """Yield the installed files, but for bytecode and the command, which belong to their interpreter."""
        files = self._distribution.files
        if not files:
            raise SetUpError(f"There is no record of what k8gentai in {_PACKAGE} is: install its wheel again.")
        return (file for file in files if ".." not in file.parts and file.suffix != ".pyc")


def cache_directory() -> Path:
    """Return where the platform keeps what a user's programs can make again."""
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    named = Path(os.environ.get("XDG_CACHE_HOME", ""))
    # A relative one is to be ignored: https://specifications.freedesktop.org/basedir-spec
    return named if named.is_absolute() else Path.home() / ".cache"


def _is_code(file: PackagePath) -> bool:
    return file.parts[0] == "k8gentai"


def _found() -> Clone | Wheel:
    resources = _PACKAGE / "resources"
    return Wheel(resources) if resources.is_dir() else Clone(_PACKAGE.parents[2])


PRODUCT = _found()
"""The one that this process runs."""
