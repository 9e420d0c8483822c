"""Which file a module is, and which services its text declares."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from omnitron.definition.service_scan import MAX_BYTES, MAX_BYTES_OF_ALL, MAX_FILES, find_module, services_in

S = "from omnitron import service\n"
ONE = S + "@service('One')\nclass A: ...\n"
TWO = S + "@service('Two')\nclass B: ...\n"

# What a file says, the files beside it, and the services in it.
DECLARED: list[tuple[str, dict[str, str], set[str]]] = [
    ("", {}, set()),
    ("x = 1\nclass A: ...\ndef f(): ...\n", {}, set()),
    (ONE, {}, {"One"}),
    ("\ufeff" + ONE, {}, {"One"}),
    (S + "@service\nclass Prices: ...\n", {}, {"Prices"}),
    ("from omnitron import service as svc\n@svc('One')\nclass A: ...\n", {}, {"One"}),
    ("import omnitron\n@omnitron.service('One')\nclass A: ...\n@omnitron.service\nclass B: ...\n", {}, {"One", "B"}),
    ("import omnitron as o, os\n@o.service('One')\nclass A: ...\n", {}, {"One"}),
    ("from omnitron import *\n@service('One')\nclass A: ...\n", {}, {"One"}),
    (S + "import dataclasses\n@service('One')\n@dataclasses.dataclass(order=True)\nclass A: ...\n", {}, {"One"}),
    (ONE + "@service('One' 'More')\nclass _B: ...\n", {}, {"One", "OneMore"}),
    (ONE + "class B(A): ...\nC = A\n", {}, {"One"}),
    ("from functools import cache as service\n@service\nclass A: ...\n", {}, set()),
    ("def service(c): return c\n@service\nclass A: ...\n", {}, set()),
    ("import functools\n@functools.lru_cache\nclass A: ...\nx = functools.partial(A)\n", {}, set()),
    # Statements inside of others
    (S + "if 1:\n @service('One')\n class A: ...\nelse:\n @service('Two')\n class B: ...\n", {}, {"One", "Two"}),
    (
        S + "try:\n import nope\nexcept ImportError:\n @service('One')\n class A: ...\nfinally:\n" + "  x = 1\n",
        {},
        {"One"},
    ),
    (
        S + "import os\nwith open(os.devnull):\n for x in 1,:\n  while x:\n   @service\n   class A: ...\n   x = 0\n",
        {},
        {"A"},
    ),
    (S + "match 1:\n case 1:\n  @service\n  class A: ...\n", {}, {"A"}),
    ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n from one import A\n", {"one.py": ONE}, set()),
    ("import typing as t\nif t.TYPE_CHECKING:\n from one import A\nelse:\n A = 1\n", {"one.py": ONE}, set()),
    ("if __name__ == '__main__':\n from one import A\n", {"one.py": ONE}, set()),
    # Other files
    ("from one import A\n", {"one.py": ONE}, {"One"}),
    ("from one import A as B\n", {"one.py": ONE + "@service\nclass Other: ...\n"}, {"One"}),
    ("from one import *\n", {"one.py": ONE + "@service\nclass _Hidden: ...\n"}, {"One"}),
    ("from one import *\n", {"one.py": ONE + "@service\nclass _B: ...\n__all__ = ['_B']\n"}, {"_B"}),
    ("from one import *\n", {"one.py": ONE + "from two import *\n__all__ = ('B',)\n", "two.py": TWO}, {"Two"}),
    ("import one\nfrom one import name\n", {"one.py": ONE + "name = 1\n"}, set()),
    ("from pack.one import A\n", {"pack/one.py": ONE}, {"One"}),
    ("from pack import one\n", {"pack/one.py": ONE}, set()),
    ("from pack import A\n", {"pack/__init__.py": "from .one import A\n", "pack/one.py": ONE}, {"One"}),
    ("from pack import one\n", {"pack/__init__.py": "", "pack/one.py": ONE}, set()),
    ("from pack import A\n", {"pack/__init__.py": ONE, "pack.py": TWO}, {"One"}),
    ("from pack.deep import A\n", {"pack/deep/__init__.py": "from ..one import A\n", "pack/one.py": ONE}, {"One"}),
    ("from one import B\n", {"one.py": ONE + "B = A\n"}, {"One"}),
    ("from one import B\n", {"one.py": ONE + "B: type = A\n"}, {"One"}),
    ("from one import service\n@service('Two')\nclass B: ...\n", {"one.py": ONE}, {"Two"}),
    ("from one import *\n@mark('Two')\nclass B: ...\n", {"one.py": "from omnitron import service as mark\n"}, {"Two"}),
    (ONE + "from one import *\n", {"one.py": TWO + "from module import A\n"}, {"One", "Two"}),
    ("from one import A\n", {"one.py": "from two import A\n", "two.py": "from one import *\n" + ONE}, {"One"}),
    ("from one import *\nfrom two import B\n", {"one.py": "from two import *\n", "two.py": TWO}, {"Two"}),
    ("from yaml import safe_load\nx = safe_load('1')\n" + ONE, {}, {"One"}),
    ("from __future__ import annotations\nfrom http import *\nfrom typing import Any\n" + ONE, {}, {"One"}),
]

UNCLEAR: list[tuple[str, dict[str, str]]] = [
    ("NAME = 'One'\n" + S + "@service(NAME)\nclass A: ...\n", {}),
    (S + "@service(f'One')\nclass A: ...\n", {}),
    (S + "@service(*['One'])\nclass A: ...\n", {}),
    (S + "@service('One', 'Two')\nclass A: ...\n", {}),
    (S + "@service(name='One')\nclass A: ...\n", {}),
    (S + "@service()\nclass A: ...\n", {}),
    (S + "@service('')\nclass A: ...\n", {}),
    (S + "@service('a.b')\nclass A: ...\n", {}),
    (S + "class A: ...\nB = service('One')(A)\n", {}),
    (S + "def make(name):\n @service(name)\n class A: ...\n return A\nB = make('One')\n", {}),
    ("import omnitron\nmark = omnitron.service\n@mark('One')\nclass A: ...\n", {}),
    (ONE + "globals()['B'] = 1\n", {}),
    (ONE + "exec('')\n", {}),
    ("from one import A\n", {"one.py": S + "@service(1)\nclass A: ...\n"}),
    ("from one import A\n", {"one.py": "class A:\n"}),
    ("from one import A\n", {"one.py": "globals()\n"}),
    ("from one import A\n", {"one.py": "def __getattr__(name): ...\n"}),
    ("from one import *\n", {"one.py": "globals()\n"}),
    ("from one import *\n", {"one.py": ONE + "__all__ = ['A'] + []\n"}),
    ("from one import *\n", {"one.py": ONE + "__all__ = ['A']\n__all__ += ['B']\n"}),
    ("from one import *\n", {"one.py": ONE + "__all__ = ['A']\n__all__.append('B')\n"}),
    # Packages that are not the project's
    ("from company.services import *\n", {}),
    ("from company.services import Prices\n", {}),
    ("from .missing import Prices\n", {}),
    ("from one import Prices\n", {"one.py": "from company import Prices\n__all__ = ['Prices']\n"}),
    ("from " + "." * 200 + " import Prices\n", {}),
    # What Python cannot read
    ("class A:\n", {}),
    ("return 1 1\n", {}),
    (ONE + "\0", {}),
    ("x = " + "(" * 500, {}),
    ("x = " + "-" * 50_000 + "1", {}),
    ("x = 1" + "+1" * 100_000, {}),
    ("x = y" + ".z" * 100_000, {}),
    ("if 1: pass\n" + "elif 1: pass\n" * 20_000, {}),
    ("#" * (MAX_BYTES + 1), {}),
]


def written(folder: Path, text: str, files: dict[str, str], name: str = "module.py") -> Path:
    for path, content in {**files, name: text}.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(content)
    return folder / name


@pytest.mark.parametrize(("text", "files", "services"), DECLARED)
def test_services_that_a_module_declares(tmp_path: Path, text: str, files: dict[str, str], services: set[str]) -> None:
    assert services_in(written(tmp_path, text, files), [tmp_path]) == services


HOST = """import sys; from pathlib import Path
from omnitron.host.decorators import name_of
from omnitron.host.loading import Loader
module = Loader([Path(sys.argv[1])]).module("module.py")
print(*sorted({name_of(value) for value in vars(module).values()} - {None}), sep=",")
"""


@pytest.mark.parametrize(("text", "files", "services"), DECLARED)
def test_they_are_those_that_the_process_host_finds(
    tmp_path: Path, text: str, files: dict[str, str], services: set[str]
) -> None:
    """Except that in the text all branches count."""
    written(tmp_path, text, files)
    done = subprocess.run([sys.executable, "-c", HOST, tmp_path], capture_output=True, text=True, check=False)
    assert not done.stderr
    found = set(filter(None, done.stdout.strip().split(",")))
    assert found == services or (found < services and "else:" in text)


@pytest.mark.parametrize(("text", "files"), UNCLEAR)
def test_what_the_text_does_not_say(tmp_path: Path, text: str, files: dict[str, str]) -> None:
    began = time.monotonic()
    assert services_in(written(tmp_path, text, files), [tmp_path]) is None
    assert time.monotonic() - began < 5


def test_relative_imports_of_a_module_in_a_package(tmp_path: Path) -> None:
    """They are found from its own place, whatever the folders of the app."""
    files = {"shop/__init__.py": "", "shop/worker/__init__.py": "", "shop/one.py": ONE, "shop/worker/two.py": TWO}
    text = "from ..one import A\nfrom .two import *\nfrom . import two\nfrom shop.one import A as Again\n"
    path = written(tmp_path, text, files, "shop/worker/module.py")
    assert services_in(path, []) == services_in(path, [tmp_path / "elsewhere"]) == {"One", "Two"}


def test_a_file_that_stands_beside_the_module(tmp_path: Path) -> None:
    path = written(tmp_path, "from one import A\n", {"modules/one.py": ONE}, "modules/module.py")
    assert services_in(path, [tmp_path]) == {"One"}


def test_nothing_is_executed_and_nothing_is_said(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    text = f"import os, pathlib\npathlib.Path('{tmp_path}/ran').touch()\nos._exit(1)\nx = '\\d'\n" + ONE
    assert services_in(written(tmp_path, text, {}), []) == {"One"}
    assert not (tmp_path / "ran").exists()
    assert not recwarn.list


def test_what_is_no_file_to_read(tmp_path: Path) -> None:
    loop, fifo, folder = (tmp_path / f"{name}.py" for name in ("loop", "fifo", "folder"))
    loop.symlink_to(loop)
    os.mkfifo(fifo)
    folder.mkdir()
    device = tmp_path / "device.py"
    device.symlink_to("/dev/zero")
    script = written(tmp_path, ONE, {}, "module.js")
    binary = tmp_path / "binary.py"
    binary.write_bytes(b"# \xff\n")
    impossible = [tmp_path / "a\0.py", tmp_path / ("a" * 300 + ".py"), tmp_path / "\ud800.py", Path("/")]
    for path in (loop, fifo, folder, device, script, binary, tmp_path / "missing.py", tmp_path, *impossible):
        assert services_in(path, [tmp_path]) is None
    for name in ("loop", "fifo", "folder", "device"):
        assert services_in(written(tmp_path, f"from {name} import A\n", {}), [tmp_path]) is None


def test_a_file_that_may_not_be_read(tmp_path: Path, as_nobody: None) -> None:
    path = written(tmp_path, ONE, {})
    path.chmod(0)
    assert services_in(path, [tmp_path]) is None


def chain(folder: Path, count: int) -> Path:
    """As many files, each of which imports from the next."""
    files = {f"f{i}.py": f"from f{i + 1} import *\n" for i in range(1, count - 1)} | {f"f{count - 1}.py": ONE}
    return written(folder, "from f1 import A\n", files)


def test_as_many_files_as_allowed(tmp_path: Path) -> None:
    assert services_in(chain(tmp_path / "a", MAX_FILES), [tmp_path / "a"]) == {"One"}
    assert services_in(chain(tmp_path / "b", MAX_FILES + 1), [tmp_path / "b"]) is None


def test_as_many_bytes_as_allowed(tmp_path: Path) -> None:
    count, rest = divmod(MAX_BYTES_OF_ALL, MAX_BYTES)
    assert not rest
    text = "".join(f"from f{i} import A\n" for i in range(count))
    files = {f"f{i}.py": ONE.ljust(MAX_BYTES - (len(text) if i == 0 else 0), "#") for i in range(count)}
    assert services_in(written(tmp_path, text, files), [tmp_path]) == {"One"}
    assert services_in(written(tmp_path, text + "#", files), [tmp_path]) is None


def test_imports_that_multiply_are_given_up_soon(tmp_path: Path) -> None:
    stars = "".join(f"from f{i} import *\n" for i in range(150))
    classes = "".join(f"@mark{i}\nclass C{i}: ...\n" for i in range(5000))
    path = written(tmp_path, stars + classes, {f"f{i}.py": stars for i in range(150)})
    began = time.monotonic()
    assert services_in(path, [tmp_path]) is None
    assert time.monotonic() - began < 20


FOUND = [
    ("./modules/worker.py", "first/modules/worker.py"),
    ("modules/worker.py", "first/modules/worker.py"),
    ("worker.py", "second/worker.py"),
    ("../first/modules/worker.py", "first/modules/worker.py"),
    ("./bin/worker", "second/bin/worker"),
    ("shop.worker", "second/shop/worker.py"),
    ("modules.worker", "first/modules/worker.py"),
    ("shop", "second/shop/__init__.py"),
    ("shop.both", "second/shop/both/__init__.py"),
    ("worker", "second/worker.py"),
    ("./modules", None),
    ("worker.js", None),
    ("shop.py", None),
    ("shop.nobody", None),
    ("shop..worker", None),
    (".worker", None),
    ("a b", None),
    ("", None),
    ("/", None),
    (".py", None),
    ("a" * 5000, None),
    ("a/" * 5000, None),
    ("a\0.py", None),
]


@pytest.mark.parametrize(("module", "file"), FOUND)
def test_the_file_that_a_module_means(tmp_path: Path, module: str, file: str | None) -> None:
    for path in ("first/modules/worker.py", "second/modules/worker.py", "second/worker.py", "second/bin/worker"):
        written(tmp_path, "", {}, path)
    for path in ("worker", "__init__", "both", "both/__init__"):
        written(tmp_path, "", {}, f"second/shop/{path}.py")
    folders = [tmp_path / "first", tmp_path / "nowhere", tmp_path / "second"]
    assert find_module(module, folders) == (tmp_path / file if file else None)
    assert find_module(module, []) is None


def test_a_file_by_its_whole_path_and_behind_a_link(tmp_path: Path) -> None:
    path = written(tmp_path, ONE, {})
    (tmp_path / "link.py").symlink_to(path)
    assert find_module(str(path), [tmp_path / "nowhere"]) == find_module("./link.py", [tmp_path]) == path


PIECES = st.lists(
    st.sampled_from([
        *(text for text, _, _ in DECLARED if text), *(text for text, _ in UNCLEAR if len(text) < 200),
        "from .module import *\n", "from . import *\n", "from .other import A\n", "if x:\n ", "class A:\n ", "(",
        "\\\n", "@service\n", "@", "'''", "\t", "\ud7ff", "__all__ = ['A', 1]\n", "from module import A, B as C\n",
        "\x0c", "\r", "# -*- coding: utf-7 -*-\n", "async def f(): ...\n", "(yield)\n", "x: int\n",
        "A.b = c, (d, *e) = f\n",
    ]),
    max_size=12,
).map("".join)  # fmt: skip


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(module=st.one_of(st.binary(), st.text(), PIECES), other=st.one_of(st.binary(max_size=20), PIECES))
def test_no_file_makes_it_raise(tmp_path: Path, module: bytes | str, other: bytes | str) -> None:
    for name, content in (("module.py", module), ("other.py", other), ("__init__.py", other)):
        raw = content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass")
        (tmp_path / name).write_bytes(raw)
    found = services_in(tmp_path / "module.py", [tmp_path])
    assert found is None or all(isinstance(name, str) for name in found)


@given(module=st.text(), folder=st.text(max_size=5))
def test_no_name_makes_it_raise(module: str, folder: str) -> None:
    find_module(module, [Path("/nonexistent", folder)])
    services_in(Path("/nonexistent", folder, module), [Path(folder)])
