"""Files of a package of omnitron that `generate` installs where there is no package."""

from __future__ import annotations

from pathlib import Path

PACKAGED_WATCHER = Path("/usr/lib/systemd/system/omnitron-watcher.service")
