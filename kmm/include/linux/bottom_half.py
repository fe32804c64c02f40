# SPDX-License-Identifier: GPL-2.0-only
"""Model of include/linux/bottom_half.h."""

from __future__ import annotations

from kmm import hooks
from kmm.include.linux.preempt import SOFTIRQ_DISABLE_OFFSET


def local_bh_disable() -> None:
    """Keep softirqs off this CPU."""
    hooks.preempt_count_add(SOFTIRQ_DISABLE_OFFSET)


def local_bh_enable() -> None:
    """Undo one :func:`local_bh_disable`; pending softirqs may run from here on."""
    hooks.preempt_count_sub(SOFTIRQ_DISABLE_OFFSET)
