from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from omnitron.planner.units import hardening
from omnitron.planner.units.values import Bind, Word
from tests.support.build import HELPERS, facts, planned, shop, write

STRICT = {
    "no_new_privileges": True,
    "private_tmp": True,
    "private_devices": True,
    "protect_system": "strict",
    "protect_home": "tmpfs",
    "protect_kernel_logs": True,
    "protect_control_groups": True,
    "protect_clock": True,
    "protect_proc": "invisible",
    "restrict_namespaces": True,
    "restrict_address_families": "AF_UNIX AF_INET AF_INET6 AF_NETLINK",
    "restrict_suid_sgid": True,
    "restrict_realtime": True,
    "lock_personality": True,
    "system_call_filter": "@system-service",
    "system_call_error_number": "EPERM",
    "system_call_architectures": "native",
    "capability_bounding_set": "",
    "remove_ipc": True,
    "umask": "0027",
}
AGAINST_ROOT = {"protect_kernel_tunables": True, "protect_kernel_modules": True, "protect_hostname": True}
"""Root without a capability still owns the files below /proc/sys."""
STANDARD = {
    "no_new_privileges": True,
    "private_tmp": True,
    "protect_system": "full",
    "protect_kernel_tunables": True,
    "protect_kernel_modules": True,
    "protect_control_groups": True,
    "restrict_suid_sgid": True,
    "restrict_realtime": True,
    "lock_personality": True,
}
REFUSED = {
    "capability_bounding_set",
    "private_devices",
    "protect_kernel_logs",
    "protect_clock",
    "protect_kernel_modules",
    "remove_ipc",
}
PATHS = ("bind_read_only_paths", "bind_paths", "read_write_paths")


def directives(folder: Path, app: dict[str, Any], scope: str = "system", version: int = 257) -> dict[str, Any]:
    """The sandbox of an app, without the directives that it leaves out."""
    on = facts(version, scope)
    (process,) = planned(folder, shop({"name": "a"} | app), on).stacks[0].apps["a"]
    return {key: value for key, value in hardening.directives(process, on).items() if value is not None}


def without_paths(found: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in found.items() if key not in PATHS}


@pytest.mark.parametrize("version", [252, 257, 262])
@pytest.mark.parametrize(("level", "meant"), [("strict", STRICT), ("standard", STANDARD), ("off", {})])
def test_levels(tmp_path: Path, level: str, meant: dict[str, Any], version: int) -> None:
    assert without_paths(directives(tmp_path, {"hardening": level}, version=version)) == meant


@pytest.mark.parametrize("user", ["root", "0"])
def test_root_is_kept_from_the_kernels_tunables(tmp_path: Path, user: str) -> None:
    assert without_paths(directives(tmp_path, {"user": user})) == STRICT | AGAINST_ROOT


@pytest.mark.parametrize("version", [252, 257])
@pytest.mark.parametrize(("level", "meant"), [("strict", STRICT | AGAINST_ROOT), ("standard", STANDARD)])
def test_a_user_manager_gets_a_user_namespace_and_nothing_that_it_refuses(
    tmp_path: Path, level: str, meant: dict[str, Any], version: int
) -> None:
    expected = {key: value for key, value in meant.items() if key not in REFUSED} | {"private_users": True}
    assert without_paths(directives(tmp_path, {"hardening": level}, "user", version)) == expected
    assert directives(tmp_path, {"hardening": "off"}, "user", version) == {}


@pytest.mark.parametrize(
    ("level", "port", "activated", "scope", "capabilities"),
    [
        (
            "strict",
            80,
            False,
            "system",
            {"capability_bounding_set": "CAP_NET_BIND_SERVICE", "ambient_capabilities": "CAP_NET_BIND_SERVICE"},
        ),
        (
            "strict",
            1023,
            False,
            "system",
            {"capability_bounding_set": "CAP_NET_BIND_SERVICE", "ambient_capabilities": "CAP_NET_BIND_SERVICE"},
        ),
        ("strict", 1024, False, "system", {"capability_bounding_set": ""}),
        ("strict", 80, True, "system", {"capability_bounding_set": ""}),
        ("strict", 80, False, "user", {}),
        # Nothing is taken away where nothing was.
        ("standard", 80, False, "system", {"ambient_capabilities": "CAP_NET_BIND_SERVICE"}),
        ("off", 80, False, "system", {}),
    ],
)
def test_a_low_port_needs_a_capability(
    tmp_path: Path, level: str, port: int, activated: bool, scope: str, capabilities: dict[str, str]
) -> None:
    transports = {"http": {"port": port, "socketActivation": activated}}
    found = directives(tmp_path, {"hardening": level, "transports": transports}, scope)
    assert {key: value for key, value in found.items() if "capabilit" in key} == capabilities


