"""Health probes: `python -I -S health_sweep.py [--user] --policy PATH --results PATH --interval-ms N`."""

import os
import sys

if __name__ == "__main__":
    folder = __file__.rpartition("/")[0]
    # A user could not remove root's bytecode from their checkout.
    sys.dont_write_bytecode = os.stat(folder).st_uid != os.geteuid()  # noqa: PTH116 - pathlib is slow to import
    sys.path.append(folder + "/..")
    status = __import__("supervision.helpers.health_sweep", fromlist=["main"]).main(sys.argv[1:])
    os._exit(status)  # systemd waits for this, and clearing up takes milliseconds
