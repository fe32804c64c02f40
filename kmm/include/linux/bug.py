# SPDX-License-Identifier: GPL-2.0-only
"""Model of include/linux/bug.h and asm-generic/bug.h.

A failed assertion is reported with the name of the function it stands in and its source line, both
looked up only when it fails. The ``_ONCE`` forms report every time: an execution must not depend on
what an earlier execution already said.
"""

from __future__ import annotations

import linecache
import sys
from typing import NoReturn

from kmm import hooks


def __caller(depth: int) -> tuple[str, str]:
    frame = sys._getframe(depth + 1)
    code = frame.f_code
    return code.co_name, linecache.getline(code.co_filename, frame.f_lineno).strip()


def caller_name() -> str:
    """Name of the function that called the caller of this one, kmm's ``__func__`` of macros."""
    return sys._getframe(2).f_code.co_name


def BUG() -> NoReturn:
    """Stop this actor: the kernel can not go on."""
    where, line = __caller(1)
    hooks.bug(where, line)
    raise AssertionError(f"BUG() returned in {where}")


def BUG_ON(condition: object) -> None:
    """``BUG()`` if *condition*."""
    if condition:
        hooks.bug(*__caller(1))


def WARN_ON(condition: object) -> bool:
    """Report if *condition*, and go on; *condition* as a truth value."""
    if condition:
        hooks.warn(*__caller(1))
    return bool(condition)


def WARN_ON_ONCE(condition: object) -> bool:
    """Report if *condition*, and go on; *condition* as a truth value."""
    if condition:
        hooks.warn(*__caller(1))
    return bool(condition)


def WARN(condition: object, message: str = "", *args: object) -> bool:
    """Report *message* if *condition*, and go on."""
    if condition:
        where, line = __caller(1)
        hooks.warn(where, message % args if args else message or line)
    return bool(condition)


def WARN_ONCE(condition: object, message: str = "", *args: object) -> bool:
    """Report *message* if *condition*, and go on."""
    if condition:
        where, line = __caller(1)
        hooks.warn(where, message % args if args else message or line)
    return bool(condition)


def BUILD_BUG_ON(condition: object) -> None:
    """A condition that C checks while compiling; here, when the line runs."""
    assert not condition, "BUILD_BUG_ON"


def BUILD_BUG() -> NoReturn:
    """Code that C removes while compiling was reached."""
    where, line = __caller(1)
    raise AssertionError(f"BUILD_BUG reached in {where}: {line}")
