# SPDX-License-Identifier: GPL-2.0-only
"""Kernel configurations: what Kconfig and ``.config`` are to the Makefile of Linux.

The ``Kconfig`` files beside the ported code are in the kernel's language and are read by
kconfiglib.  A :class:`Config` is a value: what somebody wished for, and what the rules made of it.

Some options have no prompt; the kernel's rules alone decide them (``X86`` selects
``ASYNC_KERNEL_PGTABLE_FREE`` if ``IOMMU_SVA``).  :meth:`Config.with_set` may *force* such an
option, because the kernel without it is what a bug or a proposal is about; the configuration then
says that no ``.config`` leads there.

Nothing here depends on the environment of the process or writes to its streams: kconfiglib is
loaded as a private copy whose environment holds ``SRCARCH`` and ``srctree`` and nothing else.

``python -m kmm.kconfig --write-autoconf`` rewrites ``kmm/include/generated/autoconf.py`` from the
default configuration.
"""

from __future__ import annotations

import difflib
import functools
import hashlib
import importlib.util
import os
import re
import sys
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from kmm.tree import LINUX, TREE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

__all__ = ["Config", "ConfigError", "ConfigReport", "Contradiction", "Forced", "architectures"]

_AUTOCONF = TREE / "include" / "generated" / "autoconf.py"
_VERSION = "7.2"

#: Options that say what machine this is; a kernel without them is not another kernel of kmm.
_IDENTITY = frozenset({"64BIT", "MMU", "PAGE_SHIFT", "X86", "X86_32", "X86_64"})

#: How a ``.config`` gives its architecture away.
_ARCH_OPTIONS = {"X86": "x86", "ARM64": "arm64", "RISCV": "riscv", "PPC": "powerpc", "S390": "s390",
                 "M68K": "m68k", "ARM": "arm", "SPARC": "sparc", "LOONGARCH": "loongarch", "MIPS": "mips",
                 "PARISC": "parisc", "ALPHA": "alpha", "UML": "um"}

#: Combinations that no rule forbids, as nothing that can be configured leads to them, and that do
#: not compile in Linux 7.2. kmm refuses them, but for those below, whose meaning is not in doubt.
_DOES_NOT_COMPILE = (
    ({"MMU_GATHER_NO_GATHER": "y", "MMU_GATHER_PAGE_SIZE": "y"},
     "a gather that queues no pages has no page_size member (include/asm-generic/tlb.h)"),
    ({"MMU_GATHER_RCU_TABLE_FREE": "y", "MMU_GATHER_TABLE_FREE": "n"},
     "mm/mmu_gather.c has the first within the second"),
)
_COMPILES_HERE_ONLY = (
    ({"MMU_GATHER_TABLE_FREE": "y", "MMU_GATHER_RCU_TABLE_FREE": "n"},
     "mm/mmu_gather.c calls tlb_needs_table_invalidate(), which include/asm-generic/tlb.h then lacks"),
    ({"MMU_GATHER_NO_RANGE": "y", "KMM_ARCH_TLB_FLUSH": "y"},
     "include/asm-generic/tlb.h refuses an architecture's own tlb_flush(); here it is ignored"),
)

_TYPES = {"bool": "y or n", "int": "a decimal number", "hex": "a hexadecimal number"}


class ConfigError(ValueError):
    """A configuration that cannot be read, or that the rules refuse.

    :ivar option: the option it is about, without ``CONFIG_``, or "".
    :ivar where: file and line, or "".
    """

    def __init__(self, message: str, *, option: str = "", where: str = "") -> None:
        self.option = option
        self.where = where
        super().__init__(f"{where}: {message}" if where else message)


@dataclass(frozen=True, slots=True)
class Contradiction:
    """An option of a ``.config`` whose value the rules do not allow there.

    :param option: its name.
    :param asked: the value in the file.
    :param value: the value it has.
    :param reason: the rule, in one clause.
    """

    option: str
    asked: str
    value: str
    reason: str

    def __str__(self) -> str:
        return f"{self.option}={self.asked} became {self.value}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Forced:
    """An option without a prompt that was given a value against the rules.

    :param option: its name.
    :param value: the value it was given.
    :param reason: a sentence for people.
    """

    option: str
    value: str
    reason: str

    def __str__(self) -> str:
        return self.reason


