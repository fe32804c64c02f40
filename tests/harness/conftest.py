# SPDX-License-Identifier: GPL-2.0-only
"""Fixtures for tests of the bench."""

from __future__ import annotations

import pytest
from bare_machine import BareMachine


@pytest.fixture
def bare():
    """A machine of two CPUs without a kernel."""
    return BareMachine()
