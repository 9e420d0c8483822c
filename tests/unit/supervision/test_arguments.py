import pytest

from omnitron.supervision.light.arguments import parse


def test_words_options_flags() -> None:
    arguments = ["x.service", "--user", "--record", "/run/x.crashes", "--budget", "5:60000"]
    assert parse(arguments, flags=["--user"]) == (
        ["x.service"],
        {"--user": "yes", "--record": "/run/x.crashes", "--budget": "5:60000"},
        [],
    )


def test_a_value_may_look_like_an_option() -> None:
    assert parse(["--record", "--budget"]) == ([], {"--record": "--budget"}, [])


def test_the_rest_is_not_looked_at() -> None:
    arguments = ["--timeout-ms", "5", "--command", "pg_isready", "--host", "db"]
    assert parse(arguments, rest=["--command"]) == (
        [],
        {"--timeout-ms": "5", "--command": ""},
        ["pg_isready", "--host", "db"],
    )


def test_a_missing_value_is_refused() -> None:
    with pytest.raises(ValueError, match="--record needs a value"):
        parse(["x.service", "--record"])
