"""What tests with real processes share: the scripted model, and what a failure shows."""

import signal
import uuid

import pytest

from tests.scripted import ScriptedModel


def pytest_configure():
    # A run that is ended, as CI's time limit does, stops its processes as one that is interrupted does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def pytest_collection_modifyitems(items):
    # Of several test processes (--dist loadgroup), one runs what shares a stack or else a file.
    for item in items:
        group = item.path.name
        if "stack" in item.fixturenames:
            of = item.callspec.params
            group = f"stack of {of['framework'] if 'framework' in of else of['host'].name}"
        item.add_marker(pytest.mark.xdist_group(group))


@pytest.fixture(scope="session")
def model():
    """The scripted model of all tests."""
    server = ScriptedModel()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def key():
    """A name for this test's script: ``[[key]]`` in a prompt makes the model answer by it."""
    return f"k{uuid.uuid4().hex[:12]}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Show the processes' logs with a failure."""
    report = yield
    if report.failed:
        for name in ("own_stack", "stack"):
            if name in getattr(item, "funcargs", {}):
                report.sections.append((f"logs of {name}", item.funcargs[name].logs()))
    return report