def moved(folder: Path, app: dict[str, Any], project: str, level: str = "strict") -> dict[str, tuple[str, ...]]:
    """The paths that a process gets when its project lies in `project`."""
    (process,) = planned(folder, shop({"name": "a", "hardening": level} | app)).stacks[0].apps["a"]
    reads = tuple(Path(str(path).replace(str(folder), project)) for path in process.program.reads)
    there = Path(str(process.folder).replace(str(folder), project))
    process = replace(process, project=Path(project), folder=there, program=replace(process.program, reads=reads))
    found = hardening.directives(process, facts())
    return {
        key: tuple(item.path if isinstance(item, Bind) else item.text for item in found[key] or ()) for key in PATHS
    }


@pytest.mark.parametrize(
    ("app", "project", "readable", "bound", "writable"),
    [
        ({}, "/srv/shop", (), (), ()),
        ({}, "/home/me/shop", ("/home/me/shop",), (), ()),
        ({}, "/root/shop", ("/root/shop",), (), ()),
        ({}, "/root", ("/root",), (), ()),
        ({}, "/tmp/shop", ("/tmp/shop",), (), ()),
        # A program of the project lies in it; one elsewhere is bound as well.
        ({"command": ["./bin/x"]}, "/home/me/shop", ("/home/me/shop",), (), ()),
        ({"command": ["/opt/x/bin/x"]}, "/home/me/shop", ("/home/me/shop",), (), ()),
        ({"command": ["/home/you/bin/x"]}, "/home/me/shop", ("/home/me/shop", "/home/you/bin"), (), ()),
        # What may be written: bound where it is hidden, else opened; relative to the project.
        ({"paths": {"write": ["data", "/var/lib/x"]}}, "/srv/shop", (), (), ("/srv/shop/data", "/var/lib/x")),
        (
            {"paths": {"write": ["data", "/var/lib/x"]}},
            "/home/me/shop",
            ("/home/me/shop",),
            ("/home/me/shop/data",),
            ("/var/lib/x",),
        ),
        ({"paths": {"write": ["."]}}, "/home/me/shop", (), ("/home/me/shop",), ()),
        ({"paths": {"write": ["../data", "a/../b/."]}}, "/srv/shop", (), (), ("/srv/data", "/srv/shop/b")),
        ({"paths": {"write": ["/tmp/x"]}}, "/srv/shop", (), ("/tmp/x",), ()),
    ],
)
def test_paths(
    tmp_path: Path,
    app: dict[str, Any],
    project: str,
    readable: tuple[str, ...],
    bound: tuple[str, ...],
    writable: tuple[str, ...],
) -> None:
    assert moved(tmp_path, app, project) == dict(zip(PATHS, (readable, bound, writable), strict=True))


def test_homes_are_not_hidden_by_standard(tmp_path: Path) -> None:
    paths = {"write": ["data", "/tmp/x"]}
    assert moved(tmp_path, {"paths": paths}, "/home/me/shop", "standard") == {
        "bind_read_only_paths": (),
        "bind_paths": ("/tmp/x",),
        "read_write_paths": ("/home/me/shop/data",),
    }


def test_what_is_off_needs_no_paths(tmp_path: Path) -> None:
    assert directives(tmp_path, {"hardening": "off", "paths": {"write": ["/tmp/x"]}}) == {}


def test_the_interpreter_and_the_probe_are_readable_where_they_are_hidden(tmp_path: Path) -> None:
    python = tmp_path / "python/bin/python3"
    write(python.parent, "", "", "python3")
    write(tmp_path / "shop/.venv/bin", "", "", "x")
    (tmp_path / "shop/.venv/bin/python").symlink_to(python)
    write(tmp_path / "shop", "", ".py", "run")
    probe = {"health": {"probe": {"type": "tcp", "target": "h:1"}}}
    found = directives(tmp_path / "shop", {"script": "run.py", **probe})
    assert found["bind_read_only_paths"] == (Bind(str(tmp_path / "python")), Bind(str(tmp_path / "shop")))
    assert HELPERS not in [Path(item.path) for item in found["bind_read_only_paths"]]


def test_a_path_is_one_word(tmp_path: Path) -> None:
    assert directives(tmp_path, {"paths": {"write": ["/srv/a b"]}})["read_write_paths"] == (Word("/srv/a b"),)
