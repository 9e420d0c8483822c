"""Measures of how source is written, from its syntax tree: sizes, names, docstrings, imports, tests."""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

VAGUE = frozenset(
    ["told", "said", "asked", "given", "kept", "placed", "found", "taken", "known", "wanted", "held", "moved"]
)
"""Words that stand for a thing without naming it; `one` counts only as the last word of a name."""
QUESTIONS = frozenset(["what", "who", "which", "whose", "how", "where", "whether", "when"])
"""First words of docstrings that ask for the thing rather than name it."""

WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
DOCUMENTED = (ast.Module, ast.ClassDef, *FUNCTIONS)


@dataclass(frozen=True)
class Name:
    """A name at the line that binds it."""

    name: str
    line: int


@dataclass(frozen=True)
class Function:
    """A function with its place and its length in lines, decorators apart."""

    name: str
    path: Path
    lines: int


@dataclass(frozen=True)
class Share:
    """How many of all."""

    part: int
    whole: int

    @property
    def percent(self) -> float:
        """The share in percent, 0 of nothing."""
        return 100 * self.part / self.whole if self.whole else 0.0

    def __add__(self, other: Share) -> Share:
        return Share(self.part + other.part, self.whole + other.whole)


def parse(path: Path) -> ast.Module:
    """Return the syntax tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def modules(package: Path) -> list[Path]:
    """Return every module below a package, in order."""
    return sorted(package.rglob("*.py"))


def lines(path: Path) -> int:
    """Return the number of lines of a file."""
    return len(path.read_text(encoding="utf-8").splitlines())


def packages(package: Path) -> dict[str, list[Path]]:
    """Return the modules of each package directly below; its own modules are under its own name."""
    parts: dict[str, list[Path]] = {}
    for path in modules(package):
        below = path.relative_to(package).parts
        parts.setdefault(below[0] if len(below) > 1 else package.name, []).append(path)
    return dict(sorted(parts.items()))


def words(name: str) -> list[str]:
    """Return the words of a name in lower case, split at underscores and where case changes."""
    return [word.lower() for word in WORD.findall(name)]


def is_vague(name: str) -> bool:
    """Return whether a name holds one of the words in VAGUE, or ends in `one`."""
    parts = words(name)
    return bool(parts) and (parts[-1] == "one" or not VAGUE.isdisjoint(parts))


def bound_names(path: Path) -> list[Name]:
    """Return functions, classes, arguments, variables and attributes, once for each place that binds them."""
    return sorted((Name(*bound) for bound in _bound(parse(path))), key=lambda name: (name.line, name.name))


def _bound(tree: ast.Module) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=str(name)) | ast.AsyncFunctionDef(name=str(name)) | ast.ClassDef(name=str(name)):
                yield name, node.lineno
            case ast.arg(arg=name):
                yield name, node.lineno
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield name, node.lineno
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                yield name, node.lineno
            case ast.MatchMapping(rest=str(name)):
                yield name, node.lineno


def bad_names(path: Path) -> list[Name]:
    """Return the bound names of a file that name nothing, in order."""
    return [name for name in bound_names(path) if is_vague(name.name)]


def docstrings(path: Path) -> list[str]:
    """Return the docstrings of a module: its own, those of classes, functions and documented attributes."""
    texts = []
    for node in ast.walk(parse(path)):
        if isinstance(node, DOCUMENTED) and (text := ast.get_docstring(node)):
            texts.append(text)
        if isinstance(node, ast.Module | ast.ClassDef):
            texts += _attribute_docstrings(node.body)
    return texts


def _attribute_docstrings(body: list[ast.stmt]) -> Iterator[str]:
    for before, statement in itertools.pairwise(body):
        if not isinstance(before, ast.Assign | ast.AnnAssign):
            continue
        match statement:
            case ast.Expr(value=ast.Constant(value=str(text))):
                yield text


def questions(path: Path) -> list[str]:
    """Return the docstrings of a module that begin with a question word."""
    return [text for text in docstrings(path) if (head := words(text[:20])) and head[0] in QUESTIONS]


def functions(path: Path) -> list[Function]:
    """Return every function and method of a module, with its length."""
    nodes = (node for node in ast.walk(parse(path)) if isinstance(node, FUNCTIONS))
    return [Function(node.name, path, (node.end_lineno or node.lineno) - node.lineno + 1) for node in nodes]


def late_imports(path: Path) -> list[int]:
    """Return the lines of imports inside of functions, those for type checkers apart."""
    return sorted(_late_imports(parse(path), inside=False))


def _late_imports(node: ast.AST, inside: bool) -> Iterator[int]:
    if isinstance(node, ast.Import | ast.ImportFrom) and inside:
        yield node.lineno
    inside = inside or isinstance(node, FUNCTIONS)
    children = ast.iter_child_nodes(node)
    if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
        children = iter(node.orelse)
    for child in children:
        yield from _late_imports(child, inside)


def name_share(paths: list[Path]) -> Share:
    """Return how many bound names are vague."""
    return sum((Share(len(bad_names(path)), len(bound_names(path))) for path in paths), Share(0, 0))


def question_share(paths: list[Path]) -> Share:
    """Return how many docstrings begin with a question word."""
    return sum((Share(len(questions(path)), len(docstrings(path))) for path in paths), Share(0, 0))


def tested_share(package: Path, tests: Path) -> Share:
    """Return how many modules, `__init__` and `__main__` apart, have a test_<module>.py somewhere in `tests`."""
    files = {path.name for path in tests.rglob("test_*.py")}
    names = [path.stem for path in modules(package) if not path.stem.startswith("__")]
    return Share(sum(f"test_{name}.py" in files for name in names), len(names))
