"""What a function imports, read from its source: which of our modules, and which of other people's.

Imports inside functions count (heavy ones are made late), those under TYPE_CHECKING do not. Of ``bootstrap``,
which can wire everything, only those members are followed that the function names, and what they name; of its
parts (``bootstrap_operators``) only the functions that are taken from them.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

OURS: Final = "shared"
_BOOTSTRAP: Final = "shared.bootstrap"
_WIRING: Final = "Plumbline"
_PART: Final = "shared.bootstrap_"


@dataclass
class Imports:
    """Files of ours by their path below the root, and names of foreign modules as they are imported."""

    files: set[str] = field(default_factory=set)
    foreign: set[str] = field(default_factory=set)


def imports_of(root: Path, main: Path) -> Imports:
    """Return what ``main`` needs to run, transitively; FileNotFoundError for a module that is not there."""
    found = Imports()
    tree = ast.parse(main.read_text("utf-8"))
    attributes = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    waiting = list(_modules(root, _imported(_running(tree))))
    seen: set[str] = set()
    while waiting:
        module = waiting.pop()
        if module in seen:
            continue
        seen.add(module)
        if module.partition(".")[0] != OURS:
            found.foreign.add(module)
            continue
        # PART:NAME is one function of a part of the wiring.
        module, _, name = module.partition(":")
        path = _path(root, module)
        found.files.add(path)
        tree = ast.parse((root / path).read_text("utf-8"))
        if module == _BOOTSTRAP:
            nodes = _wired(tree, attributes)
        elif module.startswith(_PART):
            nodes = _taken(tree, name)
        else:
            nodes = _running(tree)
        waiting.extend(_modules(root, _imported(nodes)))
    return found


def signature_of(main: Path, target: str) -> str:
    """Return how ``target`` is called: ``http`` or ``cloudevent``, or ``process`` where ``main`` runs itself.

    LookupError where it is neither a decorated function nor is there a ``main``.
    """
    functions = [
        node for node in ast.parse(main.read_text("utf-8")).body if isinstance(node, ast.FunctionDef)
    ]
    for function in functions:
        kinds = [mark.attr for mark in function.decorator_list if isinstance(mark, ast.Attribute)]
        if function.name == target and kinds in (["http"], ["cloud_event"]):
            return kinds[0].replace("_", "")
    if any(function.name == "main" for function in functions):
        return "process"
    raise LookupError(f"{main} has neither a function {target} for functions-framework nor a main")


def _wired(tree: ast.Module, attributes: Iterable[str]) -> Iterator[ast.AST]:
    """Yield the nodes of ``bootstrap`` without those members of its class that nobody reaches."""
    [wiring] = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == _WIRING]
    members = {node.name: node for node in wiring.body if isinstance(node, ast.FunctionDef)}
    for each in tree.body:
        if each is not wiring:
            yield from _running(each)
    reached: set[str] = set()
    waiting = ["__init__", *attributes]
    while waiting:
        name = waiting.pop()
        if name in reached or name not in members:
            continue
        reached.add(name)
        for node in _running(members[name]):
            yield node
            if isinstance(node, ast.Attribute):
                waiting.append(node.attr)


def _taken(tree: ast.Module, name: str) -> Iterator[ast.AST]:
    """Yield the nodes of a part of the wiring, of its functions those that the one taken reaches."""
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    for each in tree.body:
        if not isinstance(each, ast.FunctionDef):
            yield from _running(each)
    reached: set[str] = set()
    waiting = [name]
    while waiting:
        called = waiting.pop()
        if called in reached or called not in functions:
            continue
        reached.add(called)
        for node in _running(functions[called]):
            yield node
            if isinstance(node, ast.Name):
                waiting.append(node.id)


def _running(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield every node that runs: what stands under ``if TYPE_CHECKING`` does not."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            waiting.extend(node.orelse)
            continue
        yield node
        waiting.extend(ast.iter_child_nodes(node))


def _imported(nodes: Iterable[ast.AST]) -> Iterator[tuple[str, str | None]]:
    """Yield (module, name taken from it or None)."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((str(node.module), alias.name) for alias in node.names)


def _modules(root: Path, imported: Iterable[tuple[str, str | None]]) -> Iterator[str]:
    """Yield modules with the packages they lie in; a name taken from a package may be a module, too."""
    for module, name in imported:
        if module.partition(".")[0] != OURS:
            yield module if name is None else f"{module}.{name}"
            continue
        parts = module.split(".")
        yield from (".".join(parts[:length]) for length in range(1, len(parts) + 1))
        if name is not None and module.startswith(_PART):
            yield f"{module}:{name}"
        elif name is not None and _find(root, f"{module}.{name}") is not None:
            yield f"{module}.{name}"


def _find(root: Path, module: str) -> str | None:
    base = module.replace(".", "/")
    return next((path for path in (f"{base}.py", f"{base}/__init__.py") if (root / path).is_file()), None)


def _path(root: Path, module: str) -> str:
    path = _find(root, module)
    if path is None:
        raise FileNotFoundError(f"{module} is imported, and there is no such module below {root}")
    return path
