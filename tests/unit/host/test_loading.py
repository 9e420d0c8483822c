from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest

from omnitron.host.loading import PRIVATE, ExitError, Loader, LoadError
from tests.support.module_files import Write

pytestmark = pytest.mark.usefixtures("as_before")


def new_modules(before: set[str]) -> set[str]:
    return set(sys.modules) - before


# Where modules are


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("fruit.py", "fruit.py"),
        ("./fruit.py", "fruit.py"),
        ("modules/fruit.py", "modules/fruit.py"),
        ("fruit", "fruit.py"),
        ("modules.fruit", "modules/fruit.py"),
        ("my-fruit.py", "my-fruit.py"),
        ("v1.fruit.py", "v1.fruit.py"),
        ("lib/__init__.py", "lib/__init__.py"),
        ("lib.fruit", "lib/fruit.py"),
        ("lib/fruit.py", "lib/fruit.py"),
        ("no-name/__init__.py", "no-name/__init__.py"),
        ("no-name/fruit.py", "no-name/fruit.py"),
    ],
)
def test_a_module_is_found_by_its_path_or_its_name(write: Write, name: str, file: str) -> None:
    files = ("fruit.py", "modules/fruit.py", "my-fruit.py", "v1.fruit.py", "lib/__init__.py", "lib/fruit.py")
    folder = write({one: f"here = {one!r}" for one in (*files, "no-name/__init__.py", "no-name/fruit.py")})
    module = Loader([folder]).module(name)
    assert (module.here, module.__file__) == (file, str(folder / file))
    assert sys.modules[module.__name__] is module


def test_an_absolute_path_needs_no_folder(write: Write) -> None:
    folder = write({"elsewhere/fruit.py": "x = 1"})
    assert Loader([]).module(str(folder / "elsewhere/fruit.py")).x == 1


def test_folders_are_looked_at_in_order(write: Write) -> None:
    folder = write({"a/only_b.txt": "", "a/both.py": "x = 'a'", "b/both.py": "x = 'b'", "b/one.py": "x = 'one'"})
    loader = Loader([folder / "a", folder / "b"])
    assert [loader.module(name).x for name in ("both.py", "one.py", "both", "one")] == ["a", "one", "a", "one"]


@pytest.mark.parametrize("name", ["lost.py", "modules/", "lost/fruit.py", "/lost.py"])
def test_a_file_that_is_not_there_is_told_with_every_place(write: Write, name: str) -> None:
    folder = write({"modules/fruit.py": ""})
    with pytest.raises(LoadError) as caught:
        Loader([folder, folder / "b"]).module(name)
    tried = [Path(name)] if name.startswith("/") else [folder / name, folder / "b" / name]
    assert caught.value.brief == f"cannot find {name}: looked for {', '.join(map(str, tried))}"


def test_a_file_of_another_kind_is_told(write: Write) -> None:
    folder = write({"bin/run": "#!/bin/sh"})
    with pytest.raises(LoadError, match="it is not a Python file"):
        Loader([folder]).module("bin/run")


# Imports of each other


def test_a_package_imports_relatively(write: Write) -> None:
    folder = write(
        {
            "src/fruit_shop/__init__.py": "",
            "src/fruit_shop/deep/__init__.py": "",
            "src/fruit_shop/deep/api.py": "from ..prices import price\nfrom . import other",
            "src/fruit_shop/deep/other.py": "",
            "src/fruit_shop/prices.py": "price = 3",
        }
    )
    module = Loader([folder]).module("src/fruit_shop/deep/api.py")
    assert (module.__name__, module.price) == ("fruit_shop.deep.api", 3)


def test_a_file_imports_its_neighbours_and_what_lies_in_the_folders(write: Write) -> None:
    folder = write(
        {"modules/stall.py": "import neighbour, shared", "modules/neighbour.py": "", "shared/__init__.py": ""}
    )
    module = Loader([folder]).module("modules/stall.py")
    assert module.neighbour.__file__ == str(folder / "modules/neighbour.py")
    assert module.shared.__file__ == str(folder / "shared/__init__.py")


def test_a_file_is_imported_once_however_it_is_named(write: Write) -> None:
    folder = write(
        {
            "modules/stall.py": "def hook(): pass",
            "modules/other.py": "import stall",
            "modules/http.py": "def hook(): pass",
            "lib/__init__.py": "",
            "lib/fruit.py": "def hook(): pass",
        }
    )
    loader = Loader([folder, folder / "modules"])
    for names in (
        ("modules/stall.py", "stall.py", "./modules/stall.py", str(folder / "modules/stall.py"), "stall"),
        ("modules/http.py", "http.py"),
        ("lib/fruit.py", "lib.fruit"),
    ):
        modules = [loader.module(name) for name in names]
        assert all(module is modules[0] for module in modules), names
        assert all(loader.function(f"{name}:hook") is modules[0].hook for name in names)
    assert loader.module("modules/other.py").stall is loader.module("modules/stall.py")


def test_a_link_to_a_folder_does_not_make_a_second_module(write: Write) -> None:
    folder = write({"releases/1/modules/stall.py": "", "releases/1/modules/other.py": "import stall"})
    (folder / "current").symlink_to("releases/1")
    loader = Loader([folder / "current" / "modules"])
    other = loader.module("other")
    assert loader.module("stall.py") is other.stall


def test_two_files_of_one_name_are_two_modules(write: Write) -> None:
    folder = write({"a/fruit.py": "x = 'a'", "b/fruit.py": "x = 'b'"})
    loader = Loader([folder])
    assert [loader.module(f"{one}/fruit.py").x for one in "abab"] == ["a", "b", "a", "b"]


