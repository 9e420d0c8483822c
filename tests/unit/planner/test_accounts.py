"""As whom the apps of a definition may run that is not root's, and which names it may take."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from omnitron.definition.loader import load
from omnitron.errors import DefinitionError
from omnitron.planner import questions
from omnitron.planner.facts import HostFacts, Identity
from tests.support.build import bootstrap, facts, make_plan, shop, write

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")

NOBODY = 65534
ACCOUNTS = frozenset({"root", "nobody", "games", "www-data"})


def on_a_host(*distribution: str) -> HostFacts:
    nobody = Identity("nobody", frozenset({"nobody", "65534"}), frozenset({"nogroup", "65534", "media"}))
    return replace(facts(accounts=ACCOUNTS), identities={NOBODY: nobody}, distribution=frozenset(distribution))


def wrong(path: Path, on: HostFacts, reaches: Callable[[Path], bool] | None = None) -> list[str]:
    """The problems of a definition on a host where its owner reaches the paths of which `reaches` is true, or all."""
    try:
        ecosystem = load(path)
        if reaches:
            pairs = questions.of_host(ecosystem, on, installs=False).reachable
            on = replace(on, reachable=frozenset((uid, path) for uid, path in pairs if reaches(path)))
        make_plan(ecosystem, on)
    except DefinitionError as error:
        return [line.replace(f"{path.parent}/", "") for line in error.lines()]
    return []


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ({}, None),
        ({"user": "nobody"}, None),
        ({"user": "65534", "group": "65534"}, None),
        ({"user": "dynamic"}, None),
        ({"group": "media"}, None),
        ({"systemd": {"service": {"KillMode": "process", "KillSignal": "SIGINT"}}}, None),
        ({"systemd": {"service": {"KillMode": "process", "ExecStartPre": "+x"}}}, "cannot use raw directives"),
        ({"systemd": {"unit": {"KillMode": "process"}}}, "apps.a.systemd: cannot use raw directives"),
        ({"user": "games"}, "apps.a.user: cannot run as 'games': a file that defines it belongs to nobody, who is not"),
        ({"user": "33"}, "apps.a.user: cannot run as '33'"),
        ({"group": "shadow"}, "apps.a.group: cannot run with the group 'shadow': a file that defines it belongs to"),
        ({"user": "dynamic", "group": "docker"}, "apps.a.group: cannot run with the group 'docker'"),
    ],
)
def test_the_apps_of_a_users_definition_run_as_that_user(
    tmp_path: Path, said: dict[str, Any], wanted: str | None
) -> None:
    path = write(tmp_path, shop({"name": "a", "command": ["x"], **said}, nobody=True))
    os.chown(path, NOBODY, NOBODY)
    found = wrong(path, on_a_host())
    assert len(found) == (wanted is not None)
    assert wanted is None or wanted in found[0]
    # For a definition of root's own, it is root's word.
    os.chown(path, 0, 0)
    assert not [line for line in wrong(path, on_a_host()) if "belongs to nobody" in line]


@pytest.mark.parametrize(("own", "is_refused"), [({}, False), ({"user": "www-data"}, False), ({"user": "games"}, True)])
def test_what_root_says_of_a_users_bootstrap_counts(tmp_path: Path, own: dict[str, Any], is_refused: bool) -> None:
    it = bootstrap(tmp_path, {"name": "one", "command": ["x"], **own})
    os.chown(it, NOBODY, NOBODY)
    path = write(tmp_path, shop({"name": "a", "bootstrap": it, "user": "www-data"}, nobody=True))
    assert bool(wrong(path, on_a_host())) == is_refused


@pytest.mark.parametrize(
    ("said", "is_refused"),
    [
        ({"paths": {"write": ["/home/other/data"]}}, True),
        ({"command": ["/root/deep/bin/x"]}, True),
        ({"paths": {"write": ["/home/me/data"]}}, False),
        # Not hidden: the process has no more than its own permissions there.
        ({"paths": {"write": ["/srv/closed"]}}, False),
        ({"command": ["/root/deep/bin/x"], "hardening": "off"}, False),
    ],
)
def test_what_systemd_binds_is_what_the_owner_can_reach(
    tmp_path: Path, said: dict[str, Any], *, is_refused: bool
) -> None:
    path = write(tmp_path, shop({"name": "a", "command": ["/bin/true"], **said}, nobody=True))
    os.chown(path, NOBODY, NOBODY)
    closed = (Path("/root"), Path("/home/other"), Path("/srv/closed"))
    found = wrong(path, on_a_host(), lambda path: not any(path.is_relative_to(one) for one in closed))
    assert ["belongs to nobody, who cannot get there" in line for line in found] == [True] * is_refused


def test_the_paths_that_root_chose_are_roots_word(tmp_path: Path) -> None:
    """A project of root's, in root's home, with a bootstrap of somebody else's."""
    nothing = replace(on_a_host(), reachable=frozenset())
    it = bootstrap(tmp_path, {"name": "one", "command": ["/bin/true"]})
    path = write(tmp_path, shop({"name": "a", "bootstrap": it, "user": "www-data"}, nobody=True))
    os.chown(it, NOBODY, NOBODY)
    assert wrong(path, nothing) == []
    bootstrap(tmp_path, {"name": "one", "command": ["/bin/true"], "paths": {"write": ["/home/other"]}})
    os.chown(it, NOBODY, NOBODY)
    assert len(wrong(path, nothing)) == 1


def test_a_users_gateway_is_that_users(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir()

    def found(**said: Any) -> list[str]:
        path = write(tmp_path, shop({"name": "a", "command": ["x"]}, nobody=True, gateway={"port": 8080, **said}))
        os.chown(path, NOBODY, NOBODY)
        found = wrong(path, on_a_host(), lambda path: path.name != "closed")
        return [line for line in found if "gateway" in line]

    assert found() == found(user="nobody") == []
    assert "cannot run as 'games': a file that defines it belongs to nobody" in found(user="games")[0]
    assert (
        "cannot use closed: a file that defines it belongs to nobody, who cannot get there"
        in found(configDir="closed")[0]
    )


@pytest.mark.parametrize("prefix", ["systemd", "multi"])
def test_a_users_definition_cannot_take_a_prefix_of_the_distribution(tmp_path: Path, prefix: str) -> None:
    host = on_a_host("systemd-journald.service", "multi-user.target", "multilog.service")
    path = write(tmp_path, shop({"name": "a", "command": ["x"]}, nobody=True, unitPrefix=prefix))
    os.chown(path, NOBODY, NOBODY)
    (line,) = wrong(path, host)
    assert f"unitPrefix: cannot use the prefix '{prefix}': units of the distribution have it, such as {prefix}-" in line
    assert wrong(path, on_a_host("multilog.service", "omnitron-extra.service")) == []
    os.chown(path, 0, 0)
    assert not [line for line in wrong(path, host) if "unitPrefix" in line]


def test_nobody_replaces_a_unit_of_the_distribution(tmp_path: Path) -> None:
    stacks = {"user": {"type": "local"}}
    path = write(tmp_path, shop({"name": "a"}, unitPrefix="multi", stacks=stacks))
    (line,) = wrong(path, on_a_host("multi-user.target"))
    assert "unitPrefix: cannot name a unit multi-user.target: the distribution has one of that name" in line
