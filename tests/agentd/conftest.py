"""What the tests of `agentctl` share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agentd.ctl_site import Site


@pytest.fixture
def empty_site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Site]:
    """A state directory where nothing has run."""
    for name in ("STATE_DIRECTORY", "AGENTD_STATE", "RUNTIME_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.setenv("NO_COLOR", "1")
    found = Site(tmp_path, capsys)
    yield found
    found.close()


@pytest.fixture
def site(empty_site: Site) -> Site:
    """A node that runs."""
    empty_site.start()
    return empty_site
