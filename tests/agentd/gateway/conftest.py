"""A served fake node for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agentd.gateway.served import Served


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """A gateway on free ports, in front of a fake node."""
    found = Served(tmp_path)
    yield found
    found.close()