# The library


@pytest.mark.parametrize("name", ["http", "json", "asyncio", "sys", "omnitron", "pytest", "__main__"])
def test_a_file_named_like_a_module_is_neither_taken_for_it_nor_in_its_place(write: Write, name: str) -> None:
    folder = write({f"{name}.py": "mine = True"})
    library = importlib.import_module(name)
    module = Loader([folder]).module(f"{name}.py")
    assert (module.mine, module.__name__) == (True, PRIVATE + name)
    assert importlib.import_module(name) is library


def test_a_file_does_not_stand_in_for_a_library_that_comes_later(write: Write) -> None:
    folder = write({"stall.py": "import colorsys", "colorsys.py": "mine = True"})
    sys.modules.pop("colorsys", None)
    module = Loader([folder]).module("stall.py")
    assert not hasattr(module.colorsys, "mine")
    assert Loader([folder]).module("colorsys.py").mine


def test_a_folder_comes_before_what_is_installed(write: Write) -> None:
    folder = write({"a/x.txt": "", "b/x.txt": ""})
    Loader([folder / "a", folder / "b"])
    packages = min((number for number, entry in enumerate(sys.path) if entry.endswith("-packages")), default=999)
    assert sys.path.index(str(folder / "a")) + 1 == sys.path.index(str(folder / "b")) < packages
    before = list(sys.path)
    Loader([folder / "b", folder / "a"])
    assert sys.path == before


def test_a_package_named_like_another_is_told(write: Write) -> None:
    folder = write({"http/__init__.py": "", "http/server.py": "mine = True"})
    with pytest.raises(LoadError) as caught:
        Loader([folder]).module("http/server.py")
    assert caught.value.lines() == [
        f"cannot import {folder}/http/server.py: another module is called http",
        f"rename the folder {folder}/http",
    ]


@pytest.mark.parametrize(("name", "file"), [("json", "json.py"), ("json.tool", "json/__init__.py")])
def test_a_name_that_means_another_module_is_told(write: Write, name: str, file: str) -> None:
    folder = write({file: ""})
    with pytest.raises(LoadError) as caught:
        Loader([folder]).module(name)
    assert caught.value.lines() == [
        f"cannot import json: the name means another module than {folder / file}",
        "name the module by its path",
    ]


def test_a_name_may_mean_an_installed_module(tmp_path: Path) -> None:
    assert Loader([tmp_path]).module("json.tool").__name__ == "json.tool"


# Functions


def test_functions(write: Write) -> None:
    folder = write({"stall.py": "class Box:\n    def open(self): pass\ndef hook(): pass\nnothing = None\nnumber = 3"})
    loader = Loader([folder])
    module = loader.module("stall.py")
    assert loader.function("stall.py:hook") is module.hook
    assert loader.function("stall:hook") is module.hook
    assert loader.function("stall.py:Box.open") is module.Box.open


@pytest.mark.parametrize(
    ("reference", "why"),
    [
        ("stall.py:lost", "cannot find the function 'lost' in stall.py"),
        ("stall.py:number", "cannot find the function 'number' in stall.py"),
        ("stall.py:hook.lost", "cannot find the function 'hook.lost' in stall.py"),
        ("stall.py", "cannot find 'stall.py': a function is named as `file.py:function`"),
        ("stall.py:", "cannot find 'stall.py:': a function is named as `file.py:function`"),
        (":hook", "cannot find ':hook': a function is named as `file.py:function`"),
        ("lost.py:hook", "cannot find lost.py: looked for "),
    ],
)
def test_a_function_that_is_not_there_is_told(write: Write, reference: str, why: str) -> None:
    folder = write({"stall.py": "number = 3\ndef hook(): pass"})
    with pytest.raises(LoadError) as caught:
        Loader([folder]).function(reference)
    assert caught.value.brief.startswith(why)


# Code that fails


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("1 / 0", ZeroDivisionError),
        ("def (", SyntaxError),
        ("import no_such_module", ModuleNotFoundError),
        ("import sys; del sys.modules[__name__]; 1 / 0", ZeroDivisionError),
        ("raise KeyboardInterrupt", KeyboardInterrupt),
        ("import sys; sys.exit(0)", ExitError),
    ],
)
@pytest.mark.parametrize("name", ["stall.py", "my-stall.py", "http.py", "lib/stall.py", "stall"])
def test_a_module_that_fails_is_no_module(write: Write, name: str, text: str, error: type[BaseException]) -> None:
    folder = write({"lib/__init__.py": "", name if name.endswith(".py") else f"{name}.py": text})
    loader, before = Loader([folder]), set(sys.modules)
    for _ in range(2):
        with pytest.raises(error):
            loader.module(name)
    assert new_modules(before) <= {"lib"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("exit(0)", "it calls sys.exit(0)"),
        ("exit()", "it calls sys.exit()"),
        ("exit('bye')", "it calls sys.exit('bye')"),
    ],
)
def test_a_module_cannot_end_the_process(write: Write, text: str, said: str) -> None:
    folder = write({"stall.py": f"from sys import exit\n{text}"})
    for load in (Loader([folder]).module, lambda name: Loader([folder]).function(f"{name}:hook")):
        with pytest.raises(ExitError) as caught:
            load("stall.py")
        assert str(caught.value) == said
        traceback: Any = caught.traceback
        assert (str(traceback[-1].path), traceback[-1].lineno + 1) == (str(folder / "stall.py"), 2)
