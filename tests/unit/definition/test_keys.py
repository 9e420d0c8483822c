"""Who asks for tokens needs a key to check them with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.build import bootstrap, problems, shop, write

NO_KEY = "bootstrap.yaml:{}: {}.jwt: cannot check tokens: there is no key"


def said(folder: Path, own: Any, app: Any) -> list[str]:
    process = {"name": "p", "module": "some.module", **({} if own is None else {"auth": own})}
    bootstrap(folder, process, **({"auth": app} if app else {}))
    return problems(write(folder, shop({"name": "a", "bootstrap": "bootstrap.yaml"})))


@pytest.mark.parametrize(
    ("own", "app", "where"),
    [
        (None, {"jwt": {"enabled": True}}, "auth.jwt"),
        ({"jwt": {"enabled": True}}, None, "processes.p.auth.jwt"),
        (False, {"jwt": {"enabled": True}}, None),
        (None, {"jwt": {"enabled": False}}, None),
        ({"jwt": {"enabled": False}}, {"jwt": {"enabled": True}}, None),
    ],
)
def test_a_key_is_needed(tmp_path: Path, own: Any, app: Any, where: str | None) -> None:
    found = said(tmp_path, own, app)
    assert bool(found) == (where is not None)
    assert where is None or (where in found[0] and "there is no key" in found[0])


def test_the_key_must_be_there(tmp_path: Path) -> None:
    auth = {"jwt": {"enabled": True, "keyFile": "jwt.key"}}
    assert "cannot find the file" in said(tmp_path, auth, None)[0]
    (tmp_path / "jwt.key").touch()
    assert said(tmp_path, auth, None) == []
