# SPDX-License-Identifier: GPL-2.0-only
"""Kernel configurations: what Kconfig and ``.config`` are to the Makefile of Linux."""

from __future__ import annotations

import ast
import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

__all__ = ["Config", "ConfigError"]

_AUTOCONF = Path(__file__).parent / "include" / "generated" / "autoconf.py"


class ConfigError(ValueError):
    """A configuration that cannot be read or built."""


@dataclass(frozen=True)
class Config:
    """One kernel configuration; a value."""

    arch: str
    values: tuple[tuple[str, Any], ...]

    @classmethod
    def default(cls, arch: str = "x86") -> Self:
        """The default configuration of *arch*."""
        tree = ast.parse(_AUTOCONF.read_text())
        values = {node.target.id: ast.literal_eval(node.value) for node in tree.body
                  if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value}
        return cls(arch, tuple(sorted(values.items())))

    def with_set(self, changes: dict[str, str]) -> Self:
        """This configuration with some symbols changed."""
        values = dict(self.values)
        for name, text in changes.items():
            values["CONFIG_" + name] = {"y": True, "n": False}.get(text, text)
        return type(self)(self.arch, tuple(sorted(values.items())))

    def autoconf(self) -> dict[str, Any]:
        """``CONFIG_`` names to bools, ints and strings."""
        return dict(self.values)

    @cached_property
    def fingerprint(self) -> str:
        """A hash of arch and values."""
        return hashlib.sha256(repr((self.arch, self.values)).encode()).hexdigest()
