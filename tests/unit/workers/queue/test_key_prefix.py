"""What may stand before every key."""

import pytest

from k8gentai.workers.queue import keys
from k8gentai.workers.queue.key_prefix import fault_of, has_tag


@pytest.mark.parametrize(
    ("prefix", "tag"),
    [("", False), ("prod:", False), ("{prod}:", True), ("eu.{prod-1}_a:", True), ("a:b:", False)],
)
def test_a_prefix_may_have_a_hash_tag(prefix, tag):
    assert fault_of(prefix) is None
    assert has_tag(prefix) is tag


@pytest.mark.parametrize(
    "prefix",
    [
        "prod",
        "a'b:",
        "a*:",
        "a b:",
        "{}:",
        "{a}{b}:",
        "{a:",
        "é:",
        "amf:",
        f"x:{keys.RQ_QUEUES}:",
        "x" * 64 + ":",
        "a:\n",
    ],
)
def test_others_are_refused(prefix):
    assert "AMF_KEY_PREFIX cannot be" in str(fault_of(prefix))
