# SPDX-License-Identifier: GPL-2.0-only
"""Overlays: changes to the Linux sources of a kernel, stacked in order like a patch series."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

__all__ = ["Overlay", "OverlayError", "OverlayFile"]


class OverlayError(ValueError):
    """An overlay that cannot be read, or does not fit the tree."""


@dataclass(frozen=True, slots=True)
class OverlayFile:
    """One file of an overlay.

    :param module: the module it is executed in, e.g. ``kmm.mm.mmu_gather``.
    :param path: where its text comes from (tracebacks show it).
    :param text: the Python source.
    """

    module: str
    path: Path
    text: str


@dataclass(frozen=True)
class Overlay:
    """A change to the kernel."""

    name: str
    files: tuple[OverlayFile, ...]

    @cached_property
    def fingerprint(self) -> str:
        """A hash of what it changes."""
        return hashlib.sha256(repr([(f.module, f.text) for f in self.files]).encode()).hexdigest()
