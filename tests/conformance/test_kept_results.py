"""What a tool returned comes back as what it was, while a person is asked about it, in each framework."""

import subprocess

import pytest

from k8gentai.stack.environments.frameworks import python_of
from tests.support.processes import ROOT


@pytest.mark.parametrize("name", ["crewai", "ag2", "beeai"])
def test_what_is_kept_of_a_result_makes_the_same_one(name):
    command = [str(python_of(name, print)), "-m", f"tests.conformance.kept.{name}"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
