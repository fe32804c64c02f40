# SPDX-License-Identifier: GPL-2.0-only
"""Port of include/linux/swap.h (Linux 7.2): where the functions that free pages are declared."""

from __future__ import annotations

from kmm.mm.swap_state import free_folio_and_swap_cache as free_folio_and_swap_cache
from kmm.mm.swap_state import free_pages_and_swap_cache as free_pages_and_swap_cache
