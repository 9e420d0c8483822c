"""Files beside the crash record, each about one run of a unit: what `count_crash.sh` and `critical_check.sh` go by.

The first line of each is the invocation id of the run that it is about. About another run it says nothing,
so it may be left behind.

`<unit>.stop`: this run is ended by the watcher, or was by an operator and has failed in it. A program that dies
of the SIGTERM of a stop looks like one that somebody else has killed, and what fails then has not failed for good.

`<unit>.crash`: this run has ended without a job, and when: the lines that systemd would answer. Asked while it
stops the others of a group, it would answer only when it is done with them.
"""

from __future__ import annotations

from . import trusted_files

# count_crash.sh and critical_check.sh have them too.
STOP_SUFFIX = ".stop"
CRASH_SUFFIX = ".crash"
SIZE_LIMIT = 4096  # bytes


def stopped(folder: str, unit: str, run: str) -> None:
    """Say that the run `run` of `unit` is stopped; `folder` is the one of its crash record."""
    _write(folder, f"{unit}{STOP_SUFFIX}", run)


def crashed(folder: str, unit: str, run: str, exited: int) -> None:
    """Say that the run `run` of `unit` has ended without a job, its main process at `exited` (monotonic, µs)."""
    _write(folder, f"{unit}{CRASH_SUFFIX}", run, "Job=", f"ExecMainExitTimestampMonotonic={exited}")


def crash_lines(folder: str, unit: str, run: str) -> str | None:
    """The lines about the crash that ended the run `run` of `unit`; None where the watcher has not told of it."""
    try:
        with trusted_files.opened_folder(folder) as opened:
            noted, lines = trusted_files.read_file(opened, f"{unit}{CRASH_SUFFIX}", SIZE_LIMIT).decode().split("\n", 1)
    except (OSError, ValueError):
        return None
    return lines if run and noted == run else None


def _write(folder: str, name: str, *lines: str) -> None:
    with trusted_files.opened_folder(folder, create=True) as opened:
        trusted_files.replace_file(opened, name, "".join(f"{line}\n" for line in lines).encode())
