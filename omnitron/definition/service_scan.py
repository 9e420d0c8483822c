"""Finds the file of a process's module, and the services that it declares, without running any of it.

The code may be another user's than the one who validates, so its syntax tree is all that is looked at. What
is looked for is what the process host would find: the service classes in the module's namespace.
"""

from __future__ import annotations

import ast
import os
import stat
import sys
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from omnitron.definition.paths import is_file

MAX_FILES = 200
MAX_BYTES = 1 << 20
MAX_BYTES_OF_ALL = 2 << 20
"""Of all files together: Python takes up to two seconds to parse a megabyte."""
MAX_STEPS = 50_000
"""From a name to where it comes from; star imports of each other multiply."""

OMNITRON = "omnitron"
DECORATOR = "service"
MAKE_NAMES = ("exec", "globals")
"""Functions with which a module can get names that its text does not show."""


def is_path(module: str) -> bool:
    """Return whether a process's `module` is the path of a file, not an import path."""
    return module.endswith(".py") or "/" in module


def find_module(module: str, folders: Sequence[Path]) -> Path | None:
    """Return the file that a process's `module` means, looked for in `folders`; None when none of them has it."""
    if is_path(module):
        origin = next((path for folder in folders if is_file(path := folder / module)), None)
        return Path(os.path.realpath(origin)) if origin else None  # as the process host does
    parts = module.split(".")
    if not all(part.isidentifier() for part in parts):
        return None
    return next((file for folder in folders if (file := _module_at(folder.joinpath(*parts)))), None)


def _module_at(stem: Path) -> Path | None:
    """Return the package's file or the module's, in the order in which Python looks."""
    return next((file for file in (stem / "__init__.py", stem.with_name(f"{stem.name}.py")) if is_file(file)), None)


def services_in(path: Path, folders: Sequence[Path]) -> frozenset[str] | None:
    """Return the names of the services that a module declares; None when its text does not say.

    Imports from files of the project are followed: below `folders`, and where the module's package lies. An
    installed package is taken to hold no services, unless the module imports a name from it without using it.
    """
    try:
        return frozenset(_Search(path, folders).services())
    except (_UnclearError, OSError, ValueError, RecursionError, MemoryError):
        return None


class _UnclearError(Exception):
    """A result that depends on running the module."""


# One file


@dataclass(frozen=True)
class _Mark:
    """A decorator of a class: `@name` or `@name.attribute`, called or not."""

    name: str
    attribute: str
    service: str | None
    """Return the name of the service if this is the decorator for services; None when that is not written out."""


@dataclass(frozen=True)
class _Class:
    marks: tuple[_Mark, ...]


@dataclass(frozen=True)
class _Same:
    """Another name of the same file, for the same thing."""

    name: str


@dataclass(frozen=True)
class _Import:
    module: str
    level: int
    name: str
    """`*` for all names, empty for the module itself."""

    @property
    def is_ours(self) -> bool:
        return not self.level and self.module.partition(".")[0] == OMNITRON


