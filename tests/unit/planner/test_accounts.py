"""The account of a process, and the names that a definition may take."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from omnitron.definition.loader import load
from omnitron.errors import DefinitionError
from omnitron.planner.facts import HostFacts
from tests.support.build import facts, make_plan, shop, write

NOBODY = 65534
ACCOUNTS = frozenset({"root", "nobody", "games", "www-data"})


def on_a_host(*distribution: str) -> HostFacts:
    return replace(facts(accounts=ACCOUNTS), distribution=frozenset(distribution))


def wrong(path: Path, on: HostFacts) -> list[str]:
    try:
        make_plan(load(path), on)
    except DefinitionError as error:
        return [line.replace(f"{path.parent}/", "") for line in error.lines()]
    return []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize(
    "said",
    [
        {},
        {"user": "games", "group": "shadow"},
        {"user": "root"},
        {"systemd": {"service": {"ExecStartPre": "+/bin/true"}}},
        {"paths": {"write": ["/home/other/data"]}},
    ],
)
def test_trust_is_whole(tmp_path: Path, said: dict[str, Any], trust: Callable[[Path], None]) -> None:
    """What a trusted definition says is root's word; only what it leaves out is its owner's."""
    path = write(tmp_path, shop({"name": "a", "command": ["x"], **said}, nobody=True))
    for each in (tmp_path, path):
        os.chown(each, NOBODY, NOBODY)
    trust(tmp_path)
    assert wrong(path, on_a_host()) == []
    (process,) = make_plan(load(path), on_a_host()).stacks[0].apps["a"]
    assert process.user == said.get("user", "nobody")


def test_who_is_not_there_cannot_run_it(tmp_path: Path) -> None:
    path = write(tmp_path, shop({"name": "a", "command": ["x"], "user": "away"}))
    (line,) = wrong(path, on_a_host())
    assert line.endswith("apps.a.user: cannot run as 'away': this host has no such user")


@pytest.mark.parametrize("prefix", ["systemd", "multi"])
def test_nobody_takes_a_prefix_of_the_distribution(tmp_path: Path, prefix: str) -> None:
    host = on_a_host("systemd-journald.service", "multi-user.target", "multilog.service")
    path = write(tmp_path, shop({"name": "a", "command": ["x"]}, unitPrefix=prefix))
    (line,) = wrong(path, host)
    assert f"unitPrefix: cannot use the prefix '{prefix}': units of the distribution have it, such as {prefix}-" in line
    assert wrong(path, on_a_host("multilog.service", "omnitron-extra.service")) == []


def test_nobody_replaces_a_unit_of_the_distribution(tmp_path: Path) -> None:
    stacks = {"user": {"type": "local"}}
    path = write(tmp_path, shop({"name": "a"}, unitPrefix="multi", stacks=stacks))
    (line,) = wrong(path, on_a_host("multi-user.target"))
    assert "unitPrefix: cannot name a unit multi-user.target: the distribution has one of that name" in line
