"""Which file is the definition, and what its relative paths are relative to."""

from __future__ import annotations

from pathlib import Path

import pytest

from omnitron.definition.loader import load
from omnitron.definition.lookup import NoDefinitionError, find
from omnitron.definition.paths import absolute
from tests.support.build import bootstrap, loaded, problems, shop, write


def test_the_nearest_file_upwards_is_found(tmp_path: Path) -> None:
    outer = write(tmp_path, "")
    inner = write(tmp_path / "a", "", ".json")
    deep = tmp_path / "a/b/c"
    deep.mkdir(parents=True)
    assert find(None, deep) == find(None, inner.parent) == inner
    assert find(None, tmp_path) == outer


def test_python_is_looked_for_first_and_yml_last(tmp_path: Path) -> None:
    for suffix in (".yml", ".json", ".yaml", ".toml", ".py"):
        write(tmp_path, "", suffix)
        assert find(None, tmp_path).suffix == suffix


def test_config_names_a_file_or_a_folder_and_wins(tmp_path: Path) -> None:
    write(tmp_path, "")
    other = write(tmp_path / "other", "", stem="mine")
    there = write(tmp_path / "there", "")
    assert find(Path("other/mine.yaml"), tmp_path) == find(other, Path("/")) == other
    assert find(Path("there"), tmp_path) == there
    assert find(Path("../x/nowhere.yaml"), tmp_path / "a") == tmp_path / "x/nowhere.yaml"


def test_a_folder_of_that_name_is_no_definition(tmp_path: Path) -> None:
    (tmp_path / "a/omnitron.config.py").mkdir(parents=True)
    path = write(tmp_path, "")
    assert find(None, tmp_path / "a") == path


def test_without_a_file_the_error_names_what_would_do(tmp_path: Path) -> None:
    with pytest.raises(NoDefinitionError) as caught:
        find(None, tmp_path)
    assert caught.value.lines() == [
        "cannot find a definition: none of omnitron.config.py, omnitron.config.toml, omnitron.config.yaml, "
        f"omnitron.config.json is in {tmp_path} or a folder above it",
        "write one with `omnitron init`, or name it with --config",
    ]
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("x/../y/./z/", "/base/y/z"),
        ("../a", "/a"),
        ("/b", "/b"),
        ("~/c", "/home/me/c"),
        ("~no one/d", "/base/~no one/d"),
    ],
)
def test_relative_paths(given: str, meant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert absolute(Path("/base"), given) == Path(meant)


def test_an_entry_is_relative_to_the_folder_of_its_file_or_to_its_cwd(tmp_path: Path) -> None:
    (tmp_path / "web").mkdir()
    ecosystem = loaded(tmp_path, shop({"name": "a"}, {"name": "b", "cwd": "web"}, {"name": "c", "cwd": str(tmp_path)}))
    assert [app.folder for app in ecosystem.apps] == [tmp_path, tmp_path / "web", tmp_path]


@pytest.mark.parametrize(
    ("entry_cwd", "system_cwd", "meant"),
    [(None, None, "."), (None, "data", "api/data"), ("api", None, "api"), ("api", "data", "api")],
)
def test_a_system_says_where_it_works_unless_the_entry_does(
    tmp_path: Path, entry_cwd: str | None, system_cwd: str | None, meant: str
) -> None:
    more = {"cwd": system_cwd} if system_cwd else {}
    file = bootstrap(tmp_path / "api", {"name": "main", "command": ["/bin/true"]}, **more)
    entry = {"name": "api", "bootstrap": file} | ({"cwd": entry_cwd} if entry_cwd else {})
    assert loaded(tmp_path, shop(entry)).apps[0].working_directory == tmp_path / meant


@pytest.mark.parametrize("where", ["api/src/config", "api/config", "config"])
def test_the_needs_of_an_app_lie_beside_its_bootstrap_or_in_its_folder(tmp_path: Path, where: str) -> None:
    file = bootstrap(tmp_path / "api/src", {"name": "main", "command": ["/bin/true"]})
    write(tmp_path / where, {"omnitron": {"database": True}, "other": 1}, ".json", "default")
    app = loaded(tmp_path, shop({"name": "api", "bootstrap": file})).apps[0]
    assert app.needs and app.needs.database is True


def test_a_default_json_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    file = bootstrap(tmp_path / "api", {"name": "main", "command": ["/bin/true"]})
    write(tmp_path / "api/config", {"other": 1}, ".json", "default")
    assert loaded(tmp_path, shop({"name": "api", "bootstrap": file})).apps[0].needs is None


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"bootstrap": "no.yaml"}, "4: apps.a.bootstrap: cannot find the file no.yaml"),
        ({"script": "no.py"}, "4: apps.a.script: cannot find the file no.py"),
        ({"script": "~no one/x"}, "4: apps.a.script: cannot find the file ~no one/x"),
        ({"script": "x" * 5000}, "4: apps.a.script: cannot find the file " + "x" * 5000),
        ({"cwd": "no"}, "7: apps.a.cwd: cannot start in no: there is no such folder"),
    ],
)
def test_what_is_not_there(tmp_path: Path, entry: dict[str, str], message: str) -> None:
    path = write(tmp_path, shop({"name": "a", **entry}, nobody=True))
    assert problems(path) == [f"omnitron.config.yaml:{message}"]


def test_the_model_of_an_ecosystem_knows_its_apps(tmp_path: Path) -> None:
    ecosystem = load(
        write(tmp_path, shop({"name": "a"}, {"name": "b"}, stacks={"x": {"type": "local", "apps": ["b"]}}))
    )
    assert ecosystem.folder == tmp_path
    assert [app.name for app in ecosystem.apps_of("x")] == ["b"]
    assert ecosystem.by_name["b"].index == 1
