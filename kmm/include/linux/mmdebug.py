# SPDX-License-Identifier: GPL-2.0-only
"""Model of include/linux/mmdebug.h.

Reads CONFIG_DEBUG_VM. The conditions are evaluated by the caller either way, where C drops them; they
have no side effects in ported code. See ``bug.py`` for what a report says.
"""

from __future__ import annotations

import linecache
import sys

from kmm import hooks
from kmm.include.generated.autoconf import CONFIG_DEBUG_VM


def __caller(depth: int) -> tuple[str, str]:
    frame = sys._getframe(depth + 1)
    code = frame.f_code
    return code.co_name, linecache.getline(code.co_filename, frame.f_lineno).strip()


if CONFIG_DEBUG_VM:
    def VM_BUG_ON(cond: object) -> None:
        """``BUG_ON`` of debug kernels."""
        if cond:
            hooks.bug(*__caller(1))

    def VM_BUG_ON_PAGE(cond: object, page: object) -> None:
        """``VM_BUG_ON`` that dumps *page*."""
        if cond:
            hooks.bug(*__caller(1))

    def VM_BUG_ON_FOLIO(cond: object, folio: object) -> None:
        """``VM_BUG_ON`` that dumps *folio*."""
        if cond:
            hooks.bug(*__caller(1))

    def VM_BUG_ON_VMA(cond: object, vma: object) -> None:
        """``VM_BUG_ON`` that dumps *vma*."""
        if cond:
            hooks.bug(*__caller(1))

    def VM_BUG_ON_MM(cond: object, mm: object) -> None:
        """``VM_BUG_ON`` that dumps *mm*."""
        if cond:
            hooks.bug(*__caller(1))

    def VM_WARN_ON(cond: object) -> bool:
        """``WARN_ON`` of debug kernels."""
        if cond:
            hooks.warn(*__caller(1))
        return bool(cond)

    def VM_WARN_ON_ONCE(cond: object) -> bool:
        """``WARN_ON_ONCE`` of debug kernels."""
        if cond:
            hooks.warn(*__caller(1))
        return bool(cond)

    def VM_WARN_ON_ONCE_PAGE(cond: object, page: object) -> bool:
        """``VM_WARN_ON_ONCE`` that dumps *page*."""
        if cond:
            hooks.warn(*__caller(1))
        return bool(cond)

    def VM_WARN_ON_FOLIO(cond: object, folio: object) -> bool:
        """``VM_WARN_ON`` that dumps *folio*."""
        if cond:
            hooks.warn(*__caller(1))
        return bool(cond)

    def VM_WARN_ON_ONCE_FOLIO(cond: object, folio: object) -> bool:
        """``VM_WARN_ON_ONCE`` that dumps *folio*."""
        if cond:
            hooks.warn(*__caller(1))
        return bool(cond)

    def VM_WARN_ON_ONCE_MM(cond: object, mm: object) -> bool:
        """``VM_WARN_ON_ONCE`` that dumps *mm*."""
        if cond:
            hooks.warn(*__caller(1))
        return bool(cond)

    def VM_WARN_ON_ONCE_VMA(cond: object, vma: object) -> bool:
        """``VM_WARN_ON_ONCE`` that dumps *vma*."""
        if cond:
            hooks.warn(*__caller(1))
        return bool(cond)

    def VM_WARN_ONCE(cond: object, message: str = "", *args: object) -> bool:
        """``WARN_ONCE`` of debug kernels."""
        if cond:
            where, line = __caller(1)
            hooks.warn(where, message % args if args else message or line)
        return bool(cond)
else:
    def VM_BUG_ON(cond: object) -> None:
        """Nothing without CONFIG_DEBUG_VM."""

    def VM_BUG_ON_PAGE(cond: object, page: object) -> None:
        """Nothing without CONFIG_DEBUG_VM."""

    def VM_BUG_ON_FOLIO(cond: object, folio: object) -> None:
        """Nothing without CONFIG_DEBUG_VM."""

    def VM_BUG_ON_VMA(cond: object, vma: object) -> None:
        """Nothing without CONFIG_DEBUG_VM."""

    def VM_BUG_ON_MM(cond: object, mm: object) -> None:
        """Nothing without CONFIG_DEBUG_VM."""

    def VM_WARN_ON(cond: object) -> bool:
        """Nothing without CONFIG_DEBUG_VM."""
        return False

    def VM_WARN_ON_ONCE(cond: object) -> bool:
        """Nothing without CONFIG_DEBUG_VM."""
        return False

    def VM_WARN_ON_ONCE_PAGE(cond: object, page: object) -> bool:
        """Nothing without CONFIG_DEBUG_VM."""
        return False

    def VM_WARN_ON_FOLIO(cond: object, folio: object) -> bool:
        """Nothing without CONFIG_DEBUG_VM."""
        return False

    def VM_WARN_ON_ONCE_FOLIO(cond: object, folio: object) -> bool:
        """Nothing without CONFIG_DEBUG_VM."""
        return False

    def VM_WARN_ON_ONCE_MM(cond: object, mm: object) -> bool:
        """Nothing without CONFIG_DEBUG_VM."""
        return False

    def VM_WARN_ON_ONCE_VMA(cond: object, vma: object) -> bool:
        """Nothing without CONFIG_DEBUG_VM."""
        return False

    def VM_WARN_ONCE(cond: object, message: str = "", *args: object) -> bool:
        """Nothing without CONFIG_DEBUG_VM."""
        return False
