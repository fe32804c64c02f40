# SPDX-License-Identifier: GPL-2.0-only
"""Kernels of any configuration, for tests of ported code."""

from __future__ import annotations

from linked_kernel import link

__all__ = ["link"]
