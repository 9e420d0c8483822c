"""Definitions in Python are programs: whatever one does, it ends in a definition or in one short error."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from omnitron.definition.loader import load
from omnitron.definition.python import evaluate
from omnitron.errors import DefinitionError
from tests.support.build import problems, write

GOOD = "from omnitron import define_ecosystem\necosystem = define_ecosystem(project='p', apps=[])\n"


def in_python(folder: Path, text: str) -> list[str]:
    return problems(write(folder, text, ".py"))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("\n1 / 0\n", ":2: cannot evaluate: ZeroDivisionError: division by zero"),
        ("\nimport nowhere\n", ":2: cannot evaluate: ModuleNotFoundError: No module named 'nowhere'"),
        ("def f():\n    raise ValueError('a\\n  b')\n\nf()\n", ":2: cannot evaluate: ValueError: a b"),
        ("raise KeyError('x' * 1000)", f":1: cannot evaluate: KeyError: '{'x' * 299}"),
        ("import sys\nsys.exit()\n", ":2: cannot evaluate: it called sys.exit()"),
        ("import sys\nsys.exit(0)\n", ":2: cannot evaluate: it called sys.exit(0)"),
        ("raise KeyboardInterrupt", ":1: cannot evaluate: KeyboardInterrupt"),
        ("import os\nos._exit(0)\n", ": cannot evaluate: it ended with status 0 before it had defined anything"),
        ("import os\nos._exit(2)\n", ": cannot evaluate: it ended with status 2 before it had defined anything"),
        ("import os\nos.abort()\n", ": cannot evaluate: it was killed by signal 6 before it had defined anything"),
        ("def f(): f()\nf()\n", ":1: cannot evaluate: RecursionError: maximum recursion depth exceeded"),
        ("import os\nos.closerange(3, 99)\n" + GOOD, ": cannot evaluate: it ended with status 1"),
        (
            "import os\nfor fd in range(3, 99):\n  try: os.write(fd, b'{}')\n  except OSError: pass\n",
            ": cannot evaluate:",
        ),
        (
            "import os\nfor fd in range(3, 99):\n  try: os.write(fd, b'5')\n  except OSError: pass\nos._exit(0)",
            ": cannot evaluate: it wrote over the answer",
        ),
        ("x = 1\n", ": defines nothing: a variable must hold the result of define_ecosystem(…)"),
        (GOOD.replace("ecosystem = ", ""), ": defines nothing: a variable must hold the result of define_ecosystem(…)"),
        (
            GOOD + "other = define_ecosystem(project='q', apps=[])\n",
            ":3: cannot choose: 2 calls of define_ecosystem are kept in variables; there must be one",
        ),
        (
            "from omnitron import define_system\ns = define_system(name='a', processes=[{'name': 'b', 'module': 'c'}])",
            ": cannot use it here: it calls define_system, not define_ecosystem",
        ),
        (GOOD.replace("[]", "{1, 2}"), ":2: apps: cannot use this value: set cannot be part of a definition"),
        (GOOD.replace("[]", "[object()]"), ":2: apps.0: cannot use this value: object cannot be part of a definition"),
        (
            "a = []\na.append(a)\n" + GOOD.replace("[]", "a"),
            ":4: apps: cannot use this value: it is nested too deeply, or in itself",
        ),
        (GOOD.replace("'p'", "'x' * (9 << 20)"), ": cannot evaluate: it defines more than 8 MiB"),
        (GOOD.replace("'p'", "'\\ud800'"), ":2: project: cannot use this value: '\\ud800' is not a name"),
        (GOOD.replace("'p'", "float('nan')"), ":2: project: cannot use this value: must be text"),
    ],
)
def test_what_is_no_definition(tmp_path: Path, text: str, problem: str) -> None:
    (found,) = in_python(tmp_path, text)
    assert found.startswith(f"omnitron.config.py{problem}")
    assert len(found) < 400


@pytest.mark.parametrize(
    "text",
    [
        GOOD + "same = ecosystem\n",
        # What a definition starts ends with it, or lives on without holding it up.
        "import os, time\nif os.fork() == 0:\n    time.sleep(60)\n" + GOOD,
        "import os, time\nif os.fork() == 0:\n    os.setsid()\n    os.fork() or time.sleep(60)\n    os._exit(0)\n"
        + GOOD,
        "import subprocess\nsubprocess.Popen(['sleep', '60'])\n" + GOOD,
        # Both of two processes come to the end.
        "import os\nos.fork()\n" + GOOD,
        "import atexit, time\natexit.register(time.sleep, 0.1)\n" + GOOD,
    ],
)
def test_what_is_a_definition_all_the_same(tmp_path: Path, text: str) -> None:
    began = time.monotonic()
    assert not in_python(tmp_path, text)
    assert time.monotonic() - began < 30  # and not as long as what it has started


def test_a_definition_that_hangs_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    text = "import os, time\npid = os.fork() or os.getpid()\nopen(f'pid-{os.getpid()}', 'w')\ntime.sleep(60)\n"
    path = write(tmp_path, text, ".py")
    with pytest.raises(DefinitionError) as caught:
        evaluate.evaluate(path, "ecosystem", timeout_s=2.0)
    assert str(caught.value) == f"{path}: cannot evaluate: it did not finish within 2 s"
    pids = [int(file.name.removeprefix("pid-")) for file in tmp_path.glob("pid-*")]
    assert len(pids) == 2
    deadline = time.monotonic() + 5  # the kernel ends a killed process when it gets to it
    while any(is_alive(pid) for pid in pids):
        assert time.monotonic() < deadline


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_what_has_left_its_session_is_ended_too(tmp_path: Path) -> None:
    leaves = "if os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n"
    stays = "        os.setsid()\n        open(f'left-{os.getpid()}', 'w')\n        time.sleep(60)\n    os._exit(0)\n"
    waits = "import glob\nwhile not glob.glob('left-*'):\n    time.sleep(0.01)\n"
    (tmp_path / "omnitron.config.py").write_text("import os, time\n" + leaves + stays + waits + GOOD)
    load(tmp_path / "omnitron.config.py")
    (file,) = tmp_path.glob("left-*")
    assert not Path(f"/proc/{file.name.partition('-')[2]}").exists()


def test_what_a_definition_prints_is_no_part_of_our_output(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    shout = "import os\nprint('hello')\nos.system('echo world')\nassert not input.__self__ is None\n"
    assert not in_python(tmp_path, shout + GOOD)
    out, err = capfd.readouterr()
    assert out == ""
    assert sorted(err.split()) == ["hello", "world"]


def test_there_is_nobody_to_ask(tmp_path: Path) -> None:
    assert in_python(tmp_path, "input()\n") == [
        "omnitron.config.py:1: cannot evaluate: EOFError: EOF when reading a line"
    ]


def test_a_definition_imports_its_neighbours_and_nothing_of_ours(tmp_path: Path) -> None:
    write(tmp_path, "NAME = 'p'\n", ".py", "child")
    write(tmp_path, "NAME = 'p'\n", ".py", "source")
    text = "import sys, os, child, source\nassert 'pydantic' not in sys.modules\nassert os.getcwd() == sys.path[0]\n"
    assert not in_python(tmp_path, text + GOOD.replace("'p'", "child.NAME"))
    assert not (tmp_path / "__pycache__").exists()


def test_a_definition_made_elsewhere_has_no_line_here(tmp_path: Path) -> None:
    write(tmp_path, "\n\n" + GOOD.replace("apps", "app"), ".py", "shared")
    assert in_python(tmp_path, "from shared import ecosystem\n") == [
        "omnitron.config.py: app: cannot use this key: it is unknown (did you mean 'apps'?)",
        "omnitron.config.py: apps: cannot do without this key: it is missing",
    ]


def test_lines_follow_variables_calls_and_other_names_of_the_call(tmp_path: Path) -> None:
    text = """import omnitron as o
API = {
    "name": "api",
    "command": "api",
}
def app(**more): return more
ecosystem = o.define_ecosystem({
    "project": "p",
    "apps": [API, app(
        name="b",
        command=5)]},
    logging=dict(
        level="loud"),
)
"""
    found = in_python(tmp_path, text)
    assert [line.split(": ")[0:2] for line in found] == [
        ["omnitron.config.py:4", "apps.api.command"],
        ["omnitron.config.py:11", "apps.b.command"],
        ["omnitron.config.py:13", "logging.level"],
    ]


def test_a_warning_of_the_compiler_is_none_of_ours(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert load(write(tmp_path, GOOD + 'x = "\\d"\n', ".py")).config.project == "p"
    assert capfd.readouterr().out == ""
