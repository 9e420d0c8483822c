"""Finds the line of a key in a definition written in Python."""

from __future__ import annotations

import ast

from omnitron.definition.source import KeyPath


class PythonLines:
    """Follows key paths through the literals of the `define_*` call in a module's syntax tree."""

    def __init__(self, tree: ast.Module, line: int) -> None:
        self.first = line
        self.assigned = {
            target.id: node.value
            for node in tree.body
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
        inside = [call for call in calls if call.lineno <= line <= (call.end_lineno or call.lineno)]
        named = [call for call in inside if _called(call).startswith("define_")]
        self.call: ast.AST | None = next(iter(named or inside), None)

    def __call__(self, path: KeyPath) -> int:
        """Return the line of the deepest part of `path` that is written out."""
        line, node = self.first, self.call
        for key in path:
            node = self._inner(node, key)
            if node is None:
                break
            line = node.lineno if isinstance(node, ast.expr) else line
        return line

    def _inner(self, node: ast.AST | None, key: str | int) -> ast.AST | None:
        if isinstance(node, ast.Name):
            node = self.assigned.get(node.id)
        if isinstance(node, ast.Call):
            for keyword in node.keywords:
                if keyword.arg == key:
                    return keyword.value
            return self._inner(node.args[0], key) if node.args else None
        if isinstance(node, ast.Dict):
            pairs = zip(node.keys, node.values, strict=True)
            return next((v for k, v in pairs if isinstance(k, ast.Constant) and str(k.value) == key), None)
        if isinstance(node, ast.List | ast.Tuple) and isinstance(key, int) and key < len(node.elts):
            return node.elts[key]
        return None


def _called(call: ast.Call) -> str:
    return getattr(call.func, "attr", "") or getattr(call.func, "id", "")
