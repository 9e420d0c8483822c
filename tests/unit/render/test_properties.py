"""A service's `[Service]` as properties of a transient unit."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest

from omnitron.render.properties import INFINITY, RECURSIVE, Property, directives, properties_of
from tests.support.build import facts, planned, shop, units


def properties(folder: Path, instance: int | None = None, on: Any = None, **app: Any) -> dict[str, Property]:
    plan = planned(folder, shop({"name": "api", **app}, stacks={"dev": {"type": "local"}}), on)
    (unit,) = [unit for unit in units(plan).values() if unit.template == "service"]
    found, left_out = properties_of(unit, instance)
    assert not left_out
    return {one.name: one for one in found}


def raw(folder: Path, **service: Any) -> tuple[dict[str, Any], list[str]]:
    app = {"name": "api", "hardening": "off", "systemd": {"service": service}}
    plan = planned(folder, shop(app, stacks={"dev": {"type": "local"}}))
    found, left_out = properties_of(units(plan)["omnitron-dev-api-main.service"])
    return {one.name: one.value for one in found}, left_out


def test_identity_environment_and_limits(tmp_path: Path) -> None:
    limits = {"memoryMax": "100mb", "cpuQuota": "150%", "cpuWeight": 50, "tasksMax": 10, "ioWeight": 20}
    found = properties(
        tmp_path, env={"A": "1 %d $HOME", "B": "x\ny"}, limits=limits, paths={"state": True, "cache": "shared"}
    )
    assert found["User"] == Property("User", "s", "www-data")
    assert found["Slice"].value == "omnitron-dev.slice"
    assert found["WorkingDirectory"].value == str(tmp_path)
    assert found["Environment"].signature == "as"
    assert found["Environment"].value[:2] == ["A=1 %d $HOME", "B=x\ny"]
    assert found["MemoryMax"] == Property("MemoryMax", "t", 100 << 20)
    assert found["CPUQuotaPerSecUSec"].value == 1_500_000
    assert (found["CPUWeight"].value, found["TasksMax"].value, found["IOWeight"].value) == (50, 10, 20)
    assert found["StateDirectory"].value == ["omnitron/dev/api"]
    assert found["CacheDirectory"].value == ["omnitron/dev/shared"]


def test_the_strict_sandbox(tmp_path: Path) -> None:
    found = properties(tmp_path)
    assert found["NoNewPrivileges"] == Property("NoNewPrivileges", "b", True)
    assert found["ProtectHome"].value == "tmpfs"
    assert found["CapabilityBoundingSet"] == Property("CapabilityBoundingSet", "t", 0)
    assert found["RestrictNamespaces"].value == 0
    families = ["AF_UNIX", "AF_INET", "AF_INET6", "AF_NETLINK"]
    assert found["RestrictAddressFamilies"] == Property("RestrictAddressFamilies", "(bas)", (True, families))
    assert found["SystemCallFilter"].value == (True, ["@system-service"])
    assert found["SystemCallErrorNumber"] == Property("SystemCallErrorNumber", "i", errno.EPERM)
    assert found["UMask"] == Property("UMask", "u", 0o027)
    assert found["BindReadOnlyPaths"].value == [(str(tmp_path), str(tmp_path), False, RECURSIVE)]


def test_a_low_port_needs_its_capability(tmp_path: Path) -> None:
    found = properties(tmp_path, transports={"http": {"port": 80}})
    assert found["AmbientCapabilities"].value == found["CapabilityBoundingSet"].value == 1 << 10


def test_nothing_of_its_supervision(tmp_path: Path) -> None:
    found = properties(tmp_path, health={"probe": {"type": "command", "command": ["true"]}})
    started = {"ExecStart", "ExecStartPre", "ExecStartPost", "ExecStopPost", "Restart", "Type", "NotifyAccess"}
    ended = {"KillMode", "TimeoutStopSec", "SuccessExitStatus", "LogLevelMax", "Sockets"}
    assert not (started | ended) & set(found)


def test_a_user_manager_gets_no_user(tmp_path: Path) -> None:
    found = properties(tmp_path, on=facts(scope="user"))
    assert "User" not in found
    assert found["PrivateUsers"].value is True


def test_a_dynamic_user(tmp_path: Path) -> None:
    assert properties(tmp_path, user="dynamic")["DynamicUser"].value is True


@pytest.mark.parametrize(("instance", "expected"), [(None, []), (2, ["OMNITRON_INSTANCE=2"])])
def test_the_instance_of_a_pool(tmp_path: Path, instance: int | None, expected: list[str]) -> None:
    found = properties(tmp_path, instance, instances=3)["Environment"].value
    assert [text for text in found if text.startswith("OMNITRON_INSTANCE")] == expected


@pytest.mark.parametrize(
    ("directive", "text", "name", "value"),
    [
        ("PrivateNetwork", True, "PrivateNetwork", True),
        ("LimitNOFILE", 4096, "LimitNOFILE", 4096),
        ("LimitNPROC", "infinity", "LimitNPROC", INFINITY),
        ("MemoryMax", "1G", "MemoryMax", 1 << 30),
        ("Nice", 5, "Nice", 5),
        ("UMask", "0077", "UMask", 0o077),
        ("SupplementaryGroups", "adm video", "SupplementaryGroups", ["adm", "video"]),
        ("LoadCredential", "key:/etc/key", "LoadCredential", [("key", "/etc/key")]),
        ("SystemCallFilter", "~@mount @swap", "SystemCallFilter", (False, ["@mount", "@swap"])),
        ("RestrictAddressFamilies", "none", "RestrictAddressFamilies", (True, [])),
        ("RestrictNamespaces", "net mnt", "RestrictNamespaces", 0x40020000),
        ("RestrictNamespaces", "~user", "RestrictNamespaces", 0x6E020000),
        ("CapabilityBoundingSet", "~CAP_SYS_ADMIN", "CapabilityBoundingSet", (1 << 41) - 1 - (1 << 21)),
        ("BindPaths", "-/a:/b:norbind", "BindPaths", [("/a", "/b", True, 0)]),
        ("ReadWritePaths", "/srv/100%%", "ReadWritePaths", ["/srv/100%"]),
    ],
)
def test_raw_directives(tmp_path: Path, directive: str, text: Any, name: str, value: Any) -> None:
    found, left_out = raw(tmp_path, **{directive: text})
    assert found[name] == value
    assert not left_out


def test_a_shared_runtime_directory_outlives_the_command(tmp_path: Path) -> None:
    assert raw(tmp_path, RuntimeDirectory="api")[0]["RuntimeDirectoryPreserve"] == "yes"


@pytest.mark.parametrize(
    ("directive", "text"),
    [
        ("IPAddressDeny", "any"),
        ("ReadWritePaths", "%t/x"),
        ("PrivateTmp", "disconnected"),
        ("SystemCallErrorNumber", "EVERY"),
        ("CapabilityBoundingSet", "CAP_FLY"),
        ("MemoryMax", "10%"),
    ],
)
def test_what_cannot_be_said_is_named(tmp_path: Path, directive: str, text: str) -> None:
    assert raw(tmp_path, **{directive: text})[1] == [directive]


def test_raw_supervision_is_passed_over(tmp_path: Path) -> None:
    assert raw(tmp_path, Restart="always", WatchdogSec=5, StandardOutput="null", OOMPolicy="stop")[1] == []


def test_the_template_names_every_directive() -> None:
    names = directives()
    assert (names["user"], names["cpu_quota"], names["restrict_suid_sgid"]) == ("User", "CPUQuota", "RestrictSUIDSGID")
