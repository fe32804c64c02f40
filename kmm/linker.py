# SPDX-License-Identifier: GPL-2.0-only
"""The linker: a kernel is built, not imported.

:func:`build` makes a :class:`Kernel`: every Linux module is executed afresh in a namespace of its
own, and its imports are resolved inside that kernel.  Two kernels of one process, of the same
configuration or of different ones, share code objects and nothing else.

How: a module's globals hold a ``__builtins__`` with the kernel's own ``__import__``, so every
``from kmm.mm... import`` of Linux code, and no other import of the process, comes here.

* Linux modules are ``kmm.c`` and everything under :data:`kmm.tree.LINUX`; they import each other,
  ``kmm.c``, ``kmm.hooks``, the standard library and sortedcontainers.  All else is refused.
* ``kmm.hooks`` is a private copy, so that booting this kernel binds its names and no other's.
* ``kmm.include.generated.autoconf`` is generated from the configuration.
* ``<asm/...>`` is written as x86's and means the architecture that is built.
* Headers include each other, and in C that is the preprocessor's business: a call is resolved when
  everything has been read.  So it is here: a name that is imported from a module which is still
  being executed stands undefined (:class:`_Undefined`) until that module is done, and is bound
  then.  Only what a module needs while it is executed must be defined before.
* A file of an overlay is executed in the namespace of the module it patches, after that module's
  own text and before anyone has seen it; see :meth:`Kernel._overlay` for what that replaces.
* A scenario is a module linked into a kernel, as by insmod; it may import the bench as well.

A plain ``import kmm.mm.mmu_gather`` goes through a kernel as well, one of the default configuration
that uses the real ``kmm.c`` and ``kmm.hooks`` and is never booted (:mod:`kmm.plain`).
"""

from __future__ import annotations
import __future__

import builtins
import hashlib
import importlib
import importlib.machinery
import re
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import CodeType, FunctionType, MappingProxyType, ModuleType, SimpleNamespace, TracebackType
from typing import TYPE_CHECKING, Any

import kmm.hooks as _hooks
from kmm.kconfig import Config
from kmm.overlay import Overlay, OverlayError, OverlayFile
from kmm.tree import AUTOCONF, LINUX, TREE, is_linux, locate, module_name

if TYPE_CHECKING:
    import ast
    from collections.abc import Callable, Iterator, Mapping, Sequence

__all__ = ["Kernel", "LinkError", "ScenarioSource", "build"]

#: What Linux code may import from outside the kernel.
_FOREIGN = frozenset(sys.stdlib_module_names) | {"sortedcontainers"}

#: Overlays and scenarios need not say ``from __future__ import annotations``: structs rely on it.
_ANNOTATIONS = __future__.annotations.compiler_flag

_ASM = "kmm.arch.x86.include.asm"
_ROOT = "kmm.init.main"
_BY_VALUE = ("functions rebind it with 'global', and an import copies its value: "
             "import the module and read it there")

#: sys.getrefcount() of an _Undefined that nothing but its list and a loop variable refers to.
_UNUSED_REFERENCES = 3


class LinkError(ImportError):
    """A kernel that cannot be linked.

    :param importer: module whose import failed, or "" when asked from outside.
    :param wanted: what it asked for.
    """

    def __init__(self, importer: str, wanted: str, reason: str) -> None:
        self.importer = importer
        self.wanted = wanted
        self.reason = reason
        super().__init__(f"{importer + ': ' if importer else ''}{wanted}: {reason}", name=wanted)


