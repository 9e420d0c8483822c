"""Signs a token for the shop's admin, as a login server would: `python apps/web/sign.py manager`."""

import sys
import time
from pathlib import Path

import jwt

key = (Path(__file__).parent / "demo.key").read_bytes().removesuffix(b"\n")
print(jwt.encode({"sub": "you", "roles": sys.argv[1:], "exp": time.time() + 3600}, key, "HS256"))
