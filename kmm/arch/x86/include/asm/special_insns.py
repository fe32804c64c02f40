# SPDX-License-Identifier: GPL-2.0-only
"""Port of arch/x86/include/asm/special_insns.h (Linux 7.2).

Control registers 3 and 4 only, without paravirt: each access is one instruction of the machine.
CR0, CR2, PKRU, cache instructions and MOVDIR64B are left out.
"""

from __future__ import annotations

from kmm import hooks
from kmm.c import ulong


def __native_read_cr3() -> int:
    """MOV from CR3; bit 63 reads as zero."""
    return hooks.read_cr3()


def native_write_cr3(val: int) -> None:
    """MOV to CR3.

    :param val: ``unsigned long``, bit 63 set keeps what the PCID has in the TLB.
    """
    hooks.write_cr3(ulong(val))


def native_read_cr4() -> int:
    """MOV from CR4."""
    return hooks.read_cr4()


def __read_cr4() -> int:
    """CR4, whatever the shadow says."""
    return native_read_cr4()


def __read_cr3() -> int:
    """CR3 of this CPU, with its PCID."""
    return __native_read_cr3()


def write_cr3(x: int) -> None:
    """Load CR3 (serialising)."""
    native_write_cr3(x)


def __write_cr4(x: int) -> None:
    """Load CR4 without telling the shadow."""
    native_write_cr4(x)


# Declared here, defined there:
from kmm.arch.x86.kernel.cpu.common import native_write_cr4