@dataclass
class _Names:
    """The names of a file, and what each is bound to; by nothing that matters here, if the list is empty."""

    bound: dict[str, list[_Class | _Same | _Import]] = field(default_factory=dict)
    stars: list[_Import] = field(default_factory=list)
    listed: set[str] | None = None
    """Return the value of `__all__`, if it is a literal."""
    uses: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Counts of reads of `name.attribute`, and with an empty attribute of `name` itself (`__all__`: or writes)."""

    def add(self, name: str, *values: _Class | _Same | _Import) -> None:
        self.bound.setdefault(name, []).extend(values)

    @cached_property
    def may_have_more(self) -> bool:
        """Return whether the file can make services that are not seen here: its decorator is used beyond classes."""
        seen: Counter[tuple[str, str]] = Counter()
        telling = {(name, "") for name in MAKE_NAMES}
        for name, value in ((name, value) for name, values in self.bound.items() for value in values):
            if isinstance(value, _Class):
                seen.update((mark.name, mark.attribute) for mark in value.marks)
            elif isinstance(value, _Import) and value.is_ours and value.name in ("", DECORATOR):
                telling.add((name, "" if value.name else DECORATOR))
        return any(self.uses[use] > seen[use] for use in telling)


def _read(path: Path) -> str:
    """Return the text of a regular file; a device is not even opened, and a FIFO never waited for."""
    if path.suffix != ".py" or not stat.S_ISREG(path.stat().st_mode):
        raise _UnclearError
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        raw = file.read(MAX_BYTES + 1) if stat.S_ISREG(os.fstat(descriptor).st_mode) else None
    if raw is None or len(raw) > MAX_BYTES:
        raise _UnclearError
    return raw.decode("utf-8-sig")


def _names(text: str) -> _Names:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
    except SyntaxError as error:
        raise _UnclearError from error
    names = _Names()
    for statement in _at_import(tree):
        _bind(names, statement)
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and (isinstance(node.ctx, ast.Load) or node.id == "__all__"):
            names.uses[node.id, ""] += 1
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            names.uses[node.value.id, node.attr] += 1
    return names


def _at_import(tree: ast.Module) -> Iterator[ast.stmt]:
    """Yield the statements that run when a module is imported, those inside of others too."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.stmt):
            yield node
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        is_skipped = isinstance(node, ast.If) and _is_false(node.test)
        inner = node.orelse if isinstance(node, ast.If) and is_skipped else ast.iter_child_nodes(node)
        waiting += (child for child in inner if isinstance(child, ast.stmt | ast.excepthandler | ast.match_case))


def _is_false(test: ast.expr) -> bool:
    match test:
        case ast.Name(id="TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING"):
            return True
        case ast.Compare(ast.Name("__name__"), [ast.Eq()], [ast.Constant("__main__")]):
            return True
    return False


def _bind(names: _Names, statement: ast.stmt) -> None:
    match statement:
        case ast.ClassDef():
            names.add(statement.name, _Class(tuple(_marks(statement))))
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            names.add(statement.name)
        case ast.Import():
            for alias in statement.names:
                imported = _Import(alias.name, 0, "")
                names.add(alias.asname or alias.name.partition(".")[0], *([imported] if imported.is_ours else []))
        case ast.ImportFrom():
            for alias in statement.names:
                imported = _Import(statement.module or "", statement.level, alias.name)
                if alias.name == "*":
                    names.stars.append(imported)
                else:
                    names.add(alias.asname or alias.name, imported)
        case ast.Assign(targets=targets, value=value) | ast.AnnAssign(target=ast.Name() as targets, value=value):
            for target in targets if isinstance(targets, list) else [targets]:
                if isinstance(target, ast.Name):
                    names.add(target.id, *([_Same(value.id)] if isinstance(value, ast.Name) else []))
                if isinstance(target, ast.Name) and target.id == "__all__":
                    names.listed = _listed(value)


def _listed(value: ast.expr | None) -> set[str] | None:
    if not isinstance(value, ast.List | ast.Tuple):
        return None
    texts = [item.value for item in value.elts if isinstance(item, ast.Constant) and isinstance(item.value, str)]
    return set(texts) if len(texts) == len(value.elts) else None


def _marks(node: ast.ClassDef) -> Iterator[_Mark]:
    for decorator in node.decorator_list:
        called = decorator.func if isinstance(decorator, ast.Call) else decorator
        service = _argument(decorator) if isinstance(decorator, ast.Call) else node.name
        match called:
            case ast.Name(name):
                yield _Mark(name, "", service)
            case ast.Attribute(ast.Name(name), attribute):
                yield _Mark(name, attribute, service)


def _argument(call: ast.Call) -> str | None:
    """Return the service's name that a decorator is given, None for anything else."""
    match call:
        case ast.Call(args=[ast.Constant(str(name))], keywords=[]) if name and "." not in name:
            return name
    return None


# From file to file


