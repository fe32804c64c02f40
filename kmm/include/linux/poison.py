# SPDX-License-Identifier: GPL-2.0-only
"""Model of include/linux/poison.h: the list poison.

The poison values are addresses in C; here they are two nodes that belong to no list.
"""

from __future__ import annotations

from kmm.include.linux.types import list_head

LIST_POISON1 = list_head.zeroed()
LIST_POISON2 = list_head.zeroed()
