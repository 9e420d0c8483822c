"""Files beside the crash record, each about one run of a unit; read by `count_crash.sh` and `critical_check.sh`.

The first line is the invocation id of the run. A note does not apply to other runs, so it need not be removed.

`<unit>.stop`: the watcher stops this run, or an operator has stopped it and it failed meanwhile. A program that
ends by the SIGTERM of a stop looks like a program that was killed by somebody else, and a failure during a stop is
not permanent.

`<unit>.crash`: this run has ended without a job. The other lines are the properties that systemd would print. A
helper that asks systemd itself, while systemd stops the other members of a group, gets its answer only after that.
"""

from __future__ import annotations

from . import trusted_files

# count_crash.sh and critical_check.sh have them too.
STOP_SUFFIX = ".stop"
CRASH_SUFFIX = ".crash"
SIZE_LIMIT = 4096  # bytes


def stopped(folder: str, unit: str, run: str) -> None:
    """Note that the run `run` of `unit` is stopped; `folder` is the folder of its crash record."""
    _write(folder, f"{unit}{STOP_SUFFIX}", run)


def crashed(folder: str, unit: str, run: str, exited: int) -> None:
    """Note that the run `run` of `unit` has ended without a job, its main process at `exited` (monotonic, µs)."""
    _write(folder, f"{unit}{CRASH_SUFFIX}", run, "Job=", f"ExecMainExitTimestampMonotonic={exited}")


def crash_lines(folder: str, unit: str, run: str) -> str | None:
    """Return the lines about the crash that ended the run `run` of `unit`; None without a note of the watcher."""
    try:
        with trusted_files.opened_folder(folder) as opened:
            noted, lines = trusted_files.read_file(opened, f"{unit}{CRASH_SUFFIX}", SIZE_LIMIT).decode().split("\n", 1)
    except (OSError, ValueError):
        return None
    return lines if run and noted == run else None


def _write(folder: str, name: str, *lines: str) -> None:
    with trusted_files.opened_folder(folder, create=True) as opened:
        trusted_files.replace_file(opened, name, "".join(f"{line}\n" for line in lines).encode())
