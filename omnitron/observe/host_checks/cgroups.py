"""The cgroup hierarchy and its controllers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from omnitron.observe.cgroups import hierarchy
from omnitron.observe.host_checks.finding import Finding
from omnitron.observe.host_checks.subject import Subject

CONTROLLERS = ("cpu", "memory", "pids", "io")
LIMITS = {
    "cpu": "cpuQuota, cpuWeight",
    "memory": "memoryMax, memoryHigh",
    "pids": "tasksMax",
    "io": "ioWeight",
}
"""Settings without effect for want of a controller."""


def check(subject: Subject, mount: Path = Path("/sys/fs/cgroup")) -> Iterator[Finding]:
    """Look at the cgroup hierarchy and its controllers."""
    cure = "boot with systemd.unified_cgroup_hierarchy=1"
    if not (mount / "cgroup.controllers").exists():
        kind = "hybrid" if (mount / "unified").is_dir() else "version 1"
        message = f"the hierarchy is {kind}: memoryHigh and ioWeight have no effect, memory is an estimate"
        yield Finding("cgroups", "warn", message, cure)
        return
    folder = hierarchy(True) if subject.is_user and mount == Path("/sys/fs/cgroup") else mount
    present = _read(folder / "cgroup.controllers").split()
    missing = [name for name in CONTROLLERS if name not in present]
    lost = "; ".join(f"{name} ({LIMITS[name]})" for name in missing)
    if not missing or (subject.is_user and missing == ["io"]):
        # A user's manager is not given io unless somebody says so.
        note = f"; without {lost}" if missing else ""
        yield Finding("cgroups", "ok", f"version 2 with {', '.join(n for n in CONTROLLERS if n in present)}{note}")
        return
    if subject.is_user and _read(mount / "cgroup.controllers").split():
        cure = "systemctl edit user@.service: [Service] Delegate=cpu cpuset io memory pids"
    elif not present:
        cure = "in a container, its host must pass the controllers on; elsewhere " + cure
    yield Finding("cgroups", "warn", f"these limits have no effect, for want of a controller: {lost}", cure)


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
