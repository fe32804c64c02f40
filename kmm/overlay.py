# SPDX-License-Identifier: GPL-2.0-only
"""Overlays: changes to the Linux sources of a kernel, stacked in order like a patch series.

An overlay is a folder that mirrors the kernel's tree.  ``mm/pgtable_generic.py`` in it is executed
in the namespace of kmm's own, after it, so what it defines replaces what was there::

    fix-the-race/
        overlay.toml
        mm/pgtable_generic.py

``overlay.toml`` is optional; all its keys are::

    subject = "mm: free kernel tables after the IOMMU was told"
    commit = "5ba2f0a15564"               # or message-id = "20251022082635.2462433-1-..."
    base = "7.2"                          # version it was written against
    expects = { sva_kernel_walk = "never" }    # by scenario: never, sometimes, always
    config = { ASYNC_KERNEL_PGTABLE_FREE = "n" }    # options it needs

A single Python file is an overlay too if a comment on its first line names the kernel file that it
patches: ``# overlay: mm/pgtable-generic.c``.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kmm.tree import TREE, is_linux, locate, module_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["VERDICTS", "Overlay", "OverlayError", "OverlayFile"]

#: What a scenario may be expected to show.
VERDICTS = ("never", "sometimes", "always")

_HEADER = re.compile(r"#\s*overlay:\s*(\S+)\s*$")
_STRINGS = ("subject", "commit", "message-id", "base")
_TABLES = ("expects", "config")


class OverlayError(ValueError):
    """An overlay that cannot be read, or that does not fit the tree.

    :ivar path: the file or folder that is wrong.
    :ivar line: its line, or 0.
    """

    def __init__(self, path: Path | str, reason: str, line: int = 0) -> None:
        self.path = Path(path)
        self.line = line
        super().__init__(f"{path}{f':{line}' if line else ''}: {reason}")


@dataclass(frozen=True, slots=True)
class OverlayFile:
    """One file of an overlay.

    :param module: the module it is executed in, e.g. ``kmm.mm.mmu_gather``.
    :param path: where its text comes from; tracebacks show it.
    :param text: the Python source.
    """

    module: str
    path: Path
    text: str


@dataclass(frozen=True)
class Overlay:
    """A change to the kernel; a value.

    :param name: the folder's or file's name, for people.
    :param files: what it changes, in path order.
    :param subject: the patch's subject line.
    :param commit: the commit it comes from, or "".
    :param message_id: the posting it comes from, or "".
    :param base: the kernel version it was written against, or "".
    :param expects: verdicts by scenario.
    :param config: values by option that it needs.
    :param origin: the path that it was loaded from, as given, or "".
    """

    name: str
    files: tuple[OverlayFile, ...]
    subject: str = ""
    commit: str = ""
    message_id: str = ""
    base: str = ""
    expects: Mapping[str, str] = field(default_factory=dict, hash=False)
    config: Mapping[str, str] = field(default_factory=dict, hash=False)
    origin: str = ""

    @classmethod
    def load(cls, path: Path | str, *, tree: Path = TREE) -> Overlay:
        """Read an overlay: a folder, or a single Python file.

        :raises OverlayError: it cannot be read, is not valid, or patches what kmm does not have.
        """
        path = Path(path)
        if path.is_dir():
            return _load_folder(path, tree)
        text = _read(path)
        if path.suffix != ".py":
            raise OverlayError(path, "an overlay is a folder or a Python file")
        header = next((match for line in text.splitlines()[:3] if (match := _HEADER.match(line))), None)
        if header is None:
            raise OverlayError(path, "no kernel file named: begin with a line such as "
                                     "'# overlay: mm/pgtable-generic.c'", 1)
        return cls(path.stem, (_file(header[1], path, text, tree),), origin=str(path))

    @classmethod
    def of(cls, name: str, texts: Mapping[str, str], *, tree: Path = TREE) -> Overlay:
        """An overlay from memory.

        :param texts: Python source by kernel file.
        :raises OverlayError: as :meth:`load`.
        """
        return cls(name, tuple(_file(file, Path(f"<{name}: {file}>"), text, tree)
                               for file, text in sorted(texts.items())))

    @cached_property
    def fingerprint(self) -> str:
        """A hash of what it changes."""
        return hashlib.sha256(repr([(file.module, file.text) for file in self.files]).encode()).hexdigest()


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise OverlayError(path, f"cannot read the overlay: {error.strerror}") from None
    except UnicodeDecodeError:
        raise OverlayError(path, "cannot read the overlay: it is not UTF-8 text") from None


def _file(kernel_file: str, path: Path, text: str, tree: Path) -> OverlayFile:
    module = module_name(kernel_file, tree)
    where = locate(tree, module) if is_linux(module) else None
    if where is None or where[1]:
        raise OverlayError(path, f"kmm has no kernel file {kernel_file} to lay this over")
    try:
        compile(text, str(path), "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None) or 0
        raise OverlayError(path, f"not valid Python: {getattr(error, 'msg', error)}", line) from None
    return OverlayFile(module, path, text)


def _load_folder(folder: Path, tree: Path) -> Overlay:
    files = tuple(_file(path.relative_to(folder).as_posix(), path, _read(path), tree)
                  for path in _sources(folder))
    if not files:
        raise OverlayError(folder, "an overlay that patches nothing: no Python file in it")
    return Overlay(folder.resolve().name, files, origin=str(folder), **_metadata(folder / "overlay.toml"))


def _sources(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if path.suffix in (".c", ".h"):
            raise OverlayError(path, "an overlay is written in Python, as kmm's own kernel files are: "
                                     f"{path.with_suffix('.py').name}")
        if path.suffix == ".py":
            yield path


def _metadata(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        data = tomllib.loads(_read(path))
    except tomllib.TOMLDecodeError as error:
        place = re.search(r" \(at line (\d+), column \d+\)", str(error))
        reason = str(error).removesuffix(place[0]) if place else str(error)
        raise OverlayError(path, f"not valid TOML: {reason}", int(place[1]) if place else 0) from None
    found: dict[str, Any] = {}
    for key, value in data.items():
        if key not in _STRINGS + _TABLES:
            raise OverlayError(path, f"unknown key {key}; there are {', '.join(_STRINGS + _TABLES)}")
        if key in _STRINGS:
            if not isinstance(value, str):
                raise OverlayError(path, f"{key} must be a string")
            found[key.replace("-", "_")] = value
        else:
            if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
                raise OverlayError(path, f"{key} must be a table of strings")
            found[key] = value
    for scenario, verdict in found.get("expects", {}).items():
        if verdict not in VERDICTS:
            raise OverlayError(path, f"expects.{scenario} is {verdict!r}, not one of {', '.join(VERDICTS)}")
    return found
