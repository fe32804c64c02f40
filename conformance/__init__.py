# SPDX-License-Identifier: GPL-2.0-only
"""Scenarios and proposals, as data; installed as ``kmm.conformance``.

``scenarios/`` are linked into a kernel and ``proposals/`` are laid over its sources; neither is imported.
"""
