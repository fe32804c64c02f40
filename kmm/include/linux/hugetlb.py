# SPDX-License-Identifier: GPL-2.0-only
"""Stub of include/linux/hugetlb.h (Linux 7.2): the size of a huge page of hugetlbfs.

kmm has no hugetlbfs: a VMA carries VM_HUGETLB and, in ``vm_private_data``, the ``hstate`` that
hstate_vma() reaches through the file in C.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from kmm.c import struct
from kmm.include.vdso.page import PAGE_SIZE

if TYPE_CHECKING:
    from kmm.include.linux.mm_types import vm_area_struct


class hstate(struct):
    """``struct hstate``: one size of huge pages."""

    order: int


def huge_page_size(h: hstate) -> int:
    """Bytes of a huge page."""
    return PAGE_SIZE << h.order


def hstate_vma(vma: vm_area_struct) -> hstate:
    """The size of pages that a VMA maps."""
    return cast("hstate", vma.vm_private_data)
