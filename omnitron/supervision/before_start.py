"""Waits before a restart: `python -I -S before_start.py UNIT [--user] --record … --backoff … --window …`."""

import os
import sys

if __name__ == "__main__":
    folder = __file__.rpartition("/")[0]
    # A user could not remove root's bytecode from their checkout.
    sys.dont_write_bytecode = os.stat(folder).st_uid != os.geteuid()  # noqa: PTH116 - pathlib is slow to import
    sys.path.append(folder + "/..")
    status = __import__("supervision.helpers.start_delay", fromlist=["main"]).main(sys.argv[1:])
    os._exit(status)  # systemd waits for this, and clearing up takes milliseconds
