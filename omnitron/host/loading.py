"""Imports the app's own code: its module, and functions that a definition refers to."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from omnitron.errors import OmnitronError

PRIVATE = "omnitron_app_"
"""Prefix for a file whose name another module has: an app's `http.py` must not replace Python's own `http`."""

LIBRARY = Path(os.__file__).parent


class LoadError(OmnitronError):
    """Code that is not at the place that the definition names."""


class ExitError(Exception):
    """Code that calls sys.exit() while it is imported."""


class Loader:
    """Imports modules for one process; each file once."""

    def __init__(self, folders: Sequence[Path]) -> None:
        """Take the folders of the app's code, and make them importable."""
        self._folders = list(folders)
        for folder in reversed(self._folders):
            _make_importable(folder)

    def module(self, name: str) -> ModuleType:
        """Import `name`: a Python file, or an import path; raises LoadError, or whatever the code raises."""
        try:
            if name.endswith(".py") or "/" in name:
                return _import_file(self._find(name))
            self._check_name(name.partition(".")[0])
            return importlib.import_module(name)
        except SystemExit as error:
            exit_error = ExitError(f"it calls sys.exit({'' if error.code is None else repr(error.code)})")
            raise exit_error.with_traceback(error.__traceback__) from None

    def _find(self, name: str) -> Path:
        tried = [Path(name)] if Path(name).is_absolute() else [folder / name for folder in self._folders]
        path = next((path.resolve() for path in tried if path.is_file()), None)
        if path is None:
            raise LoadError(f"cannot find {name}: looked for {', '.join(str(path) for path in tried)}")
        return path

    def _check_name(self, top: str) -> None:
        files = [file for folder in self._folders for file in (folder / top / "__init__.py", folder / f"{top}.py")]
        mine = next((file for file in files if file.is_file()), None)
        if mine and not _imports(top, mine.resolve()):
            raise LoadError(
                f"cannot import {top}: the name means another module than {mine}", hint="name the module by its path"
            )

    def function(self, reference: str) -> Callable[..., Any]:
        """Return the function that `file.py:function` or `package.module:function` refers to."""
        name, _, attribute = reference.rpartition(":")
        if not name or not attribute:
            raise LoadError(f"cannot find {reference!r}: a function is named as `file.py:function`")
        value: Any = self.module(name)
        for part in attribute.split("."):
            value = getattr(value, part, None)
        if not callable(value):
            raise LoadError(f"cannot find the function {attribute!r} in {name}")
        return value  # type: ignore[no-any-return]


def _make_importable(folder: Path) -> None:
    # After Python's own modules, which a file of the same name must not hide, and before installed packages.
    own = [number for number, entry in enumerate(sys.path) if Path(entry) in (LIBRARY, LIBRARY / "lib-dynload")]
    if str(folder) not in sys.path:
        sys.path.insert(max(own, default=-1) + 1, str(folder))


def _import_file(path: Path) -> ModuleType:
    package = _package_of(path)
    root, name = package or (path.parent, path.stem)
    _make_importable(root)
    top = name.partition(".")[0]
    if package and not _imports(top, root / top / "__init__.py"):
        raise LoadError(f"cannot import {path}: another module is called {top}", hint=f"rename the folder {root / top}")
    if package or (name.isidentifier() and _imports(name, path)):
        return importlib.import_module(name)
    return _import_privately(path)


def _imports(name: str, path: Path) -> bool:
    """Return whether `import name` imports the file at `path`."""
    try:
        spec = importlib.util.find_spec(name)
    except ValueError:  # a module without a spec, such as `__main__`
        return False
    return spec is not None and spec.origin is not None and Path(spec.origin).resolve() == path


def _import_privately(path: Path) -> ModuleType:
    name = PRIVATE + path.stem.replace(".", "_")
    while name in sys.modules:
        if sys.modules[name].__file__ == str(path):
            return sys.modules[name]
        name += "_"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise LoadError(f"cannot import {path}: it is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    return module


def _package_of(path: Path) -> tuple[Path, str] | None:
    """Return the root folder and the dotted name of a file in a package; None for a file outside packages."""
    parts = [] if path.stem == "__init__" else [path.stem]
    folder = path.parent
    while (folder / "__init__.py").is_file():
        parts.insert(0, folder.name)
        folder = folder.parent
    inside = folder != path.parent
    return (folder, ".".join(parts)) if inside and all(part.isidentifier() for part in parts) else None
