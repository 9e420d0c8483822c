"""nginx as the gateway's service: `python -I -S serve.py run|reload SETTINGS`. Standard library only.

Both check the configuration first: what nginx does not accept is never what it runs with.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

NGINX = "/usr/sbin/nginx"
PAGE = "<!doctype html><title>Maintenance</title><h1>Down for maintenance</h1><p>Please try again in a while.</p>\n"


def main(arguments: list[str]) -> int:
    """Run the verb on the command line."""
    from omnitron.infra.native.running import run

    return run({"run": serve, "reload": reload}, arguments)


def serve(arguments: list[str]) -> None:
    """Become nginx."""
    from omnitron.infra.native.running import folder, settings, write
    from omnitron.secrets.credentials import read

    told, place = settings(arguments[0]), folder("RUNTIME_DIRECTORY")
    if told["credential"]:
        _write_private(f"{place}/redis-password", read(told["credential"]))
    write(f"{place}/maintenance.html", [PAGE.rstrip()])
    if told["tls"]:
        credentials = os.environ["CREDENTIALS_DIRECTORY"]
        lines = [f"ssl_certificate {credentials}/tls-certificate;", f"ssl_certificate_key {credentials}/tls-key;"]
        write(f"{place}/tls.conf", lines)
    os.symlink(folder("CACHE_DIRECTORY"), f"{place}/cache")  # noqa: PTH211
    _checked(told, place)
    os.execv(NGINX, ["nginx", *_arguments(place, "nginx.conf"), "-g", "daemon off;"])


def reload(arguments: list[str]) -> None:
    """Check what the configuration is now, and let the running nginx take it over."""
    import signal

    from omnitron.infra.native.running import folder, settings

    _checked(settings(arguments[0]), folder("RUNTIME_DIRECTORY"))
    os.kill(int(os.environ["MAINPID"]), signal.SIGHUP)


def _checked(told: dict[str, Any], place: str) -> None:
    """Put the configuration in place if nginx accepts it."""
    import subprocess

    from omnitron.infra.native.running import CannotError, write

    with open(told["config"], encoding="utf-8") as file:  # noqa: PTH123 - pathlib is slow to import
        write(f"{place}/nginx.conf.new", file.read().splitlines())
    done = subprocess.run([NGINX, *_arguments(place, "nginx.conf.new"), "-t", "-q"], capture_output=True, text=True)
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if "[emerg]" in line] or done.stderr.splitlines()
        raise CannotError(f"cannot use the configuration: {said[-1] if said else 'nginx -t failed'}")
    os.rename(f"{place}/nginx.conf.new", f"{place}/nginx.conf")  # noqa: PTH104


def _arguments(place: str, name: str) -> list[str]:
    return ["-p", f"{place}/", "-e", "stderr", "-c", f"{place}/{name}"]


def _write_private(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123 - a descriptor
        file.write(text)


if __name__ == "__main__":
    here = __file__.rpartition("/")[0]
    # A user could not remove root's bytecode from their checkout.
    sys.dont_write_bytecode = os.stat(here).st_uid != os.geteuid()  # noqa: PTH116 - pathlib is slow to import
    sys.path.append(here + "/../..")
    sys.exit(main(sys.argv[1:]))
