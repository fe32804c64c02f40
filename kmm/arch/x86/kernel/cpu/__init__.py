# SPDX-License-Identifier: GPL-2.0-only
"""The kernel's arch/x86/kernel/cpu/."""
