"""One of several packers: takes an order that no other has taken, and packs it."""

import os
import time
from pathlib import Path

SPOOL = Path(os.environ["STATE_DIRECTORY"])
NUMBER = os.environ["OMNITRON_INSTANCE"]

print(f"packer {NUMBER} is ready")
while True:
    for order in SPOOL.glob("*.order"):
        mine = order.with_suffix(f".packing-{NUMBER}")
        try:
            order.rename(mine)
        except FileNotFoundError:
            continue
        print(f"packer {NUMBER} packed: {mine.read_text(errors='replace')[:80]}")
        mine.unlink()
    time.sleep(0.2)