@dataclass(frozen=True, slots=True)
class ConfigReport:
    """What became of what was asked.

    :param unknown: number of options of the file that kmm does not know.
    :param known: those that it does know, in the order of the file.
    :param contradicted: known options whose value the rules changed.
    :param forced: options that were given a value against the rules.
    :param inert: options that were changed and that nothing in kmm reads, directly or through a rule.
    """

    unknown: int = 0
    known: tuple[str, ...] = ()
    contradicted: tuple[Contradiction, ...] = ()
    forced: tuple[Forced, ...] = ()
    inert: tuple[str, ...] = ()


# --- kconfiglib -------------------------------------------------------------------------------

def architectures(tree: Path = TREE) -> tuple[str, ...]:
    """The architectures that can be configured, as ``SRCARCH`` names them."""
    return tuple(sorted(path.parent.name for path in (tree / "arch").glob("*/Kconfig")))


def _kconfiglib(environ: Mapping[str, str]) -> Any:
    """A copy of kconfiglib that knows no environment but *environ* and imports no plug-ins."""
    spec = importlib.util.find_spec("kconfiglib")
    if spec is None or spec.loader is None:
        raise ConfigError("the package kconfiglib is not installed")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def import_module(name: str) -> None:
        raise ImportError(name)

    space = vars(module)
    space["os"] = SimpleNamespace(**{**vars(os), "environ": environ, "getenv": environ.get})
    space["importlib"] = SimpleNamespace(import_module=import_module)
    return module


@functools.cache
def _library(arch: str, tree: Path) -> Any:
    return _kconfiglib({"SRCARCH": arch, "srctree": str(tree)})


@functools.cache
def _effective(arch: str, tree: Path) -> frozenset[str]:
    """Options that Linux code reads, and those that these follow from."""
    rules = _Rules(arch, tree, {}, {})
    read = set()
    for file in (file for top in LINUX for file in (tree / top).rglob("*.py")):
        if file.parent.name != "generated":
            read.update(re.findall(r"\bCONFIG_(\w+)", file.read_text(encoding="utf-8")))
    causes: dict[str, set[str]] = {}
    for name, symbol in rules.symbols.items():
        causes[name] = {item.name for item in symbol.referenced if item.name in rules.symbols}
        if symbol.choice is not None:
            causes[name] |= {other.name for other in symbol.choice.syms}
    for name, symbol in rules.symbols.items():
        for target, *_ in [*symbol.selects, *symbol.implies]:
            causes[target.name].add(name)
    found: set[str] = set()
    todo = sorted(read & rules.symbols.keys())
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo += sorted(causes[name])
    return frozenset(found)