@dataclass(frozen=True, slots=True)
class ScenarioSource:
    """A Python file that is linked into kernels under test.

    :param name: its module name; must not begin with ``kmm.``.
    :param path: the file; tracebacks show it.
    :param text: its source.
    """

    name: str
    path: Path
    text: str

    @classmethod
    def load(cls, path: Path | str, name: str | None = None) -> ScenarioSource:
        """Read *path*; the name is the file's stem unless given.

        :raises LinkError: the file cannot be read.
        """
        path = Path(path)
        try:
            return cls(name or path.stem, path, path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise LinkError("", str(path), f"cannot read the scenario: {_reason(error)}") from None

    @property
    def fingerprint(self) -> str:
        """Hash of its name and text."""
        return hashlib.sha256(f"{self.name}\0{self.text}".encode()).hexdigest()


# --- compiled units ---------------------------------------------------------------------------

@dataclass(slots=True)
class _Unit:
    """A source file, compiled once per process and per contents."""

    stamp: tuple[int, int]
    path: Path
    code: CodeType
    rebound: frozenset[str]
    halves: tuple[CodeType, CodeType] | None = None
    digest: str = ""

    def split(self) -> tuple[CodeType, CodeType]:
        """The module's body and its trailing imports, compiled apart."""
        if self.halves is None:
            import ast

            tree = ast.parse(self.path.read_bytes(), str(self.path))
            cut = len(tree.body)
            while cut and _only_imports(tree.body[cut - 1]):
                cut -= 1
            futures = [node for node in tree.body
                       if isinstance(node, ast.ImportFrom) and node.module == "__future__"]
            tail = ast.Module(body=[*futures, *tree.body[cut:]], type_ignores=[])
            tree.body = tree.body[:cut]
            self.halves = (compile(tree, str(self.path), "exec", dont_inherit=True),
                           compile(tail, str(self.path), "exec", dont_inherit=True))
        return self.halves


def _only_imports(node: ast.stmt) -> bool:
    import ast

    if isinstance(node, ast.If):
        return all(map(_only_imports, [*node.body, *node.orelse]))
    return isinstance(node, (ast.Import, ast.ImportFrom))


_units: dict[str, _Unit] = {}
_texts: dict[tuple[str, str], CodeType] = {}


def _unit(path: Path, name: str) -> _Unit:
    stat = path.stat()
    stamp = (stat.st_mtime_ns, stat.st_size)
    unit = _units.get(str(path))
    if unit is None or unit.stamp != stamp:
        code = importlib.machinery.SourceFileLoader(name, str(path)).get_code(name)
        if code is None:
            raise LinkError("", name, f"{path} has no code")
        unit = _units[str(path)] = _Unit(stamp, path, code, frozenset(_rebound(code)))
    return unit


def _digest(path: Path) -> str:
    stat = path.stat()
    unit = _units.get(str(path))
    if unit is not None and unit.digest and unit.stamp == (stat.st_mtime_ns, stat.st_size):
        return unit.digest
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if unit is not None:
        unit.digest = digest
    return digest


def _compile_text(path: Path, text: str, flags: int = 0) -> CodeType:
    key = (str(path), text)
    code = _texts.get(key)
    if code is None:
        code = _texts[key] = compile(text, str(path), "exec", flags, dont_inherit=True)
    return code


def _without_linker(trace: TracebackType | None) -> TracebackType | None:
    """A traceback without the linker's own frames: who includes whom, and where it ends."""
    if trace is None:
        return None
    rest = _without_linker(trace.tb_next)
    if trace.tb_frame.f_code.co_filename == __file__:
        return rest
    return TracebackType(rest, trace.tb_frame, trace.tb_lasti, trace.tb_lineno)


def _run(code: CodeType, namespace: dict[str, Any]) -> None:
    exec(code, namespace)       # this is what a linker of Python modules does


#: A line of a Kbuild file: an option, and the C file or folder that it decides about.
_OBJECT = re.compile(r"^obj-\$\((CONFIG_\w+)\)\s*\+=\s*(\S+?)(?:\.o|/)$", re.MULTILINE)

_REBINDS = {"STORE_GLOBAL", "DELETE_GLOBAL"}


def _rebound(code: CodeType) -> Iterator[str]:
    """Names of the module that its functions rebind (``global x``)."""
    import dis
    for const in code.co_consts:
        if isinstance(const, CodeType):
            for step in dis.get_instructions(const):
                if step.opname in _REBINDS:
                    yield str(step.argval)
            yield from _rebound(const)


def _in_kernel(name: str) -> bool:
    return is_linux(name) or name in ("kmm.c", "kmm.hooks")


def _is_dunder(name: str) -> bool:
    """Whether a name is Python's; the kernel's own begin with two underscores but do not end so."""
    return name.startswith("__") and name.endswith("__")


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


# --- the kernel -------------------------------------------------------------------------------

def build(config: Config | None = None, overlays: Sequence[Overlay] = (),
          extra: Sequence[ScenarioSource] = (), *, tree: Path = TREE) -> Kernel:
    """Link a kernel.

    :param config: its configuration; by default x86-64's.
    :param overlays: changes to the tree, applied in order.
    :param extra: scenarios to link into it.
    :param tree: the folder that mirrors the kernel's tree (a test gives its own).
    :return: a linked, unbooted kernel. Modules are linked when first asked for.
    :raises LinkError: an import of Linux code that cannot be resolved.
    :raises OverlayError: an overlay of a file that the tree does not have.
    """
    kernel = Kernel(Config.default() if config is None else config, tuple(overlays), tree)
    if locate(tree, _ROOT) is not None:
        kernel.module(_ROOT)
    for source in extra:
        kernel.insmod(source)
    return kernel


class Kernel:
    """A linked kernel: modules that know only each other.

    :ivar config: the configuration it was built with.
    :ivar overlays: the overlays, in order.
    :ivar hooks: its private ``kmm.hooks``; booting rebinds the names in it.
    :ivar modules: linked Linux modules by name, in the order in which they were begun.
    :ivar scenarios: the scenarios linked into it, by name.
    :ivar rebound: for each module and scenario, the names that its functions rebind.
    """

    def __init__(self, config: Config, overlays: tuple[Overlay, ...], tree: Path = TREE, *,
                 plain: bool = False) -> None:
        self.config = config
        self.overlays = overlays
        self.tree = tree
        self._modules: dict[str, ModuleType] = {}
        self._scenarios: dict[str, ModuleType] = {}
        self._rebound: dict[str, frozenset[str]] = {}
        self._plain = plain
        self._open: dict[str, list[_Undefined]] = {}    # modules being executed, outermost first
        self._early: dict[str, list[str]] = {}          # who imported from an overlaid one by then
        self.modules: Mapping[str, ModuleType] = MappingProxyType(self._modules)
        self.scenarios: Mapping[str, ModuleType] = MappingProxyType(self._scenarios)
        self.rebound: Mapping[str, frozenset[str]] = MappingProxyType(self._rebound)
        self._redirect = None if config.arch == "x86" else f"kmm.arch.{config.arch}.include.asm"
        self._patches: dict[str, list[OverlayFile]] = {}
        for overlay in overlays:
            for file in overlay.files:
                if locate(tree, file.module) is None or not is_linux(file.module):
                    raise OverlayError(file.path, f"kmm has no {file.module} to lay this over")
                self._patches.setdefault(file.module, []).append(file)

        self._builtins = self._private_builtins(self._import)
        self._scenario_builtins = self._private_builtins(self._scenario_import)
        self._scenario_root = _ScenarioRoot(self)
        if plain:
            self._root, self.hooks = sys.modules["kmm"], _hooks
            return
        self._root = ModuleType("kmm", "The root of a linked kernel.")
        self._root.__path__ = [str(tree)]
        self.hooks = ModuleType("kmm.hooks", _hooks.__doc__)
        vars(self.hooks).update((key, value) for key, value in vars(_hooks).items()
                                if not _is_dunder(key) or key in ("__all__", "__file__"))
        vars(self._root)["hooks"] = self.hooks

    def _private_builtins(self, importer: Callable[..., ModuleType]) -> dict[str, Any]:
        return {**builtins.__dict__, "__import__": importer}

    def __repr__(self) -> str:
        overlays = "".join(f" + {overlay.name}" for overlay in self.overlays)
        return f"<Kernel {self.config.arch}{overlays} {self.fingerprint[:12]}>"

    # -- finding things

    def module(self, name: str) -> ModuleType:
        """The module of a kernel file (``mm/mmu_gather.c``) or dotted name; linked if need be.

        :raises LinkError: there is no such module.
        """
        name = module_name(name, self.tree)
        if not _in_kernel(name):
            raise LinkError("", name, "is not part of the kernel")
        return self._load(name, "")

    def symbol(self, name: str, file: str | None = None) -> Any:
        """A function, struct or static of the kernel by its C name.

        :param file: kernel path, needed where several files have a static of that name.
        :raises LinkError: no file, or more than one, defines it.
        """
        where = [module_name(file, self.tree)] if file else self._definers(name)
        found = {home: vars(self.module(home))[name] for home in where if name in vars(self.module(home))}
        if not found:
            raise LinkError("", name, "no module of this kernel defines it")
        first, *others = found.values()
        if any(other is not first for other in others):
            raise LinkError("", name, "is defined in " + ", ".join(found) + ": say which")
        return first

    def _definers(self, name: str) -> list[str]:
        pattern = re.compile(rf"^\s*(?:def\s+{re.escape(name)}\s*\(|class\s+{re.escape(name)}\s*[(:]"
                             rf"|{re.escape(name)}\s*(?::[^=\n]*)?=(?!=))", re.MULTILINE)
        homes = [home for home, path in self._sources() if pattern.search(path.read_text(encoding="utf-8"))]
        homes += [module for module, files in self._patches.items()
                  if module not in homes and any(pattern.search(file.text) for file in files)]
        return [home for home in homes if home != AUTOCONF]

    def _sources(self) -> Iterator[tuple[str, Path]]:
        """Every Linux module of the tree, with its file, in path order."""
        files = [path for top in LINUX for path in sorted((self.tree / top).rglob("*.py"))]
        for path in [self.tree / "c.py", *files]:
            if path.is_file():
                parts = path.relative_to(self.tree).with_suffix("").parts
                yield ".".join(("kmm", *(parts[:-1] if parts[-1] == "__init__" else parts))), path

    def link_all(self) -> None:
        """Link every module that the tree has for this architecture and that ``Kbuild`` builds."""
        foreign = (path.name for path in (self.tree / "arch").glob("*") if path.name != self.config.arch)
        absent = (*self._not_built(), *(f"kmm.arch.{arch}" for arch in foreign))
        for name, _ in self._sources():
            if not any(name == other or name.startswith(other + ".") for other in absent):
                self._load(name, "")

    def _not_built(self) -> tuple[str, ...]:
        """C files and folders that the configuration leaves out."""
        rules = self.tree / "Kbuild"
        if not rules.is_file():
            return ()
        values = self.config.autoconf()
        return tuple(module_name(file + ".c", self.tree) for option, file
                         in _OBJECT.findall(rules.read_text(encoding="utf-8")) if not values.get(option))

    @cached_property
    def fingerprint(self) -> str:
        """Hash of every Linux source, the configuration and the overlays."""
        total = hashlib.sha256()
        for name, path in [*self._sources(), ("kmm.hooks", Path(str(_hooks.__file__)))]:
            if name != AUTOCONF:
                total.update(f"{name} {_digest(path)}\n".encode())
        for part in (self.config.fingerprint, *(overlay.fingerprint for overlay in self.overlays)):
            total.update(f"{part}\n".encode())
        return total.hexdigest()

    def statics(self, *, scenarios: bool = True) -> dict[str, tuple[dict[str, Any], frozenset[str]]]:
        """The static data of everything linked: for each module its globals, and the names in them
        that functions rebind. What :class:`kmm_ext.snapshot.Image` takes.

        :param scenarios: the scenarios' static data too.
        """
        linked = {**self._modules, **self._scenarios} if scenarios else self._modules
        return {name: (vars(module), self._rebound[name]) for name, module in linked.items()
                if name != AUTOCONF}

    # -- linking

    def insmod(self, source: ScenarioSource) -> ModuleType:
        """Link a scenario into this kernel.

        :raises LinkError: its name is taken, or belongs to the kernel.
        """
        if source.name in self._scenarios or source.name.split(".")[0] in ("kmm", "kmm_ext"):
            raise LinkError("", source.name, "a scenario of this kernel needs a name of its own")
        module = self._empty(source.name, source.path, self._scenario_builtins)
        self._scenarios[source.name] = module
        try:
            code = _compile_text(source.path, source.text, _ANNOTATIONS)
            self._rebound[source.name] = frozenset(_rebound(code))
            _run(code, vars(module))
        except BaseException:
            del self._scenarios[source.name]
            raise
        return module

    def _empty(self, name: str, path: Path, its_builtins: dict[str, Any]) -> ModuleType:
        module = ModuleType(name)
        vars(module).update(__file__=str(path), __builtins__=its_builtins,
                            __package__=name.rpartition(".")[0])
        return module

    def _load(self, name: str, importer: str) -> ModuleType:
        module = self._modules.get(name)
        if module is not None:
            return module
        if name == "kmm":
            return self._root
        if name == "kmm.hooks":
            return self.hooks
        if not _in_kernel(name):
            raise LinkError(importer, name, "Linux code imports Linux code, kmm.c and kmm.hooks only")
        parent_name, _, leaf = name.rpartition(".")
        parent = self._load(parent_name, importer)
        if name in self._modules:       # the package's own imports have brought it in
            return self._modules[name]
        if name == AUTOCONF and not self._plain:
            module = self._autoconf()
        elif name == "kmm.c" and self._plain:
            module = self._modules[name] = importlib.import_module(name)
            self._rebound[name] = frozenset()
        else:
            where = locate(self.tree, name)
            if where is None and name == "kmm.c":
                where = (TREE / "c.py", False)
            if where is None:
                raise LinkError(importer, name, "kmm has no such kernel file")
            module = self._execute(name, *where, parent, leaf)
        vars(parent)[leaf] = module
        return module

    def _autoconf(self) -> ModuleType:
        module = ModuleType(AUTOCONF, "Generated from the configuration of this kernel.")
        vars(module).update(self.config.autoconf())
        self._modules[AUTOCONF] = module
        self._rebound[AUTOCONF] = frozenset()
        return module

    def _execute(self, name: str, path: Path, package: bool, parent: ModuleType, leaf: str) -> ModuleType:
        module = self._empty(name, path, self._builtins)
        if package:
            vars(module).update(__path__=[str(path.parent)], __package__=name)
        self._modules[name] = vars(parent)[leaf] = module
        patches = self._patches.get(name)
        self._open[name] = []
        if self._plain:
            sys.modules[name] = module
        try:
            if package and not path.is_file():
                self._rebound[name] = frozenset()
            elif patches is None:
                unit = _unit(path, name)
                self._rebound[name] = unit.rebound
                _run(unit.code, vars(module))
            else:
                self._overlay(module, _unit(path, name), patches)
            undefined = self._open.pop(name)
            if undefined:
                self._relocate(module, undefined)
        except BaseException as error:
            # Whatever was linked meanwhile may refer to this module, so it goes too.
            self._open.pop(name, None)
            for broken in list(self._modules)[list(self._modules).index(name):]:
                home, _, leaf = broken.rpartition(".")
                vars(self._modules.get(home, self._root)).pop(leaf, None)
                if self._plain:
                    sys.modules.pop(broken, None)
                del self._modules[broken]
            if not self._open:
                error.__traceback__ = _without_linker(error.__traceback__)
            raise
        return module

    def _relocate(self, module: ModuleType, undefined: Sequence[_Undefined]) -> None:
        """Bind what others imported from *module* before it was there."""
        space = vars(module)
        for one in undefined:
            if one.name not in space or space[one.name] is one:
                raise LinkError(one.importer, f"{one.module}.{one.name}", "the module does not define it")
            if one.name in self._rebound[one.module]:
                raise LinkError(one.importer, f"{one.module}.{one.name}", _BY_VALUE)
            value = space[one.name]
            for user in one.users:
                for key in [key for key, held in user.items() if held is one]:
                    user[key] = value
        del one
        changed = {f"{one.importer}:{one.name}": (one, space[one.name]) for one in undefined
                   if sys.getrefcount(one) > _UNUSED_REFERENCES}
        if changed:     # static data points at it: an ops table, the function of a work item
            users = {str(user["__name__"]): user for one, _ in changed.values() for user in one.users}
            _Repair(module.__name__, Path(space["__file__"]), changed).run(
                [(user, set()) for user in users.values()])

    # -- overlays

    def _overlay(self, module: ModuleType, unit: _Unit, patches: Sequence[OverlayFile]) -> None:
        """Execute a module and the overlays of it.

        First the module's body, then each overlay, then the imports that close the module (a
        header's ``.c`` files, which import from it): whoever imports the module sees the patched
        names.  What an overlay binds at top level replaces what was there.  A function or static
        that is replaced is also replaced where static data already points at it (an ops table, the
        function of a work item), as if the file had been edited.  Constants that other constants
        were computed from are not recomputed: an overlay gives each that it changes.

        :raises LinkError: an overlay redefines a struct of which static storage already exists.
        """
        codes = [_compile_text(patch.path, patch.text, _ANNOTATIONS) for patch in patches]
        self._rebound[module.__name__] = unit.rebound.union(*(set(_rebound(code)) for code in codes))
        body, tail = unit.split()
        space = vars(module)
        _run(body, space)
        given: set[str] = set()
        for patch, code in zip(patches, codes, strict=True):
            before = dict(space)
            filename = space["__file__"]
            _run(code, space)
            space["__file__"] = filename
            space["__doc__"] = before.get("__doc__")
            changed = {key: (old, space[key]) for key, old in before.items()
                       if key in space and space[key] is not old and not _is_dunder(key)}
            bound = {key for key in space if key not in before or key in changed}
            given |= bound
            early = dict.fromkeys(self._early.get(module.__name__, ()))
            _Repair(module.__name__, patch.path, changed).run(
                [(space, bound), *((vars(self._modules[name]), set()) for name in early
                                   if name in self._modules)])
        kept = {key: space[key] for key in given}
        _run(tail, space)
        space.update(kept)

    # -- imports

    def _import(self, name: str, globals: Mapping[str, Any] | None = None,
                locals: Mapping[str, Any] | None = None, fromlist: Sequence[str] | None = (),
                level: int = 0) -> Any:
        """``__import__`` of Linux code."""
        importer = str((globals or {}).get("__name__", ""))
        if level:
            raise LinkError(importer, "." * level + name, "kernel code imports by full name, not relatively")
        top = name.partition(".")[0]
        if top == "kmm":
            return self._resolve(name, importer, globals, fromlist, self._root)
        if top not in _FOREIGN:
            raise LinkError(importer, name, "Linux code imports Linux code, kmm.c and kmm.hooks only")
        return builtins.__import__(name, globals, locals, fromlist or (), 0)

    def _scenario_import(self, name: str, globals: Mapping[str, Any] | None = None,
                         locals: Mapping[str, Any] | None = None, fromlist: Sequence[str] | None = (),
                         level: int = 0) -> Any:
        """``__import__`` of a scenario: the kernel's modules, and everything else as usual."""
        importer = str((globals or {}).get("__name__", ""))
        if level:
            raise LinkError(importer, "." * level + name, "a scenario imports by full name, not relatively")
        if _in_kernel(name):
            return self._resolve(name, importer, globals, fromlist, self._scenario_root)
        found = builtins.__import__(name, globals, locals, fromlist or (), 0)
        if name != "kmm" and (name.partition(".")[0] != "kmm" or fromlist):
            return found
        return self._scenario_root

    def _resolve(self, name: str, importer: str, user: Mapping[str, Any] | None,
                 fromlist: Sequence[str] | None, root: ModuleType) -> Any:
        if (self._redirect and (name == _ASM or name.startswith(_ASM + "."))
                and not importer.startswith("kmm.arch.x86.")):
            if not fromlist:
                raise LinkError(importer, name, "an <asm/...> header is imported as 'from ... import ...'")
            name = self._redirect + name[len(_ASM):]
        module = self._modules.get(name) or self._load(name, importer)
        if not fromlist:
            return root
        space = vars(module)
        waiting = self._open.get(name)
        rebound = self._rebound.get(name, ())
        found = {}
        for wanted in fromlist:
            if wanted not in space:
                if wanted == "*":
                    if waiting is not None:
                        raise LinkError(importer, f"{name}.*", self._unfinished())
                    return module
                if "__path__" in space and locate(self.tree, f"{name}.{wanted}") is not None:
                    self._load(f"{name}.{wanted}", importer)
                elif waiting is not None:
                    found[wanted] = _Undefined(importer, name, wanted, [user], self._unfinished())
                    waiting.append(found[wanted])
                    continue
                else:
                    raise LinkError(importer, f"{name}.{wanted}", "no Kconfig file declares it"
                                    if name == AUTOCONF else "the module does not define it")
            value = found[wanted] = space[wanted]
            if wanted in rebound and not isinstance(value, ModuleType):
                raise LinkError(importer, f"{name}.{wanted}", _BY_VALUE)
            if isinstance(value, _Undefined):
                value.users.append(user)
            elif waiting is not None and name in self._patches:
                self._early.setdefault(name, []).append(importer)
        return SimpleNamespace(**found) if waiting is not None else module

    def _unfinished(self) -> str:
        return "needed while the kernel is linked, and not defined yet: " + " includes ".join(self._open)


def _needed(self: _Undefined, *arguments: object) -> Any:
    raise LinkError(self.importer, f"{self.module}.{self.name}", self.reason)


class _Undefined:
    """A name imported from a module that does not define it yet; see :meth:`Kernel._relocate`.

    To use it for anything but binding it is an error: the link order does not allow it.
    """

    __slots__ = ("importer", "module", "name", "reason", "users")

    def __init__(self, importer: str, module: str, name: str, users: list[Any], reason: str) -> None:
        self.importer = importer
        self.module = module
        self.name = name
        self.users = users
        self.reason = reason

    def __repr__(self) -> str:
        return f"<undefined {self.module}.{self.name}>"

    def __getattr__(self, name: str) -> Any:
        _needed(self)

    __call__ = __mro_entries__ = __bool__ = __int__ = __index__ = __iter__ = __getitem__ = _needed
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __lshift__ = __rlshift__ = _needed
    __rshift__ = __and__ = __rand__ = __or__ = __ror__ = __xor__ = __invert__ = __neg__ = _needed
    __lt__ = __le__ = __gt__ = __ge__ = __floordiv__ = __rfloordiv__ = __mod__ = _needed


class _ScenarioRoot(ModuleType):
    """``kmm`` as a scenario sees it: the kernel's modules, and the public interface."""

    def __init__(self, kernel: Kernel) -> None:
        super().__init__("kmm", "kmm, as a scenario linked into a kernel sees it.")
        self.__dict__["_kernel"] = kernel

    def __getattr__(self, name: str) -> Any:
        kernel = self.__dict__["_kernel"]
        if _in_kernel("kmm." + name):
            if name in vars(kernel._root):
                return vars(kernel._root)[name]
            raise AttributeError(f"kmm.{name} is not imported in this kernel")
        return getattr(sys.modules["kmm"], name)


class _Repair:
    """Makes static data follow what an overlay replaced."""

    def __init__(self, module: str, path: Path, changed: Mapping[str, tuple[Any, Any]]) -> None:
        self.module = module
        self.path = path
        self.by_name = changed
        self.by_id = {id(old): new for old, new in changed.values()
                      if not isinstance(old, (int, str, bytes, float, type(None), ModuleType))}
        self.keep = [old for old, _ in changed.values()]
        self.classes = {old: key for key, (old, _) in changed.items() if isinstance(old, type)}
        self.seen: set[int] = set()

    def run(self, where: list[tuple[dict[str, Any], set[str]]]) -> None:
        """Repair the globals of each module but for the names that the overlay itself bound."""
        for space, own in where:
            for key, value in list(space.items()):
                if key in own or _is_dunder(key):
                    continue
                if id(value) in self.by_id:
                    space[key] = self.by_id[id(value)]
                elif key in self.by_name and value is self.by_name[key][0]:
                    space[key] = self.by_name[key][1]
                else:
                    self._visit(value, f"{space['__name__']}.{key}")

    def _visit(self, value: Any, name: str) -> None:
        if isinstance(value, (int, str, bytes, float, FunctionType, ModuleType, type(None))):
            return
        if id(value) in self.seen:
            return
        self.seen.add(id(value))
        if isinstance(value, type):
            for base in value.__mro__[1:]:
                if base in self.classes:
                    self._refuse(f"{name} derives from", base)
            return
        if type(value) in self.classes:
            self._refuse(f"{name} is storage of", type(value))
        if isinstance(value, dict):
            for key, item in list(value.items()):
                value[key] = self._follow(item, f"{name}[{key!r}]")
        elif isinstance(value, list):
            value[:] = [self._follow(item, f"{name}[{n}]") for n, item in enumerate(value)]
        elif isinstance(value, tuple):
            for n, item in enumerate(value):
                if id(item) in self.by_id:
                    raise LinkError(self.module, str(self.path),
                                    f"{name} is a tuple that holds {self._name(item)}, which is only defined now")
                self._visit(item, f"{name}[{n}]")
        else:
            for klass in type(value).__mro__:
                for slot in klass.__dict__.get("__slots__", ()):
                    if slot != "_container" and hasattr(value, slot):
                        item = getattr(value, slot)
                        now = self._follow(item, f"{name}.{slot}")
                        if now is not item:
                            setattr(value, slot, now)

    def _follow(self, item: Any, name: str) -> Any:
        if id(item) in self.by_id:
            return self.by_id[id(item)]
        self._visit(item, name)
        return item

    def _name(self, item: object) -> str:
        return next(key.rpartition(":")[2] for key, (old, _) in self.by_name.items() if old is item)

    def _refuse(self, what: str, klass: type) -> None:
        raise LinkError(self.module, str(self.path),
                        f"{what} struct {klass.__name__}, which the overlay redefines; give it anew too")
