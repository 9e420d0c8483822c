"""Runs inside the user-mode Linux machine, as a service: takes commands from its serial line, one a line, and answers.

A request is `{"argv": […], "user": …, "cwd": …, "input": …, "timeout": …}`, in pieces: each is a line that begins with
`+`, the last one with `.`. The answer to all but the last is `{}`, and to that one
`{"returncode": …, "stdout": …, "stderr": …}`; a returncode of null means that it took too long.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tty
from typing import Any

ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "TERM": "dumb",
}


def answer(request: dict[str, Any]) -> dict[str, Any]:
    user = ["runuser", "-u", request["user"], "--"] if request["user"] else []
    try:
        done = subprocess.run(
            [*user, *request["argv"]],
            cwd=request["cwd"] or "/",
            env=ENVIRONMENT,
            input=request["input"] or "",
            capture_output=True,
            text=True,
            errors="replace",
            timeout=request["timeout"],
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"returncode": None, "stdout": "", "stderr": ""}
    except OSError as error:
        return {"returncode": 127, "stdout": "", "stderr": str(error)}
    return {"returncode": done.returncode, "stdout": done.stdout, "stderr": done.stderr}


def main() -> None:
    serial = os.open(sys.argv[1], os.O_RDWR | os.O_NOCTTY)
    tty.setraw(serial)
    buffered = taken = b""
    os.write(serial, b'{"ready": true}\n')
    while part := os.read(serial, 65536):
        *pieces, buffered = (buffered + part).split(b"\n")
        for piece in pieces:
            taken += piece[1:]
            reply = b"{}\n"
            if piece.startswith(b"."):
                reply = json.dumps(answer(json.loads(taken))).encode() + b"\n"
                taken = b""
            while reply:
                reply = reply[os.write(serial, reply) :]


main()