class _Rules:
    """The Kconfig files of one architecture, with some options pinned and others wished for."""

    def __init__(self, arch: str, tree: Path, pins: Mapping[str, str], wishes: Mapping[str, str]) -> None:
        self.arch = arch
        self.lib = _library(arch, tree)
        try:
            self.kconf = self.lib.Kconfig("Kconfig", warn_to_stderr=False)
        except (self.lib.KconfigError, OSError) as error:
            raise ConfigError(f"the Kconfig files of {arch} cannot be read: {' '.join(str(error).split())}"
                              ) from None
        self.symbols: dict[str, Any] = {symbol.name: symbol for symbol in self.kconf.unique_defined_syms}
        for name, value in pins.items():
            self._pin(self.symbols[name], value)
        for name, value in wishes.items():
            if name not in pins:
                self.symbols[name].set_value(value)

    def _pin(self, symbol: Any, value: str) -> None:
        """Make the rules say *value*; 'depends on' still counts."""
        kconf = self.kconf
        symbol.rev_dep = symbol.weak_rev_dep = kconf.n
        if self.kind(symbol.name) == "bool":
            constant = kconf.y if value == "y" else kconf.n
        else:
            kconf._parsing_kconfigs = True
            constant = kconf._lookup_const_sym(value)
            kconf._parsing_kconfigs = False
        symbol.defaults = [(constant, symbol.direct_dep)]

    def kind(self, name: str) -> str:
        """``bool``, ``int``, ``hex`` or ``string``."""
        return str(self.lib.TYPE_TO_STR[self.symbols[name].orig_type])

    def has_prompt(self, name: str) -> bool:
        """Whether somebody can be asked for it, in some configuration."""
        return any(node.prompt for node in self.symbols[name].nodes)

    def value(self, name: str) -> str:
        """What the rules make of it."""
        return str(self.symbols[name].str_value)

    def text(self, expression: Any) -> str:
        """An expression as Kconfig files write it."""
        return str(self.lib.expr_str(expression))

    def terms(self, expression: Any, operator: int) -> Iterator[Any]:
        """The operands of nested *operator*."""
        if isinstance(expression, tuple) and expression[0] == operator:
            for operand in expression[1:]:
                yield from self.terms(operand, operator)
        else:
            yield expression

    def failing(self, expression: Any) -> str:
        """The first terms that make *expression* false, with the values they have."""
        false = []
        for term in self.terms(expression, self.lib.AND):
            if self.lib.expr_value(term):
                continue
            if isinstance(term, tuple):
                values = ", ".join(f"{item.name}={item.str_value}" for item in _names(self.lib, term))
                false.append(f"{self.text(term)} ({values})")
            else:
                false.append(f"{self.text(term)} (={term.str_value})")
        return " and ".join(dict.fromkeys(false))

    def selectors(self, name: str, *, active: bool) -> list[str]:
        """Who selects *name*, with the condition; only those who do so now if *active*."""
        found = []
        for term in self.terms(self.symbols[name].rev_dep, self.lib.OR):
            if term is self.kconf.n or active and not self.lib.expr_value(term):
                continue
            who, *conditions = self.terms(term, self.lib.AND)
            by = self.text(who)
            deps = {self.text(part) for part in self.terms(getattr(who, "direct_dep", self.kconf.y), self.lib.AND)}
            conditions = [text for text in map(self.text, conditions) if text not in deps]
            found.append(f"{by} selects it" + (f" if {' && '.join(conditions)}" if conditions else ""))
        return found

    def why(self, name: str, asked: str) -> str:
        """Why *name* is not *asked*."""
        symbol = self.symbols[name]
        if not self.lib.expr_value(symbol.direct_dep):
            return f"needs {self.failing(symbol.direct_dep)}"
        selectors = self.selectors(name, active=True)
        if asked == "n" and selectors:
            return selectors[0]
        if symbol.choice is not None:
            chosen = symbol.choice.selection
            if asked == "n":
                return "it is the one that is chosen: set another of its choice to y"
            return f"{chosen.name if chosen else 'nothing'} is chosen instead"
        for low, high, condition in symbol.ranges:
            if self.lib.expr_value(condition):
                return f"must be in {low.str_value}..{high.str_value}"
        if self.has_prompt(name):
            conditions = {self.text(node.prompt[1]): node.prompt[1] for node in symbol.nodes if node.prompt}
            return "is only asked if " + " or ".join(self.failing(one) for one in conditions.values())
        return self.rule(name, asked)

    def rule(self, name: str, asked: str) -> str:
        """What decides an option without a prompt against *asked*."""
        symbol = self.symbols[name]
        selectors = self.selectors(name, active=asked == "n")
        if selectors:
            return ("" if asked == "n" else "only ") + " or ".join(selectors)
        given = [value for value, condition in symbol.defaults if self.lib.expr_value(condition)]
        if given and given[0] is self.kconf.y:
            return f"it follows from {self.text(symbol.direct_dep)}"
        if given and given[0] is not self.kconf.n:
            return f"its default is {self.text(given[0])}"
        return f"nothing selects it on {self.arch}"


def _names(lib: Any, expression: Any) -> list[Any]:
    return sorted((item for item in lib.expr_items(expression) if not item.is_constant and item.name),
                  key=lambda item: str(item.name))


# --- configurations ---------------------------------------------------------------------------

