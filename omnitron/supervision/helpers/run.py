"""Starts a helper: `python -I -S run.py NAME ARGUMENT…`; NAME is a module of this folder with a `main`.

The one path of a Python program in units: a helper may be split or renamed inside without a new unit.
"""

import os
import sys

HELPERS = ("count_crash", "health_sweep", "readiness_probe", "run_as_service", "start_delay")
USAGE_ERROR = 64
"""EX_USAGE of sysexits.h."""

if __name__ == "__main__":
    folder = __file__.rpartition("/")[0]
    # A user could not remove root's bytecode from their checkout.
    sys.dont_write_bytecode = os.stat(folder).st_uid != os.geteuid()  # noqa: PTH116 - pathlib is slow to import
    sys.path.append(folder + "/../..")
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name not in HELPERS:
        print(f"cannot start the helper {name!r}: there is {', '.join(HELPERS)}", file=sys.stderr)
        os._exit(USAGE_ERROR)
    status = __import__(f"supervision.helpers.{name}", fromlist=["main"]).main(sys.argv[2:])
    os._exit(status)  # systemd waits for this, and clearing up takes milliseconds
