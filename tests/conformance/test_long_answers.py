"""A long answer in many pieces costs what its length is."""

import subprocess

from k8gentai.stack.environments.frameworks import python_of
from tests.support.processes import ROOT


def test_beeai_reads_the_pieces_of_an_answer_without_reading_all_before_them_again():
    command = [str(python_of("beeai", print)), "-m", "tests.conformance.long_answers"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