@dataclass(frozen=True)
class Config:
    """One configuration of the kernel; a value.

    Make one with :meth:`default`, :meth:`load` or :meth:`with_set`.

    :param arch: the architecture, as ``SRCARCH`` names it.
    :param values: every option that kmm knows with its value as ``.config`` writes it, by name.
    :param wishes: what was asked for, as far as there is a prompt.
    :param report: what became of it.
    :param text: the ``.config`` that leads here.
    """

    arch: str
    values: tuple[tuple[str, str], ...] = field(repr=False)
    kinds: tuple[tuple[str, str], ...] = field(repr=False, compare=False)
    wishes: tuple[tuple[str, str], ...] = field(repr=False, compare=False)
    report: ConfigReport = field(default=ConfigReport(), repr=False, compare=False)
    text: str = field(default="", repr=False, compare=False)
    tree: Path = field(default=TREE, repr=False, compare=False)

    # -- where they come from

    @classmethod
    def default(cls, arch: str = "x86", *, tree: Path = TREE) -> Config:
        """The default configuration of an architecture: its ``defconfig``.

        :raises ConfigError: kmm has no such architecture.
        """
        return _default(arch, tree)

    @classmethod
    def load(cls, path: Path | str, *, arch: str | None = None, tree: Path = TREE) -> Config:
        """Read a ``.config``, a distribution's own as it is.

        Options that kmm does not know are counted; :attr:`report` lists what the rules changed.

        :param arch: its architecture; by default the file says it.
        :raises ConfigError: the file cannot be read, a line is malformed, a value does not fit its
            option, or kmm does not have its architecture.
        """
        path = Path(path)
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"cannot read the configuration: {getattr(error, 'strerror', None) or error}",
                              where=str(path)) from None
        return _read(lines, str(path), arch, tree)

    def with_set(self, changes: Mapping[str, str]) -> Config:
        """This configuration with some options changed, and what follows from that.

        :param changes: values by option name (with or without ``CONFIG_``), as in a ``.config``.
        :raises ConfigError: unknown option, value that does not fit, or the rule that forbids it.
        """
        changes = {name.removeprefix("CONFIG_"): value for name, value in changes.items()}
        kinds = dict(self.kinds)
        for name, value in changes.items():
            _check_known(name, kinds)
            _check_value(name, value, kinds[name])
            if name in _IDENTITY and dict(self.values)[name] != value:
                raise ConfigError(f"{name}={value}: kmm's {self.arch} has {name}={dict(self.values)[name]}, "
                                  "which is not up for configuration", option=name)
        rules = _Rules(self.arch, self.tree, {}, {})
        wishes = dict(self.wishes)
        pins = {forced.option: forced.value for forced in self.report.forced if forced.option not in changes}
        for name, value in changes.items():
            if rules.has_prompt(name):
                wishes.pop(name, None)
                wishes[name] = value       # last, so that it wins within a choice
            else:
                pins[name] = value
        inert = tuple(name for name, value in changes.items() if name not in _effective(self.arch, self.tree)
                      and not _same(dict(self.values)[name], value, kinds[name]))
        report = replace(self.report, forced=(), inert=tuple(dict.fromkeys(self.report.inert + inert)))
        config = _solve(self.arch, self.tree, wishes, pins, report)
        result = dict(config.values)
        for name, value in changes.items():
            if not _same(result[name], value, kinds[name]):
                rules = _Rules(self.arch, self.tree, dict(_pins(config)), wishes)
                raise ConfigError(f"{name}={value}{_clause(rules.why(name, value))}", option=name)
        for combination, reason in _DOES_NOT_COMPILE:
            if combination.items() <= result.items():
                what = " with ".join(f"{name}={value}" for name, value in combination.items())
                raise ConfigError(f"{what} does not compile in Linux {_VERSION}: {reason}",
                                  option=next(iter(combination)))
        return config

    @staticmethod
    def parse_assignment(text: str) -> tuple[str, str]:
        """``X=y`` or ``CONFIG_X=y`` as a pair, for the command line.

        :raises ConfigError: it is not of that form.
        """
        name, equals, value = text.strip().partition("=")
        name = name.strip().removeprefix("CONFIG_")
        if not equals or not re.fullmatch(r"\w+", name):
            raise ConfigError(f"{text!r} is not of the form OPTION=value")
        return name, value.strip()

    # -- what they are good for

    def __getitem__(self, option: str) -> bool | int | str:
        """The value of an option as Linux code sees it.

        :raises ConfigError: kmm does not know the option.
        """
        name = option.removeprefix("CONFIG_")
        _check_known(name, dict(self.kinds))
        return self.autoconf()["CONFIG_" + name]

    def autoconf(self) -> dict[str, bool | int | str]:
        """What Linux code sees: ``CONFIG_`` names and values, as bool, int or str."""
        kinds = dict(self.kinds)
        return {"CONFIG_" + name: _python(value, kinds[name]) for name, value in self.values}

    @cached_property
    def fingerprint(self) -> str:
        """A hash of the architecture and of every value."""
        return hashlib.sha256(repr((self.arch, self.values)).encode()).hexdigest()

    def save(self, path: Path | str) -> None:
        """Write a ``.config`` that :meth:`load` reads back to an equal configuration.

        :raises ConfigError: the file cannot be written.
        """
        try:
            Path(path).write_text(self.text, encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"cannot write the configuration: {error.strerror}", where=str(path)) from None

    def differences(self, other: Config) -> list[str]:
        """``OPTION: here -> there`` for each option whose value differs, by name."""
        there = dict(other.values)
        return [f"{name}: {value} -> {there.get(name, 'absent')}" for name, value in self.values
                if there.get(name) != value]


