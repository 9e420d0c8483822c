"""The resources of a service, read from its cgroup: a handful of small files, no bus.

Where the memory controller is not on (cgroup v1 beside v2, containers), memory is the sum of what the
processes hold, and says so.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Usage:
    """One reading of a service's cgroup."""

    pid: int | None
    """The oldest process: the main one."""
    started: float | None
    """Start of the process: seconds since boot."""
    cpu: float
    """CPU time used so far, in seconds."""
    memory: int
    """Bytes."""
    memory_is_sum: bool
    """True if memory was summed over the processes, for want of a controller."""


NOTHING = Usage(None, None, 0.0, 0, False)


@cache
def hierarchy(is_user: bool) -> Path:
    """Return the cgroup folder of the manager: all its slices lie below it."""
    mount = Path("/sys/fs/cgroup")
    base = mount if (mount / "cgroup.procs").exists() else mount / "unified"
    if not is_user:
        return base / _manager_root()
    uid = os.getuid()
    return base / _manager_root() / f"user.slice/user-{uid}.slice/user@{uid}.service"


def _manager_root() -> str:
    """The cgroup in which PID 1 has its units: `/` but for a container without a cgroup namespace."""
    lines = Path("/proc/1/cgroup").read_text().splitlines()
    own = next((line.split(":", 2)[2] for line in lines if line.startswith("0::")), "/")
    return own.removesuffix("/init.scope").strip("/")


def folder_of(slice_name: str, unit: str, *, is_user: bool) -> str:
    """Return the cgroup folder of a service; `a-b.slice` lies in `a.slice`."""
    parts = slice_name.removesuffix(".slice").split("-")
    slices = ["-".join(parts[: count + 1]) + ".slice" for count in range(len(parts))]
    return "/".join((str(hierarchy(is_user)), *slices, unit))


def read_usage(folder: str) -> Usage:
    """Read one service's cgroup; `NOTHING` where there is none."""
    pids = [int(pid) for pid in _read(f"{folder}/cgroup.procs").split()]
    if not pids:
        return NOTHING
    processes = [process for pid in pids if (process := _process(pid))]
    started, pid = min(processes, default=(None, None))
    memory = _read(f"{folder}/memory.current")
    resident = int(memory) if memory else sum(_resident(pid) for pid in pids)
    return Usage(pid, started, _cpu_seconds(f"{folder}/cpu.stat"), resident, not memory)


@dataclass(frozen=True)
class Details:
    """The figures of a service's cgroup beside CPU and memory; None where a controller is not on."""

    tasks: int
    memory_is_sum: bool
    """True if memory is summed over the processes, for want of a controller."""
    memory_peak: int | None
    """Bytes."""
    io_read: int | None
    io_written: int | None
    """Bytes so far."""
    oom_kills: int | None
    pressure: dict[str, float]
    """Share of the last ten seconds in which something waited for `cpu`, `memory` or `io`, in per cent."""


def read_load(folder: str) -> tuple[float, int] | None:
    """Return the CPU time (seconds) and memory (bytes) of a service; None where it does not run. Two small files."""
    memory = _read(f"{folder}/memory.current")
    if memory:
        return _cpu_seconds(f"{folder}/cpu.stat"), int(memory)
    pids = _read(f"{folder}/cgroup.procs").split()
    return (_cpu_seconds(f"{folder}/cpu.stat"), sum(_resident(int(pid)) for pid in pids)) if pids else None


def read_working_set(folder: str) -> int | None:
    """Return the memory of a service (bytes) without the file cache that the kernel can take back at once.

    That cache grows up to the limit of whatever reads or writes files, and says nothing of what the service needs.
    None where the service does not run.
    """
    memory = _read(f"{folder}/memory.current")
    if not memory:
        load = read_load(folder)
        return load[1] if load else None
    fields = dict(line.split(" ", 1) for line in _read(f"{folder}/memory.stat").splitlines())
    return max(0, int(memory) - int(fields.get("inactive_file", 0)))


def read_details(folder: str) -> Details:
    """Read the rest of one service's cgroup."""
    tasks = _read(f"{folder}/pids.current")
    io = _read(f"{folder}/io.stat")
    fields = [field.partition("=") for line in io.splitlines() for field in line.split()[1:]]
    events = dict(line.split() for line in _read(f"{folder}/memory.events").splitlines())
    peak = _read(f"{folder}/memory.peak")
    pressure = {kind: _pressure(f"{folder}/{kind}.pressure") for kind in ("cpu", "memory", "io")}
    return Details(
        tasks=int(tasks) if tasks else len(_read(f"{folder}/cgroup.threads").split()),
        memory_is_sum=not _read(f"{folder}/memory.current"),
        memory_peak=int(peak) if peak else None,
        io_read=sum(int(value) for key, _, value in fields if key == "rbytes") if io else None,
        io_written=sum(int(value) for key, _, value in fields if key == "wbytes") if io else None,
        oom_kills=int(events["oom_kill"]) if "oom_kill" in events else None,
        pressure={kind: share for kind, share in pressure.items() if share is not None},
    )


def _pressure(path: str) -> float | None:
    for line in _read(path).splitlines():
        kind, *fields = line.split()
        if kind == "some":
            return float(dict(field.split("=") for field in fields)["avg10"])
    return None


def read_process(pid: int) -> Usage | None:
    """Read one process instead of a cgroup; None when it has gone."""
    process = _process(pid)
    return Usage(pid, process[0], 0.0, _resident(pid), True) if process else None


def _cpu_seconds(path: str) -> float:
    for line in _read(path).splitlines():
        key, _, value = line.partition(" ")
        if key == "usage_usec":
            return int(value) / 1e6
    return 0.0


def _process(pid: int) -> tuple[float, int] | None:
    """Return when a process started, in seconds since boot, and its PID; None when it has gone."""
    text = _read(f"/proc/{pid}/stat")
    if not text:
        return None
    # The command's name may hold spaces and parentheses; the fields after its last one may not.
    return int(text.rpartition(")")[2].split()[19]) / TICKS_PER_SECOND, pid


def _resident(pid: int) -> int:
    fields = _read(f"/proc/{pid}/statm").split()
    return int(fields[1]) * PAGE_BYTES if len(fields) > 1 else 0


def _read(path: str) -> str:
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return ""
    try:
        return os.read(descriptor, 1 << 16).decode(errors="replace")
    except OSError:
        return ""
    finally:
        os.close(descriptor)
