"""The variables that a unit may have, and those that only its program gets.

The helpers around a start and a stop run as root, with the environment of their unit: what makes a
shell, the dynamic loader or the C library load or run other code must not reach them.
"""

from __future__ import annotations

import re

from omnitron.planner.facts import HostFacts
from omnitron.planner.resolve.process import PlannedProcess
from omnitron.secrets import references

FOR_THE_PROGRAM_ALONE = re.compile(
    r"LD_.*|GLIBC_TUNABLES|GCONV_PATH|LOCPATH|NLSPATH|MALLOC_.*|PATH|ENV|BASH_ENV|BASH_FUNC.*|IFS|PS4|SHELLOPTS"
    r"|SYSTEMCTL_.*|SYSTEMD_.*|DBUS_.*|XDG_RUNTIME_DIR"
    r"|NOTIFY_SOCKET|SERVICE_RESULT|EXIT_CODE|EXIT_STATUS|MAINPID"
)

Variables = tuple[tuple[str, str], ...]


def of_unit(process: PlannedProcess) -> Variables:
    """Return the variables that may stand in the unit."""
    return tuple(pair for pair in _plain(process) if not FOR_THE_PROGRAM_ALONE.fullmatch(pair[0]))


def of_program(process: PlannedProcess) -> Variables:
    """Return the variables that only the program may see."""
    return tuple(pair for pair in _plain(process) if FOR_THE_PROGRAM_ALONE.fullmatch(pair[0]))


def of_secrets(process: PlannedProcess) -> Variables:
    """Return the variables that refer to secrets: their values are known on the host, when the process starts."""
    return tuple(pair for pair in process.environment if references.OPENING in pair[1])


def _plain(process: PlannedProcess) -> Variables:
    return tuple(pair for pair in process.environment if references.OPENING not in pair[1])


def with_own_variables(process: PlannedProcess, argv: tuple[str, ...]) -> tuple[str, ...]:
    """Return a command line that sets what only the program may see; env(1) then becomes the program."""
    assignments = tuple(f"{name}={value}" for name, value in of_program(process))
    if not assignments:
        return argv
    # env takes a program with a '=' in its path for one more variable.
    through = ("/bin/sh", "-c", 'exec "$0" "$@"') if "=" in argv[0] else ()
    return ("/usr/bin/env", *assignments, *through, *argv)


def with_secrets(process: PlannedProcess, argv: tuple[str, ...], facts: HostFacts) -> tuple[str, ...]:
    """Return a command line that gives a program the secrets of a process too."""
    variables = of_secrets(process)
    if not variables:
        return argv
    wrapper = (
        str(facts.helper_python),
        "-I",
        "-S",
        str(facts.package_folder / "omnitron/programs/secrets/as_environment.py"),
    )
    return (*wrapper, *(f"{name}={template}" for name, template in variables), "--", *argv)
