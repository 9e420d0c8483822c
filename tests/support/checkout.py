"""The checkout that is tested, and copies of it where every user and every unit can read them."""

from __future__ import annotations

import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
PREFIX = "omnitron-test"
"""Of the names of machines and folders; the pid of the test process comes next."""


def is_open_to_others() -> bool:
    """Whether other users, whom some tests run as, can enter the checkout and read it."""
    folders = (CHECKOUT, *CHECKOUT.parents)
    files = (CHECKOUT / "omnitron/errors.py", CHECKOUT / "pyproject.toml")
    is_entered = all(folder.stat().st_mode & stat.S_IXOTH for folder in folders)
    return is_entered and all(file.stat().st_mode & stat.S_IROTH for file in files)


def copy_checkout(folder: Path, names: Iterable[str], seen_at: Path, without: Iterable[str] = ()) -> None:
    """Copy `names` of the checkout to `folder`, with the virtual environment that runs but for `without` in it.

    `seen_at` is the path under which the copy is used.
    """
    for name in names:
        if (CHECKOUT / name).is_dir():
            shutil.copytree(CHECKOUT / name, folder / name, symlinks=True)
        else:
            shutil.copy2(CHECKOUT / name, folder / name)
    if sys.prefix != sys.base_prefix:
        shutil.copytree(sys.prefix, folder / ".venv", symlinks=True, ignore=shutil.ignore_patterns(*without))
        for path in folder.glob(".venv/lib/python*/site-packages/*omnitron*.pth"):
            path.write_text(f"{seen_at}\n")
    # Whatever the umask was that the checkout was made with.
    subprocess.run(["chmod", "-R", "a+rX,u+w", str(folder)], check=True)


def remove_stale_copies() -> None:
    """Remove the copies of test processes that were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}-*"):
        pid = folder.name.removeprefix(f"{PREFIX}-").partition("-")[0]
        if pid.isdigit() and not Path(f"/proc/{pid}").exists():
            shutil.rmtree(folder, ignore_errors=True)
