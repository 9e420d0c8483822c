"""Which app, process and instance a line of the journal is of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from omnitron.observe.log_lines import Sources, all_targets
from omnitron.policy.addresses import resolve
from omnitron.policy.model import StackPolicy
from omnitron.policy.store import read_policies
from omnitron.systemd.journal import Entry
from tests.support.policy_documents import dev_and_prod, write


def installed(folder: Path, **changes: Any) -> list[StackPolicy]:
    return read_policies([write(folder, *({**policy, **changes} for policy in dev_and_prod()))])


def entry(*units: str) -> Entry:
    return Entry(1_700_000_000_123_456, 4, "m", 42, units, "c")


def test_every_app_with_names_that_tell_them_apart(tmp_path: Path) -> None:
    stacks = installed(tmp_path)
    sources = Sources(all_targets(stacks), stacks)
    units = [
        "omnitron-dev-db-main.service",
        "omnitron-prod-db-main.service",
        "omnitron-dev-api-http.service",
        "omnitron-dev-api-worker@7.service",
    ]
    labels = [line.label for unit in units if (line := sources.line(entry(unit)))]
    assert labels == ["dev/db", "prod/db", "api:http", "api:worker@7"]
    assert sources.width == len("api:worker@3")
    assert sources.line(entry("omnitron-dev-api-ready.service")) is None


def test_a_line_of_systemd_is_of_the_unit_that_it_is_about(tmp_path: Path) -> None:
    stacks = installed(tmp_path)
    line = Sources(all_targets(stacks), stacks).line(entry("init.scope", "omnitron-dev-api-http.service"))
    assert line and line.unit == "omnitron-dev-api-http.service"


def test_a_pool_is_asked_for_beyond_its_declared_instances(tmp_path: Path) -> None:
    stacks = installed(tmp_path)
    whole = Sources(resolve("api:worker", stacks), stacks)
    assert whole.units[-1] == "omnitron-dev-api-worker@*.service"
    one = Sources(resolve("api:worker@2", stacks), stacks)
    assert one.units == ("omnitron-dev-api-worker@2.service",)


def test_namespaces_are_those_of_the_stacks_that_are_meant(tmp_path: Path) -> None:
    stacks = installed(tmp_path, logNamespace="omnitron-x")
    assert Sources(all_targets(stacks), stacks).namespaces == ("omnitron-x",)
    assert Sources([], stacks).namespaces == ()


def test_the_published_form(tmp_path: Path) -> None:
    stacks = installed(tmp_path)
    line = Sources(all_targets(stacks), stacks).line(entry("omnitron-dev-api-worker@2.service"))
    assert line and line.as_data() == {
        "timestamp": 1_700_000_000_123,
        "app": "api",
        "level": "warn",
        "message": "m",
        "data": {
            "pid": 42,
            "stack": "dev",
            "process": "worker",
            "instance": 2,
            "unit": "omnitron-dev-api-worker@2.service",
        },
    }
