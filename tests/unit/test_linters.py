"""Format, lint, types, import rules and documentation are tests like any other."""

from __future__ import annotations

import ast
import graphlib
import importlib.util
import subprocess
import sys
import zipfile
from collections.abc import Collection
from pathlib import Path

import pytest

from omnitron.cli.main import VERBS
from tests.support.documents import blocks, commands

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "omnitron"

# Each part may import the parts named here, and itself. `errors`, `names` and `version` are free for all.
MAY_IMPORT = {
    "authority": set(),
    "policy": {"supervision"},
    "secrets": {"supervision"},
    "programs": {"policy", "secrets", "supervision"},
    "definition": {"authority", "secrets"},
    "importers": {"authority", "definition"},
    "infra": {"definition", "policy", "programs", "secrets", "supervision"},
    "gateway": {"definition", "infra", "policy", "secrets"},
    "planner": {"definition", "gateway", "infra", "policy", "secrets", "supervision"},
    "render": {"gateway", "planner", "policy", "supervision"},
    "install": {"render", "planner", "secrets"},
    "systemd": set(),
    "supervision": set(),
    "host": {"policy", "programs", "secrets", "supervision"},
    "observe": {"authority", "policy", "systemd", "supervision"},
    "operations": {
        "authority",
        "definition",
        "gateway",
        "importers",
        "infra",
        "install",
        "observe",
        "planner",
        "policy",
        "programs",
        "render",
        "secrets",
        "supervision",
        "systemd",
        "sandbox",
    },
    "watcher": {"operations", "observe", "policy", "systemd", "supervision"},
    "sandbox": set(),
    "cli": {
        "authority",
        "definition",
        "gateway",
        "importers",
        "infra",
        "secrets",
        "planner",
        "policy",
        "programs",
        "render",
        "install",
        "systemd",
        "supervision",
        "observe",
        "operations",
        "watcher",
        "sandbox",
    },
}
FREE = {"errors", "names", "version"}

# Third-party packages, and the only parts that may import them.
FENCES = {
    "dbus_fast": {"systemd"},
    "pystemd": {"systemd"},
    "inotify_simple": {"watcher"},
    "pathspec": {"definition", "watcher"},
    "jinja2": {"render"},
    "typer": {"cli"},
    "rich": {"cli"},
    "pydantic": {"definition"},
    "pydantic_core": {"definition"},
    "yaml": {"definition", "host", "importers"},
    "msgspec": {"host"},
    "uvicorn": {"host"},
    "starlette": {"host"},
    "jwt": {"host"},
    "opentelemetry": {"host"},
    "cryptography": {"host", "secrets"},
    "redis": {"gateway"},
    "docker": {"programs"},
}


def run(*command: str) -> None:
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


def test_format() -> None:
    run(sys.executable, "-m", "ruff", "format", "--check", ".")


def test_lint() -> None:
    run(sys.executable, "-m", "ruff", "check", ".")


def test_types() -> None:
    run(sys.executable, "-m", "mypy")