def _clause(reason: str) -> str:
    return f" {reason}" if reason.startswith(("needs", "must", "is only")) else f": {reason}"


def _pins(config: Config) -> Iterable[tuple[str, str]]:
    return ((forced.option, forced.value) for forced in config.report.forced)


def _same(value: str, asked: str, kind: str) -> bool:
    return _python(value, kind) == _python(asked, kind)


def _python(value: str, kind: str) -> bool | int | str:
    if kind == "bool":
        return value == "y"
    if kind in ("int", "hex"):
        return int(value or "0", 16 if kind == "hex" else 10)
    return value


def _check_known(name: str, kinds: Mapping[str, str]) -> None:
    if name not in kinds:
        close = difflib.get_close_matches(name.upper(), kinds, 3, 0.75)
        raise ConfigError(f"kmm knows no option {name}" + (f"; is it {' or '.join(close)}?" if close else ""),
                          option=name)


def _check_value(name: str, value: str, kind: str, where: str = "") -> None:
    pattern = {"bool": "[yn]", "int": "-?[0-9]+", "hex": "(0[xX])?[0-9a-fA-F]+"}.get(kind, ".*")
    if not re.fullmatch(pattern, value):
        raise ConfigError(f"{name}={value}: the value must be {_TYPES[kind]}", option=name, where=where)


def _solve(arch: str, tree: Path, wishes: Mapping[str, str], pins: Mapping[str, str],
           report: ConfigReport) -> Config:
    """Apply the rules; keep of *pins* only those that the others do not imply."""
    kept = dict(pins)
    reasons: dict[str, str] = {}
    for name in pins:
        others = {other: value for other, value in kept.items() if other != name}
        rules = _Rules(arch, tree, others, wishes)
        if _same(rules.value(name), pins[name], rules.kind(name)):
            kept = others
        else:
            reasons[name] = (f"{name}={pins[name]} is forced: no configuration of {arch} reaches this kernel, "
                             f"as {name} has no prompt and {rules.rule(name, pins[name])}")
    rules = _Rules(arch, tree, kept, wishes)
    values = tuple(sorted((name, rules.value(name)) for name in rules.symbols))
    kinds = tuple((name, rules.kind(name)) for name, _ in values)
    notes = {name: f"; Linux {_VERSION} does not compile it either: {reason}"
             for combination, reason in _COMPILES_HERE_ONLY if combination.items() <= dict(values).items()
             for name in combination}
    forced = tuple(Forced(name, value, reasons[name] + notes.get(name, "")) for name, value in kept.items())
    lines = [f"# kmm, after Linux/{arch} {_VERSION}", *(f"# kmm: forced CONFIG_{one.option}={one.value}"
                                                      for one in forced)]
    lines += [symbol.config_string.rstrip("\n") for symbol in rules.kconf.unique_defined_syms
              if symbol.config_string and symbol.name not in kept]
    return Config(arch, values, kinds, tuple(wishes.items()),
                  replace(report, forced=forced),
                  "\n".join(lines) + "\n", tree)


_SET = re.compile(r"CONFIG_(\w+)=(.*)")
_UNSET = re.compile(r"# CONFIG_(\w+) is not set")
_FORCED = re.compile(r"# kmm: forced CONFIG_(\w+)=(.*)")


