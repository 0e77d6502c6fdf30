"""Nothing that Llama Stack's own tests pass with its builtin provider fails with ours, but what is named."""

import pytest

from tests.upstream.report import DOCUMENT, differences, document, markdown, reasons, without_parameters
from tests.upstream.sides import run_builtin, run_ours


@pytest.fixture(scope="module")
def builtin(tmp_path_factory):
    return run_builtin(tmp_path_factory.mktemp("builtin"))


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    return run_ours(tmp_path_factory.mktemp("ours"))


def test_what_differs_is_named(builtin, ours):
    assert without_parameters(differences(builtin, ours)) == sorted(reasons())


def test_the_documentation_says_what_was_measured(builtin, ours):
    shown = document(markdown(builtin, ours, reasons()))
    assert DOCUMENT.read_text() == shown, "write it anew: python -m tests.upstream"