class _Search:
    """Follows names from file to file to the classes that they stand for."""

    def __init__(self, path: Path, folders: Sequence[Path]) -> None:
        self.path = path
        # The process host puts the folder of the module, or of its outermost package, in front.
        home = next((folder for folder in path.parents if not is_file(folder / "__init__.py")), path.parent)
        self.folders = [home, *folders]
        self.files: dict[Path, _Names] = {}
        self.targets: dict[tuple[Path, str, int], Path | None] = {}
        self.bytes = self.steps = 0

    def services(self) -> Iterator[str]:
        """Yield the name of each service class in the module's namespace."""
        names = self.names(self.path)
        if names.may_have_more:
            raise _UnclearError
        start = [(self.path, name) for name in names.bound]
        for star in names.stars:
            start += self.imported(self.path, star)
        for path, origin in self.origins(start):
            if isinstance(origin, _Class):
                for mark in origin.marks:
                    if self.is_decorator(path, mark):
                        yield self.named(mark)

    @staticmethod
    def named(mark: _Mark) -> str:
        if mark.service is None:
            raise _UnclearError
        return mark.service

    def is_decorator(self, path: Path, mark: _Mark) -> bool:
        decorators = {("", DECORATOR), (DECORATOR, "")}
        origins = self.origins([(path, mark.name)])
        return any(isinstance(origin, _Import) and (mark.attribute, origin.name) in decorators for _, origin in origins)

    def names(self, path: Path) -> _Names:
        if path not in self.files:
            if len(self.files) == MAX_FILES:
                raise _UnclearError
            text = _read(path)
            self.bytes += len(text)
            if self.bytes > MAX_BYTES_OF_ALL:
                raise _UnclearError
            self.files[path] = _names(text)
        return self.files[path]

    def origins(self, start: Iterable[tuple[Path, str]]) -> Iterator[tuple[Path, _Class | _Import]]:
        """Yield the classes, and the imports from omnitron, that names lead to, with the file of each."""
        waiting = list(dict.fromkeys(start))
        seen = set(waiting)
        while waiting:
            path, name = waiting.pop()
            for step in self.exports(path) if name == "*" else self.steps_from(path, name):
                self.steps += 1
                if self.steps > MAX_STEPS:
                    raise _UnclearError
                if not isinstance(step, tuple):
                    yield path, step
                elif step not in seen:
                    seen.add(step)
                    waiting.append(step)

    def exports(self, path: Path) -> Iterator[tuple[Path, str]]:
        """Yield what `from path import *` binds."""
        names = self.names(path)
        if names.listed is not None and names.uses["__all__", ""] == 1:
            yield from ((path, name) for name in names.listed)
            return
        if names.may_have_more or names.uses["__all__", ""]:
            raise _UnclearError
        yield from ((path, name) for name in names.bound if not name.startswith("_"))
        for star in names.stars:
            yield from self.imported(path, star)

    def steps_from(self, path: Path, name: str) -> Iterator[tuple[Path, str] | _Class | _Import]:
        """Yield what a name of a file is bound to: something in itself, or another name to follow."""
        names = self.names(path)
        if name not in names.bound and (names.may_have_more or "__getattr__" in names.bound):
            raise _UnclearError
        for value in names.bound.get(name, [replace(star, name=name) for star in names.stars]):
            if isinstance(value, _Same):
                yield path, value.name
            elif isinstance(value, _Class) or value.is_ours:
                yield value
            else:
                yield from self.imported(path, value, name)

    def imported(self, path: Path, what: _Import, name: str = "*") -> Iterator[tuple[Path, str]]:
        """Yield where an import of the file at `path`, as `name`, leads inside of the project."""
        if what.is_ours:
            return
        file = self.located(path, what.module, what.level)
        if file:
            yield file, what.name
            return
        is_module = bool(self.located(path, f"{what.module}.{what.name}".lstrip("."), what.level))
        is_standard = not what.level and what.module.partition(".")[0] in sys.stdlib_module_names
        # A name that its module does nothing with is there for the host to find.
        if not is_module and not is_standard and not self.names(path).uses[name, ""]:
            raise _UnclearError

    def located(self, path: Path, module: str, level: int) -> Path | None:
        key = (path.parent, module, level)
        if key not in self.targets:
            self.targets[key] = _relative(path, module, level) if level else find_module(module, self.folders)
        return self.targets[key]


def _relative(path: Path, module: str, level: int) -> Path | None:
    if level > len(path.parents):
        return None
    folder = path.parents[level - 1]
    if module:
        return _module_at(folder.joinpath(*module.split(".")))
    return package if is_file(package := folder / "__init__.py") else None
