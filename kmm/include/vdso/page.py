# SPDX-License-Identifier: GPL-2.0-only
"""Port of include/vdso/page.h (Linux 7.2).

Every architecture that kmm knows today uses 4 KiB pages, so CONFIG_PAGE_SHIFT is a constant here.
"""

from __future__ import annotations

from kmm.c import ulong

CONFIG_PAGE_SHIFT = 12
PAGE_SHIFT = CONFIG_PAGE_SHIFT
PAGE_SIZE = 1 << PAGE_SHIFT
PAGE_MASK = ulong(~(PAGE_SIZE - 1))
