# SPDX-License-Identifier: GPL-2.0-only
"""arch/x86/mm/fault.c: from the processor's error code to a mapping."""

from __future__ import annotations

import pytest
from user_space import BASE, hardware, mmap, process

from kmm.arch.x86.mm.fault import do_user_addr_fault
from kmm.include.linux.mm_types import VM_FAULT_SIGSEGV
from kmm.include.vdso.page import PAGE_SIZE
from kmm_ext.x86 import PageFault


def test_fault_of_a_program_is_mended_and_the_access_then_succeeds(booted):
    process(booted)
    mmap(BASE, PAGE_SIZE)
    with pytest.raises(PageFault) as fault:
        hardware(booted).translate(BASE + 0x10, write=True, user=True)
    assert do_user_addr_fault(None, fault.value.error_code, fault.value.address) == 0
    assert hardware(booted).translate(BASE + 0x10, write=True, user=True) & 0xFFF == 0x10


@pytest.mark.parametrize("address", [BASE - 1, BASE + PAGE_SIZE])
def test_fault_outside_of_all_mappings_is_an_error(booted, address):
    process(booted)
    mmap(BASE, PAGE_SIZE)
    assert do_user_addr_fault(None, 4, address) == VM_FAULT_SIGSEGV
    assert not booted.held
