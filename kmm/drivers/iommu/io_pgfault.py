# SPDX-License-Identifier: GPL-2.0-only
"""Stub of drivers/iommu/io-pgfault.c: page requests of devices (PRI).

Not ported. Sound as long as no device has PRI: the driver never hands one to these functions then,
and SVA without PRI is allowed for devices that resolve their own faults.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kmm.hooks import Unported

if TYPE_CHECKING:
    from kmm.include.linux.device import device
    from kmm.include.linux.iommu import iopf_group, iopf_queue

_FILE = "drivers/iommu/io-pgfault.c"


def iopf_free_group(group: iopf_group) -> None:
    """Free a group of faults."""
    raise Unported(_FILE, "iopf_free_group")


def iopf_group_response(group: iopf_group, status: int) -> None:
    """Answer a group of faults."""
    raise Unported(_FILE, "iopf_group_response")


def iopf_queue_flush_dev(dev: device) -> int:
    """Wait until the queued page requests of a device are handled."""
    raise Unported(_FILE, "iopf_queue_flush_dev")


def iopf_queue_add_device(queue: iopf_queue, dev: device) -> int:
    """Handle the page requests of a device on *queue*."""
    raise Unported(_FILE, "iopf_queue_add_device")


def iopf_queue_remove_device(queue: iopf_queue, dev: device) -> None:
    """Stop handling the page requests of a device."""
    raise Unported(_FILE, "iopf_queue_remove_device")
