# SPDX-License-Identifier: GPL-2.0-only
"""arch/x86/kernel/setup.c: the kernel's own top-level table."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize("features", [set(), {"PTI"}, {"LA57"}, {"PTI", "LA57"}])
def test_setup_arch_gives_the_kernel_a_table_that_every_new_one_copies(link, features):
    k = link()
    k.world.features |= features
    k.kernel.module("kmm.arch.x86.kernel.setup")
    k.check_la57_support()
    k.preempt_disable()                 # the boot CPU does not schedule yet
    k.setup_arch()
    k.preempt_enable()
    if "PTI" in features:
        assert k.init_mm.pgd % 8192 == 0
    boundary = k.KERNEL_PGD_BOUNDARY()
    assert k.init_mm.pgd[boundary] & k._PAGE_PRESENT
    pgd = k.pgd_alloc(k.new_mm())
    assert pgd[boundary] == k.init_mm.pgd[boundary]
    assert [pgd[n] for n in range(boundary)] == [0] * boundary
