"""Becomes a program with secrets in its environment: `python -I -S as_environment.py VAR=TEXT… -- PROGRAM ARG…`.

TEXT refers to secrets as `${secret:NAME}`. The unit does not contain them: they come from the credentials of the
service, and only the program sees them.
"""

import os
import signal
import sys

NOT_EXECUTABLE, NOT_FOUND = 126, 127
"""The exit statuses of a shell for the same failures."""
CONFIGURATION_ERROR = 78
"""EX_CONFIG of sysexits.h; systemd calls it CONFIG."""


def main(arguments: list[str]) -> int:
    """Become the program; return an exit status only when that fails."""
    from omnitron.programs.secrets import credentials  # the last lines of this file set the path

    end = arguments.index("--")
    program = arguments[end + 1 :]
    templates = dict(pair.split("=", 1) for pair in arguments[:end])
    try:
        variables = credentials.environment(templates)
    except credentials.MissingError as error:
        print(error, file=sys.stderr)
        return CONFIGURATION_ERROR
    # Python ignores this signal; the program must have the default.
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    try:
        os.execvpe(program[0], program, {**os.environ, **variables})
    except FileNotFoundError:
        print(f"cannot start {program[0]}: there is no such program", file=sys.stderr)
        return NOT_FOUND
    except (OSError, ValueError) as error:
        print(f"cannot start {program[0]}: {getattr(error, 'strerror', error)}", file=sys.stderr)
        return NOT_EXECUTABLE


if __name__ == "__main__":
    package = __file__.rpartition("/")[0]
    # Root must not write bytecode into a user's checkout: the user could not remove it.
    sys.dont_write_bytecode = os.stat(package).st_uid != os.geteuid()  # noqa: PTH116 - pathlib is slow to import
    sys.path.append(package + "/../../..")
    sys.exit(main(sys.argv[1:]))
