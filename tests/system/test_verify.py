"""The verifiers of systemd 254 and 262 have nothing to say either. They need no boot, only a Debian root."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from omnitron.sandbox import debian_root
from tests.support.checkout import CHECKOUT
from tests.support.everything import EVERYTHING


def mirror() -> str:
    """Where the host's apt gets its Debian from."""
    form = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"]
    addresses = subprocess.run(form, capture_output=True, text=True, check=True).stdout.split()
    return next(address for address in addresses if address.rstrip("/").endswith("/debian"))


def root_with(version: str) -> Path:
    """A Debian root with that systemd: 254 is a backport, 262 is in the testing release."""
    if version == "262":
        # A mirror may hold a state of the testing release that is some weeks old.
        stale = ['--aptopt=Acquire::Check-Valid-Until "false"']
        return debian_root("forky", ["systemd", "python3-minimal"], options=stale)
    backported = ("systemd", "libsystemd-shared", "libsystemd0", "libudev1")
    sources = [f"deb {mirror()} {suite} main" for suite in ("bookworm", "bookworm-backports")]
    return debian_root(
        "bookworm", ["python3-minimal", *(f"{name}/bookworm-backports" for name in backported)], sources=sources
    )


@pytest.mark.parametrize("version", ["254", "262"])
@pytest.mark.parametrize("strategy", ["one_for_one", "one_for_all"])
def test_other_verifiers_have_nothing_to_say(tmp_path: Path, version: str, strategy: str) -> None:
    root = root_with(version)
    found = subprocess.run(["chroot", root, "systemctl", "--version"], capture_output=True, text=True, check=True)
    assert found.stdout.startswith(f"systemd {version} ")
    apps = [{"user": "www-data", **app} for app in EVERYTHING]
    definition = {"project": "verify", "apps": apps, "supervision": {"strategy": strategy}, "logging": {"maxFiles": 4}}
    (tmp_path / "omnitron.config.json").write_text(json.dumps(definition))
    # Not by its script: where the checkout is a copy, that still names the interpreter of the original.
    own_python = str(CHECKOUT / ".venv/bin/python3")
    generate = [own_python, "-m", "omnitron", "generate", "--systemd-version", version, "--root", tmp_path / "root"]
    subprocess.run(generate, cwd=tmp_path, check=True, capture_output=True)
    units = sorted((tmp_path / "root/etc/systemd/system").iterdir())
    names = [f"/units/{unit.name.replace('@.', '@1.')}" for unit in units]
    # A private mount namespace: the kept root stays as it is.
    script = """
        mount -t tmpfs tmpfs "$1/mnt" && mkdir "$1/mnt/u" "$1/mnt/w" "$1/mnt/m" &&
        mount -t overlay overlay -o "lowerdir=$1,upperdir=$1/mnt/u,workdir=$1/mnt/w" "$1/mnt/m" &&
        cp -r "$2" "$1/mnt/m/units" && mount -t proc proc "$1/mnt/m/proc" &&
        mkdir -p "$1/mnt/m${3%/*}" && ln -s /usr/bin/python3 "$1/mnt/m$3" &&
        tr -d - </proc/sys/kernel/random/uuid >"$1/mnt/m/etc/machine-id" &&
        root="$1/mnt/m" && shift 3 && exec chroot "$root" systemd-analyze verify --recursive-errors=yes "$@"
    """
    # Where omnitron is here is where it would be there.
    command = ["unshare", "--mount", "sh", "-c", script, "sh", str(root), str(units[0].parent), own_python, *names]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout + done.stderr == ""
    assert done.returncode == 0
