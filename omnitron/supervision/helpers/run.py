"""Starts a helper: `python -I -S run.py NAME ARGUMENT…`; NAME is a module of this folder with a `main`.

The only path of a Python program in units: helpers can be split or renamed without new units.
"""

import os
import sys

HELPERS = ("count_crash", "health_sweep", "readiness_probe", "run_as_service", "start_delay")
USAGE_ERROR = 64
"""EX_USAGE of sysexits.h."""

if __name__ == "__main__":
    folder = __file__.rpartition("/")[0]
    # No bytecode of root in the checkout of a user, who could not remove it.
    sys.dont_write_bytecode = os.stat(folder).st_uid != os.geteuid()  # noqa: PTH116 - pathlib is slow to import
    sys.path.append(folder + "/../..")
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name not in HELPERS:
        print(f"cannot start the helper {name!r}: it is none of {', '.join(HELPERS)}", file=sys.stderr)
        os._exit(USAGE_ERROR)
    status = __import__(f"supervision.helpers.{name}", fromlist=["main"]).main(sys.argv[2:])
    os._exit(status)  # systemd waits for the exit, and the cleanup of Python takes milliseconds
