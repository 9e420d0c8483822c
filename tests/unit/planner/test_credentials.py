"""Which files systemd can hand on, and who reads those that it cannot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from omnitron.planner.credentials import can_be_loaded
from omnitron.policy.host_spec import Jwt
from tests.support.build import bootstrap, planned, shop, units


def test_a_path_with_a_space_cannot_be_loaded() -> None:
    assert can_be_loaded(Path("/srv/shöp/jwt.key")) and not can_be_loaded(Path("/srv/my shop/jwt.key"))


def test_a_process_reads_such_a_file_itself(tmp_path: Path) -> None:
    def compiled(folder: Path) -> tuple[Jwt, dict[str, Any]]:
        path = bootstrap(folder, {"name": "p", "module": "./m.py", "auth": {"jwt": {"enabled": True, "keyFile": "k"}}})
        for name in ("m.py", "k"):
            (folder / name).write_text("")
        plan = planned(folder, shop({"name": "app", "bootstrap": path}))
        (process,) = plan.stacks[0].apps["app"]
        assert process.hosted and process.hosted.document.jwt
        return process.hosted.document.jwt, dict(units(plan)["omnitron-dev-app-p.service"].values)

    jwt, app = compiled(tmp_path / "plain")
    assert jwt.key_file is None and app["load_credential"]
    jwt, app = compiled(tmp_path / "with space")
    assert jwt.key_file == str(tmp_path / "with space/k")
    assert app["load_credential"] is None
