"""Root directories of Debian releases, for machines with another systemd than the host's."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from omnitron.errors import NotPermittedError, OmnitronError
from omnitron.sandbox.state import RunDirectory, machines

if TYPE_CHECKING:
    from collections.abc import Iterator

# systemd, Python with the libraries that omnitron imports, and the programs of its demos and tests.
PACKAGES = (
    *("systemd", "systemd-sysv", "dbus", "dbus-user-session", "libpam-systemd", "passwd"),
    *("python3", "python3-dbus-fast", "python3-jinja2", "python3-pydantic", "python3-pystemd"),
    *("python3-typer", "python3-yaml", "python3-redis", "python3-docker"),
    *("python3-httptools", "python3-jwt", "python3-cryptography", "python3-msgspec", "python3-starlette"),
    *("python3-uvicorn", "python3-websockets", "python3-pathspec"),
    *("python3-psycopg", "python3-psycopg-pool"),
    *("curl", "iproute2", "nodejs", "procps"),
    *("postgresql", "redis-server", "nginx", "libnginx-mod-http-lua", "lua-nginx-redis"),
)


def debian_root(
    suite: str = "trixie",
    include: Sequence[str] = PACKAGES,
    cache: Path | None = None,
    options: Sequence[str] = (),
    sources: Sequence[str] = (),
) -> Path:
    """Return a root directory of the Debian release `suite` with the packages `include`; create it if necessary.

    `options` are more options for mmdebstrap, `sources` lines of a sources.list in place of its own.

    It is stored below `cache` (`~/.cache/omnitron`) under a name with a hash of its contents. Directories of the
    same release with other packages are removed, unless a machine uses them. Packages come from the sources of
    the host's apt. OmnitronError, with the last message of mmdebstrap, if it cannot be created.
    """
    cache = cache or Path.home() / ".cache" / "omnitron"
    contents = [*sorted(set(include)), *options, *sources]
    key = hashlib.sha256(" ".join(contents).encode()).hexdigest()[:12]
    root = cache / f"debian-{suite}-{key}"
    if root.is_dir():
        return root
    _require(suite)
    cache.mkdir(parents=True, exist_ok=True)
    with _locked(cache):
        if not root.is_dir():
            _build(suite, [f"--include={','.join(include)}", *options], sources, root)
        _remove_others(root)
    return root


def _require(suite: str) -> None:
    if os.geteuid() != 0:
        raise NotPermittedError(f"cannot make a Debian {suite}: only root can", hint="run it with sudo")
    if not shutil.which("mmdebstrap"):
        raise OmnitronError(
            f"cannot make a Debian {suite}: mmdebstrap is not installed", hint="apt-get install mmdebstrap"
        )


def _build(suite: str, options: Sequence[str], sources: Sequence[str], root: Path) -> None:
    for left in root.parent.glob(".build-*"):
        shutil.rmtree(left)
    # The folder has the mode 0700, which `/` must not have: so the root is one level below.
    with tempfile.TemporaryDirectory(prefix=".build-", dir=root.parent) as draft:
        target = Path(draft) / "root"
        command = ["mmdebstrap", "--variant=minbase", *options, suite, str(target), *sources]
        # It has no exit status for a full disk: `_failure` reads the system's own sentence, in one language.
        environment = {**os.environ, "LC_ALL": "C"}
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False, env=environment)
        if done.returncode:
            raise _failure(suite, done.stderr)
        target.rename(root)


def _failure(suite: str, output: str) -> OmnitronError:
    errors = [line for line in output.splitlines() if line.startswith("E:")] or output.splitlines()[-1:]
    why = errors[0].removeprefix("E: ") if errors else "mmdebstrap failed"
    full = "No space left on device" in output
    return OmnitronError(
        f"cannot make a Debian {suite}: {'the disk is full' if full else why}",
        hint="free 1 GB in the cache directory"
        if full
        else f"run it by hand to see all messages: mmdebstrap {suite} /tmp/root",
    )


def _remove_others(root: Path) -> None:
    used = [record.options.root for name in machines() if (record := RunDirectory(name).running())]
    for other in root.parent.glob(f"{root.name.rpartition('-')[0]}-*"):
        if other.is_dir() and other != root and str(other.resolve()) not in used:
            shutil.rmtree(other)


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
