# SPDX-License-Identifier: GPL-2.0-only
"""Stub of include/generated/autoconf.h: the default x86-64 configuration.

Plain imports, type checkers and the documentation see these values. A kernel that is built gets a
module of the same name generated from its own ``.config``.
"""

from __future__ import annotations

CONFIG_ASYNC_KERNEL_PGTABLE_FREE: bool = True
CONFIG_SMP: bool = True
