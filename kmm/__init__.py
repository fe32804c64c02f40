# SPDX-License-Identifier: GPL-2.0-only
"""An executable reference of how Linux allocates, uses and frees page tables."""

from kmm import linker

linker.install()
