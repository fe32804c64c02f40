# SPDX-License-Identifier: GPL-2.0-only
"""Stub of include/linux/printk.h: nobody reads the log, and checkers hear about bugs otherwise."""

from __future__ import annotations


def pr_debug(fmt: str, *args: object) -> None:
    """Say nothing."""


printk = pr_emerg = pr_alert = pr_crit = pr_err = pr_warn = pr_notice = pr_info = pr_cont = pr_debug
pr_err_once = pr_warn_once = pr_info_once = pr_err_ratelimited = pr_warn_ratelimited = pr_debug


def dump_stack() -> None:
    """Say nothing."""
