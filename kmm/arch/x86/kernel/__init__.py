# SPDX-License-Identifier: GPL-2.0-only
"""The kernel's arch/x86/kernel/."""

from __future__ import annotations

import kmm.include.linux.mm  # noqa: F401