def _read(lines: Iterable[str], path: str, arch: str | None, tree: Path) -> Config:
    asked: dict[str, tuple[str, str]] = {}
    forced: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        where = f"{path}:{number}"
        line = line.rstrip()
        if match := _SET.fullmatch(line):
            value = match[2]
            if value.startswith('"'):
                if len(value) < 2 or not value.endswith('"'):
                    raise ConfigError(f"a string without its closing quote: {line[:60]}", where=where)
                value = re.sub(r"\\(.)", r"\1", value[1:-1])
            asked[match[1]] = (value, where)
        elif match := _UNSET.fullmatch(line):
            asked[match[1]] = ("n", where)
        elif match := _FORCED.fullmatch(line):
            forced[match[1]] = match[2]
        elif line and not line.startswith("#"):
            raise ConfigError(f"not a line of a .config: {line[:60]}", where=where)
    arch = arch or _arch_of(asked, path, tree)
    rules = _Rules(arch, tree, {}, {})
    known = {}
    for name, (value, where) in asked.items():
        if name in rules.symbols:
            _check_value(name, value, rules.kind(name), where)
            known[name] = value
    for name, value in forced.items():
        if name not in rules.symbols or rules.has_prompt(name):
            raise ConfigError(f"CONFIG_{name} cannot be forced", option=name, where=path)
        _check_value(name, value, rules.kind(name), path)
    wishes = {name: value for name, value in known.items() if rules.has_prompt(name)}
    config = _solve(arch, tree, wishes, forced, ConfigReport(len(asked) - len(known), tuple(known)))
    values = dict(config.values)
    rules = _Rules(arch, tree, dict(_pins(config)), wishes)
    contradicted = tuple(
        Contradiction(name, value, values[name], rules.why(name, value))
        for name, value in known.items()
        if not _same(values[name], value, rules.kind(name)) and name not in forced)
    plain = _Rules(arch, tree, {}, {})
    inert = tuple(name for name, value in wishes.items() if name not in _effective(arch, tree)
                  and not _same(values[name], plain.value(name), rules.kind(name)))
    return replace(config, report=replace(config.report, contradicted=contradicted, inert=inert))


def _arch_of(asked: Mapping[str, tuple[str, str]], path: str, tree: Path) -> str:
    arch = next((arch for option, arch in _ARCH_OPTIONS.items() if asked.get(option, ("n",))[0] == "y"), "x86")
    if arch not in architectures(tree):
        raise ConfigError(f"a configuration of {arch}; kmm has {', '.join(architectures(tree))}", where=path)
    if asked.get("X86_32", ("n",))[0] == "y":
        raise ConfigError("a configuration of 32-bit x86; kmm has 64-bit x86 only", where=path)
    return arch


@functools.cache
def _default(arch: str, tree: Path) -> Config:
    if arch not in architectures(tree):
        raise ConfigError(f"kmm has no architecture {arch}; it has {', '.join(architectures(tree))}")
    name = {"x86": "x86_64_defconfig"}.get(arch, "defconfig")
    config = Config.load(tree / "arch" / arch / "configs" / name, arch=arch, tree=tree)
    return replace(config, report=ConfigReport())


# --- autoconf ---------------------------------------------------------------------------------

_AUTOCONF_HEAD = '''\
# SPDX-License-Identifier: GPL-2.0-only
"""Stub of include/generated/autoconf.h: the default x86-64 configuration.

Plain imports, type checkers and the documentation see these values. A kernel that is built gets a
module of the same name generated from its own ``.config``.

Generated from ``kmm/arch/x86/configs/x86_64_defconfig`` by ``python -m kmm.kconfig --write-autoconf``.
"""

from __future__ import annotations

'''


def autoconf_text(config: Config) -> str:
    """The source of ``kmm/include/generated/autoconf.py`` for a configuration."""
    return _AUTOCONF_HEAD + "".join(
        f"{name}: {type(value).__name__} = {value!r}\n" for name, value in sorted(config.autoconf().items()))


def main(arguments: list[str], say: Callable[[str], object] = sys.stdout.write) -> int:
    """``python -m kmm.kconfig --write-autoconf``."""
    if arguments != ["--write-autoconf"]:
        say("usage: python -m kmm.kconfig --write-autoconf\n")
        return 2
    _AUTOCONF.write_text(autoconf_text(Config.default()), encoding="utf-8")
    say(f"{_AUTOCONF}: {len(Config.default().values)} options\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
