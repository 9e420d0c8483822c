"""A port for Prometheus must be free, and have a token."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.build import problems, shop, write

WHERE = "monitoring.metrics.prometheus"


def said(folder: Path, **asked: Any) -> list[str]:
    (folder / "token").touch()
    app = {"name": "a", "transports": {"http": {"port": 9001}}}
    prometheus = {"port": 9464, "tokenFile": "token", **asked}
    return problems(write(folder, shop(app, monitoring={"metrics": {"prometheus": prometheus}})))


def test_all_is_well(tmp_path: Path) -> None:
    assert said(tmp_path, host="::1") == []


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        ({"port": 9001}, f"{WHERE}.port: cannot listen on 9001: a:main does"),
        ({"host": "localhost"}, f"{WHERE}.host: cannot listen on 'localhost': it must be an IP address"),
        ({"tokenFile": "none"}, f"{WHERE}.tokenFile: cannot find the file"),
        ({"port": 0}, f"{WHERE}.port"),
        ({"token": "secret"}, f"{WHERE}.token: "),
    ],
)
def test_what_is_wrong(tmp_path: Path, asked: dict[str, Any], text: str) -> None:
    (problem,) = said(tmp_path, **asked)
    assert text in problem


def test_a_key_in_another_spelling_is_unknown_and_not_missing(tmp_path: Path) -> None:
    prometheus = {"port": 9464, "tokenfile": "token"}
    (problem,) = problems(write(tmp_path, shop({"name": "a"}, monitoring={"metrics": {"prometheus": prometheus}})))
    assert f"{WHERE}.tokenfile: cannot use this key: it is unknown (did you mean 'tokenFile'?)" in problem
