"""The guard that the tests of the planner run under."""

from __future__ import annotations

import pytest

from tests.unit.purity import PLANNER


@pytest.mark.parametrize(
    "look",
    [
        "import os; os.stat('/')",
        "from pathlib import Path; Path('/').exists()",
        "from pathlib import Path; list(Path('/').glob('*'))",
        "from pathlib import Path; Path('/etc/hosts').read_text()",
        "import os.path; os.path.isfile('/etc/hosts')",
        "import subprocess; subprocess.run(['true'])",
        "import pwd; pwd.getpwuid(0)",
    ],
)
def test_a_look_at_the_host_from_the_planner_fails(look: str) -> None:
    with pytest.raises(AssertionError, match="the planner calls"):
        exec(compile(look, f"{PLANNER}looking.py", "exec"))
    exec(compile(look, "elsewhere.py", "exec"))