def imports(path: Path) -> set[str]:
    """Return the absolute names of all modules that a file imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module)
            if node.module == "omnitron":
                found |= {f"omnitron.{alias.name}" for alias in node.names}
    return found


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imported_modules(tree: ast.Module, modules: Collection[str]) -> set[str]:
    """Return which of `modules` a file imports, wherever in it; what only types need is left out."""
    found: set[str] = set()
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            waiting += node.orelse
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            members = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= members & set(modules) or {node.module}
        else:
            waiting += ast.iter_child_nodes(node)
    return found & set(modules)


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


FILES = sorted(path for path in PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_one_way(path: Path) -> None:
    part = part_of(path)
    for name in imports(path):
        words = name.split(".")
        if words[0] == "omnitron" and len(words) > 1 and part in MAY_IMPORT:
            allowed = MAY_IMPORT[part] | {part} | FREE
            assert words[1] in allowed, f"{part} must not import {name}"
        if words[0] in FENCES:
            assert part in FENCES[words[0]], f"only {FENCES[words[0]]} may import {words[0]}"


def test_no_module_imports_itself_through_others() -> None:
    modules = {module_name(path): path for path in FILES}
    graph = {name: imported_modules(ast.parse(path.read_text()), modules) for name, path in modules.items()}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_every_part_has_a_rule() -> None:
    folders = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    assert folders == set(MAY_IMPORT)


def test_supervision_needs_nothing_but_the_standard_library() -> None:
    for path in (PACKAGE / "supervision").rglob("*.py"):
        for name in imports(path):
            assert name.split(".")[0] in sys.stdlib_module_names | {"omnitron"}, f"{path.name} imports {name}"
            assert not name.startswith("omnitron.") or name.startswith("omnitron.supervision"), path


def test_no_verb_imports_another() -> None:
    for path in (PACKAGE / "cli/verbs").glob("*.py"):
        verbs = {name for name in imports(path) if name.startswith("omnitron.cli.verbs")}
        assert not verbs, f"{path.name} imports {verbs}: what verbs share lies in cli/ or operations/"


def test_use_cases_neither_print_nor_exit() -> None:
    for path in (PACKAGE / "operations").rglob("*.py"):
        tree = ast.parse(path.read_text())
        calls = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
        printing = {
            name
            for name in calls
            if name in ("print", "sys.exit", "exit", "input") or name in ("sys.stdout.write", "sys.stderr.write")
        }
        assert not printing, f"{path.name} calls {printing}: report through a Progress, return values, raise errors"


def test_shell_scripts_parse() -> None:
    for path in [*PACKAGE.rglob("*.sh"), *(ROOT / "packaging").glob("*.sh"), ROOT / "examples/demo.sh"]:
        run("sh", "-n", str(path))


def test_generated_pages_are_fresh() -> None:
    spec = importlib.util.spec_from_file_location("docs_generate", ROOT / "docs/generate.py")
    assert spec and spec.loader
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    for path, text in generate.pages().items():
        assert path.exists() and path.read_text() == text, f"{path.relative_to(ROOT)} is stale: make docs"


def test_every_verb_has_examples_with_output() -> None:
    for verb in VERBS:
        shown = blocks((ROOT / f"docs/examples/{verb}.md").read_text())
        typed = [command for block in shown if block.info.startswith("console") for command in commands(block)]
        examples = [command for command in typed if f"omnitron {verb}" in command.text and command.output]
        assert len(examples) >= 2, f"docs/examples/{verb}.md needs two examples at least"


def test_every_field_is_documented() -> None:
    from omnitron.definition.schema import ROOTS, field_docs, models_of

    for root in ROOTS.values():
        for model in models_of(root):
            undocumented = set(model.model_fields) - set(field_docs(model))
            assert not undocumented, f"{model.__name__}: {undocumented}"


def test_the_wheel_holds_templates_and_scripts(tmp_path: Path) -> None:
    run(sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path))
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    templates = {f"omnitron/unit_templates/{path.name}" for path in (ROOT / "unit_templates").iterdir()}
    scripts = {str(path.relative_to(ROOT)) for path in PACKAGE.rglob("*.sh")}
    assert templates | scripts <= names


TESTS = ROOT / "tests"
TEST_FILES = sorted(path for path in TESTS.rglob("*.py") if TESTS / "golden" not in path.parents)
TEST_MODULES = {path.stem for path in TEST_FILES if path.stem.startswith("test_")} | {"conftest"}


@pytest.mark.parametrize("path", TEST_FILES, ids=lambda path: str(path.relative_to(TESTS)))
def test_what_tests_share_is_in_their_support_folder(path: Path) -> None:
    """A test module that others import cannot be read, moved or left out by itself."""
    shared: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            shared |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            shared |= {node.module or "", *(alias.name for alias in node.names if alias.name in TEST_MODULES)}
    found = sorted(name for name in shared if TEST_MODULES & set(name.split(".")))
    assert not found, f"imports {', '.join(found)}: what two of them need goes to tests/support"
