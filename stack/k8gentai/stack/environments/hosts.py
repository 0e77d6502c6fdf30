"""The servers that carry our provider: Llama Stack, and OGX, as it is called since its 0.8."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from k8gentai.stack.environments.installed import PRODUCT, SetUpError, interpreter_for
from k8gentai.stack.environments.private_folders import make_private

RUN_YAML = PRODUCT.data / "stack" / "run.yaml"
APIS = PRODUCT.data / "stack" / "apis.d"
"""The directory that is the run YAML's ``external_apis_dir``, wherever a server is started."""


@dataclass(frozen=True)
class Host:
    """One of them.

    Args:
        name: the host's name, for persons and for its environment.
        run: the host's command that runs a YAML.
        data: where its SQLite files are, under the state directory. Neither host can write those of the other.
    """

    name: str
    run: tuple[str, ...]
    data: str

    def prepare(self, state: Path) -> None:
        """Name to the server what its run YAML asks for: in ``AMF_APIS_DIR`` the external APIs, and in
        ``SQLITE_STORE_DIR``, unless it names one, the directory of its SQLite files, which is made.

        Args:
            state: the directory in which all is kept.

        Raises:
            OSError: it cannot be made.
        """
        if named := os.environ.get("SQLITE_STORE_DIR"):
            data = Path(named)
            data.mkdir(parents=True, exist_ok=True)
        else:
            data = state / self.data
            make_private(data)
        os.environ["SQLITE_STORE_DIR"] = str(data)
        os.environ["AMF_APIS_DIR"] = os.environ.get("AMF_APIS_DIR") or str(APIS)

    def command(self, port: int, say: Callable[[str], None], run_yaml: Path = RUN_YAML) -> list[str]:
        """Return what serves a run YAML; the host's environment is made first where needed.

        Args:
            port: the port on which it listens.
            say: is told what takes a while.
            run_yaml: the run YAML to serve.

        Raises:
            SetUpError: its environment cannot be made.
        """
        program, *arguments = self.run
        found = interpreter_for(self.name, say).with_name(program)
        return [str(found), *arguments, str(run_yaml), "--port", str(port)]


HOSTS = {
    host.name: host
    for host in (
        Host("llama-stack", ("llama", "stack", "run"), "stack"),
        Host("ogx", ("ogx", "run"), "ogx"),
    )
}
"""The hosts by name; the first is the usual one."""


def host_named(name: str) -> Host:
    """Return the host of that name.

    Raises:
        SetUpError: there is none.
    """
    if name not in HOSTS:
        raise SetUpError(f"There is no host '{name}'. There are: {', '.join(HOSTS)}.")
    return HOSTS[name]
