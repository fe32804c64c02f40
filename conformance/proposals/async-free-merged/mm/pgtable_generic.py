# SPDX-License-Identifier: GPL-2.0-only
# ruff: noqa: F821 - executed in the namespace of the file it patches
# mypy: ignore-errors
"""The base is the merged form: there is nothing to change."""
