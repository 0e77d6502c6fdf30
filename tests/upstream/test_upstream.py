"""Nothing that Llama Stack's own tests pass with its builtin provider fails with ours, but what is named."""

import pytest

from tests.upstream.outcomes import differences, reasons, without_parameters
from tests.upstream.sides import run_builtin, run_ours


@pytest.fixture(scope="module")
def builtin(tmp_path_factory):
    return run_builtin(tmp_path_factory.mktemp("builtin"))


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    return run_ours(tmp_path_factory.mktemp("ours"))


def test_what_differs_is_named(builtin, ours):
    assert without_parameters(differences(builtin, ours)) == reasons().keys()
