from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnitron.definition.ecosystem import Supervision
from omnitron.definition.process import Backoff, RestartPolicy
from omnitron.planner.resolve.restarts import Restarts, resolve
from tests.support.build import bootstrap, planned, shop

DEFAULT = Restarts(True, "on-failure", 5, 60_000, Backoff())
OUTER = {"type": "linear", "initial": 200, "max": 5000, "factor": 3}


def test_the_reference_defaults() -> None:
    assert resolve(Supervision(), []) == DEFAULT
    assert resolve(Supervision(), [None, RestartPolicy()]) == DEFAULT
    assert (DEFAULT.budget_text, DEFAULT.backoff_text) == ("5:60000", "exponential:1000:30000:2")


FIELDS: list[tuple[dict[str, Any], str, Any]] = [
    ({"enabled": False}, "enabled", False),
    ({"restart": "always"}, "restart", "always"),
    ({"max_restarts": 0}, "max_restarts", 0),
    ({"window": 0}, "window", 0),
    ({"delay": 500}, "backoff", Backoff(type="fixed", initial=500, max=500)),
    ({"delay": 500, "backoff": Backoff(factor=4)}, "backoff", Backoff(**{**OUTER, "factor": 4})),
    ({"backoff": Backoff(initial=1)}, "backoff", Backoff(**{**OUTER, "initial": 1})),
    ({"backoff": Backoff(type="fixed", max=9)}, "backoff", Backoff(**{**OUTER, "type": "fixed", "max": 9})),
    ({"backoff": Backoff()}, "backoff", Backoff(**OUTER)),
]


@pytest.mark.parametrize(("policy", "field", "value"), FIELDS)
def test_a_policy_overrides_one_field_and_keeps_the_others(policy: dict[str, Any], field: str, value: Any) -> None:
    supervision = Supervision(max_restarts=3, window=1000, backoff=Backoff(**OUTER))
    expected = {
        "enabled": True,
        "restart": "on-failure",
        "max_restarts": 3,
        "window": 1000,
        "backoff": Backoff(**OUTER),
    }
    resolved = resolve(supervision, [RestartPolicy(**policy)])
    assert {name: getattr(resolved, name) for name in expected} == expected | {field: value}


def test_the_innermost_level_that_says_something_wins() -> None:
    app, process = RestartPolicy(max_restarts=1, window=10, delay=5), RestartPolicy(max_restarts=2, restart="always")
    resolved = resolve(Supervision(max_restarts=9, window=9), [app, process])
    assert resolved == Restarts(True, "always", 2, 10, Backoff(type="fixed", initial=5, max=5))


policies = st.builds(
    RestartPolicy,
    enabled=st.none() | st.booleans(),
    restart=st.sampled_from([None, "on-failure", "always"]),
    max_restarts=st.none() | st.integers(0, 9),
    window=st.none() | st.integers(0, 9),
)


@given(st.lists(st.none() | policies, max_size=4))
def test_each_field_is_that_of_the_last_policy_that_has_it(levels: list[RestartPolicy | None]) -> None:
    resolved = resolve(Supervision(), levels)
    for field in ("enabled", "restart", "max_restarts", "window"):
        said = [getattr(level, field) for level in levels if level and getattr(level, field) is not None]
        assert getattr(resolved, field) == [getattr(DEFAULT, field), *said][-1]


@pytest.mark.parametrize(
    ("policy", "has_delay"),
    [
        ({}, True),
        ({"delay": 1}, True),
        ({"delay": 0}, False),
        ({"backoff": Backoff(initial=0)}, False),
        ({"enabled": False}, False),
        ({"restart": "always"}, True),
    ],
)
def test_who_needs_helpers(policy: dict[str, Any], has_delay: bool) -> None:
    alone = resolve(Supervision(), [RestartPolicy(**policy)])
    grouped = resolve(Supervision(strategy="one_for_all"), [RestartPolicy(**policy)])
    assert (alone.has_delay, alone.has_record, grouped.has_delay) == (has_delay,) * 3
    assert grouped.has_record is alone.enabled


@pytest.mark.parametrize(
    ("factor", "text"),
    [(2.0, "exponential:1000:30000:2"), (1.5, "exponential:1000:30000:1.5"), (0, "exponential:1000:30000:0")],
)
def test_what_the_helpers_are_told(factor: float, text: str) -> None:
    assert resolve(Supervision(backoff=Backoff(factor=factor)), []).backoff_text == text


def test_the_levels_are_supervision_then_app_then_process(tmp_path: Path) -> None:
    process = {"name": "a", "command": ["x"], "restartPolicy": {"window": 3}}
    file = bootstrap(tmp_path, process, {"name": "b", "command": ["x"]})
    entry = {"name": "app", "bootstrap": file, "restartPolicy": {"maxRestarts": 2, "window": 2}}
    data = shop(entry, {"name": "other"}, supervision={"maxRestarts": 1, "window": 1, "backoff": {"initial": 1}})
    apps = planned(tmp_path, data).stacks[0].apps
    found = [
        (p.restarts.max_restarts, p.restarts.window, p.restarts.backoff.initial) for p in (*apps["app"], *apps["other"])
    ]
    assert found == [(2, 3, 1), (2, 2, 1), (1, 1, 1)]
