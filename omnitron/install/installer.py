"""Installs a plan: compares it with the installed files, and commits the difference of each stack."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from omnitron.install import ownership
from omnitron.install.diff import Difference, compare
from omnitron.install.manifest import Manifest, check_owner
from omnitron.install.scope import Scope
from omnitron.install.store import Reload, Store, Transaction
from omnitron.names import WATCHER, unit_stem
from omnitron.planner.plan import Plan, StackPlan
from omnitron.render.files import File, bus_files, render


@dataclass(frozen=True)
class Prepared:
    """One stack, compared with what is installed."""

    stem: str
    """`omnitron-dev`."""
    stack: str
    files: dict[Path, File]
    difference: Difference


def prepare(plan: Plan, scope: Scope, running: frozenset[str]) -> list[Prepared]:
    """Compare every stack of `plan` with the disk. Only reads; raises for files that must not be overwritten.

    Installed stacks of the project that are no longer defined, run on another host, or have another prefix now
    are compared with an empty plan.
    """
    store = Store(scope)
    prepared = [_prepare(plan, stack, store, running) for stack in plan.stacks]
    config = plan.ecosystem.config
    defined = {unit_stem(config.unit_prefix, name) for name, stack in config.stacks.items() if stack.type == "local"}
    for manifest in manifests(scope):
        stem = unit_stem(manifest.prefix, manifest.stack)
        if manifest.source == str(plan.ecosystem.path) and stem not in defined:
            empty = Manifest(manifest.project, manifest.source, manifest.prefix, manifest.stack)
            prepared.append(_compared(stem, manifest.stack, {}, store, empty, running))
    return prepared


def _prepare(plan: Plan, stack: StackPlan, store: Store, running: frozenset[str]) -> Prepared:
    source = str(plan.ecosystem.path)
    manifest = Manifest(stack.names.project, source, stack.names.prefix, stack.names.stack)
    check_owner(store.manifest(stack.names.stem), manifest.project, source)
    files = {store.scope.path(file): file for file in render(stack) if store.scope.has_place(file)}
    return _compared(stack.names.stem, stack.names.stack, files, store, manifest, running)


def _compared(
    stem: str, stack: str, files: dict[Path, File], store: Store, manifest: Manifest, running: frozenset[str]
) -> Prepared:
    installed = store.manifest(stem)
    for path in files:
        store.refuse_links(path.parent)
    ownership.check_ours({path: file.text for path, file in files.items()}, installed)
    present = {path: _read(path) for path in files}
    shared = frozenset[str]() if not files and _is_last(store, stem) else _shared(store.scope)
    return Prepared(stem, stack, files, compare(files, present, installed, manifest, running, shared))


def _read(path: Path) -> str | None:
    try:
        return path.read_text(errors="replace")
    except (FileNotFoundError, NotADirectoryError):
        return None


def commit(prepared: Iterable[Prepared], store: Store, reload: Reload) -> None:
    """Write the differences; `reload` runs once for each stack that changed."""
    for stack in prepared:
        if not stack.difference.is_empty:
            store.apply(stack.stem, stack.difference.transaction, reload)


def remove(store: Store, stem: str, reload: Reload) -> None:
    """Remove every file of a stack, its manifest last; an operator's drop-ins stay."""
    installed = store.manifest(stem)
    if installed is not None:
        shared = _shared(store.scope)
        # Shared files are in the manifest of the stack that was installed first, which may be removed already.
        last = (
            [name for name in sorted(shared) if ownership.is_ours(Path(name), installed)]
            if _is_last(store, stem)
            else []
        )
        names = [*(name for name in installed.files if name not in shared), *last]
        store.apply(stem, Transaction({}, tuple(map(Path, names)), replace(installed, files={})), reload)
        for folder in {Path(name).parent for name in names} - store.scope.folders:
            with suppress(OSError):  # not empty, or removed already
                folder.rmdir()


def _shared(scope: Scope) -> frozenset[str]:
    """Return the paths that all stacks share: the unit of the watcher, and the files for its bus name."""
    bus = {str(scope.path(file)) for file in bus_files() if scope.has_place(file)}
    return frozenset({str(scope.units / WATCHER), *bus})


def _is_last(store: Store, stem: str) -> bool:
    """Return whether no other stack is installed; then the shared files are removed with it."""
    return all(unit_stem(other.prefix, other.stack) == stem for other in manifests(store.scope))


def manifests(scope: Scope) -> list[Manifest]:
    """Return the manifests of a scope, sorted by file name."""
    store = Store(scope)
    loaded = (store.manifest(path.stem) for path in sorted(scope.state.glob("[!.]*.json")))
    return [manifest for manifest in loaded if manifest]
