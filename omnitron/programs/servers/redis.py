"""Redis as a service: `python -I -S redis.py run SETTINGS`, `… probe PORT`."""

from __future__ import annotations

import os
import sys

# As a program this file stands alone until its last lines have set the path: what is omnitron's is imported later.

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PLACES = ("/usr/bin/redis-server", "/usr/local/bin/redis-server")
PING = b"PING\r\n"


def main(arguments: list[str]) -> int:
    """Run the verb on the command line."""
    from omnitron.programs.servers.service_folders import run

    return run({"run": serve, "probe": probe}, arguments)


def serve(arguments: list[str]) -> None:
    """Become the server."""
    from omnitron.policy.server_specs import RedisSpec
    from omnitron.programs.secrets.credentials import read
    from omnitron.programs.servers.service_folders import CannotError, folder, read_spec, write

    server = next((place for place in PLACES if os.access(place, os.X_OK)), None)
    if server is None:
        raise CannotError("cannot run Redis: it is not installed: apt install redis-server")
    spec = read_spec(arguments[0], RedisSpec)
    runtime = folder("RUNTIME_DIRECTORY")
    own: dict[str, Any] = {
        "bind": spec.address,
        "port": spec.port,
        "protected-mode": "yes",
        "unixsocket": f"{runtime}/redis.sock",
        "unixsocketperm": "700",
        "dir": folder("STATE_DIRECTORY"),
        "daemonize": "no",
        "supervised": "systemd",
        "logfile": "",
        "databases": spec.databases,
    }
    if spec.credential:
        own["requirepass"] = read(spec.credential)
    lines = [f"{name} {quoted(str(value))}" for name, value in {**spec.config, **own}.items()]
    write(f"{runtime}/redis.conf", lines)
    os.execv(server, [server, f"{runtime}/redis.conf"])


def quoted(text: str) -> str:
    """Return a text as one quoted word of the configuration file."""
    plain = set(range(0x20, 0x7F)) - {ord('"'), ord("\\")}
    return '"' + "".join(chr(byte) if byte in plain else f"\\x{byte:02x}" for byte in text.encode()) + '"'


def probe(arguments: list[str]) -> None:
    """Send a PING; the answer of a server that requires a password counts too."""
    from omnitron.programs.servers.service_folders import CannotError, ask

    answer = ask(int(arguments[0]), PING, 64)
    if not answer.startswith((b"+PONG", b"-NOAUTH")):
        raise CannotError(f"no answer of a Redis server: {answer[:40]!r}")


if __name__ == "__main__":
    here = __file__.rpartition("/")[0]
    # A user could not remove root's bytecode from their checkout.
    sys.dont_write_bytecode = os.stat(here).st_uid != os.geteuid()  # noqa: PTH116 - pathlib is slow to import
    sys.path.append(here + "/../../..")
    sys.exit(main(sys.argv[1:]))
