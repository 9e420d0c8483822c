"""Which mounts an overlay of / lacks, and how a path is shared."""

from __future__ import annotations

from pathlib import Path

import pytest

from omnitron.sandbox.binds import Bind, mount_points, separate_mounts

MOUNTINFO = r"""
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw
28 27 0:25 / /home rw,relatime - ext4 /dev/vdb rw
29 27 0:25 / /srv/my\040project/.venv rw,relatime - ext4 /dev/vdb rw
""".strip()


@pytest.mark.parametrize(
    ("needed", "bound"),
    [
        (["/srv/other"], []),
        (["/home/alice/project"], ["/home/alice/project"]),
        (["/home/alice/project", "/home/alice/project/.venv"], ["/home/alice/project"]),
        (["/srv/my project"], ["/srv/my project/.venv"]),
        (["/tmp/clone"], ["/tmp/clone"]),
        (["/", "/tmp", "/proc/self"], []),
    ],
)
def test_separate_mounts(needed: list[str], bound: list[str]) -> None:
    binds = separate_mounts([Bind(Path(path)) for path in needed], mount_points(MOUNTINFO))
    assert [str(bind.source) for bind in binds] == bound


@pytest.mark.parametrize(
    ("bind", "option"),
    [
        (Bind(Path("/srv/a b")), "--bind=/srv/a b:/srv/a b"),
        (Bind(Path("/srv/a:b"), Path("/mnt"), read_only=True), "--bind-ro=/srv/a\\:b:/mnt"),
    ],
)
def test_the_option_of_nspawn(bind: Bind, option: str) -> None:
    assert bind.option() == option
