"""A pytest plugin for Llama Stack's tests: tells the recorded model which test is running."""

import os
import urllib.request

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    request = urllib.request.Request(os.environ["RECORDED_MODEL_TEST"], item.nodeid.encode())
    urllib.request.urlopen(request, timeout=10).close()
