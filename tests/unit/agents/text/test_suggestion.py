"""The name that was meant by one that does not exist."""

from k8gentai.agents.text.suggestion import did_you_mean


def test_the_nearest_name_is_suggested_where_one_is_near() -> None:
    assert did_you_mean("clark", ["desk", "clerk"]) == "; did you mean 'clerk'?"
    assert did_you_mean("clark", ["desk"]) == ""


def test_a_name_that_is_nobodys_is_not_compared() -> None:
    assert did_you_mean("clerk" * 100, ["clerk" * 99]) == ""
