"""A missing or damaged model is an error at its line; a sound one is loaded once and remembered."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agentd.config import models
from hal.model import SHIPPED

if TYPE_CHECKING:
    from tests.agentd.config.conftest import Rig

CONFIG = """\
node: robot-1
devices:
  robot: {driver: sim.line_follower}
loops:
  drive:
    rate_hz: 100
    devices: [robot]
    agents:
      vision:
        agent: infer
        model: MODEL
        picture: robot.camera
"""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Sound models are remembered in the test's own folder."""
    monkeypatch.setenv("CACHE_DIRECTORY", str(tmp_path / "cache"))
    yield tmp_path / "cache" / "sound-models"


def write_model(folder: Path, content: bytes, sha256: str | None = None) -> None:
    """`mine.tflite` with a manifest; the content need not be a model."""
    (folder / "mine.tflite").write_bytes(content)
    manifest = {
        "sha256": sha256 or hashlib.sha256(content).hexdigest(),
        "input": {"shape": [32, 48], "dtype": "uint8"},
        "outputs": [{"name": "offset", "unit": "m"}],
        "golden": {"seed": 1, "outputs": [[0.0]], "tolerance": 0.01},
    }
    (folder / "mine.json").write_text(json.dumps(manifest))


def test_a_missing_model_names_the_nearest_one(rig: Rig) -> None:
    write_model(rig.folder, b"")
    (problem,) = rig.problems(CONFIG.replace("MODEL", "mime"))
    assert "vision.model: model 'mime': found no mime.tflite" in problem.message
    assert problem.message.endswith("did you mean 'mine'?")
    assert problem.line == 11


@pytest.mark.parametrize(("name", "message"), [("../mine", "expected a name"), ("[a]", "expected a model's name")])
def test_a_model_is_named_and_not_pathed(rig: Rig, name: str, message: str) -> None:
    (problem,) = rig.problems(CONFIG.replace("MODEL", name))
    assert message in problem.message and problem.line == 11


def test_a_model_without_its_manifest_is_an_error(rig: Rig) -> None:
    (rig.folder / "mine.tflite").write_bytes(b"x")
    (problem,) = rig.problems(CONFIG.replace("MODEL", "mine"))
    assert "manifest mine.json: No such file" in problem.message and problem.line == 11


def test_a_model_that_is_not_the_one_of_its_manifest_is_damaged(rig: Rig) -> None:
    write_model(rig.folder, b"content", sha256="0" * 64)
    (problem,) = rig.problems(CONFIG.replace("MODEL", "mine"))
    assert "the file is damaged or is another version" in problem.message and problem.line == 11


def test_a_file_that_no_runtime_can_load_is_found_in_a_child_every_time(rig: Rig, cache: Path) -> None:
    write_model(rig.folder, b"TFL3 this is no model" * 10)
    for _ in range(2):
        (problem,) = rig.problems(CONFIG.replace("MODEL", "mine"))
        assert problem.message.startswith("vision.model: model mine") and problem.line == 11
    assert not cache.exists()


@pytest.mark.skipif(not (SHIPPED / "line-offset.tflite").exists(), reason="the shipped model is not trained yet")
def test_a_sound_model_is_tried_once_and_its_outputs_are_the_agents_signals(
    rig: Rig, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = rig.plan(CONFIG.replace("MODEL", "line-offset"))
    (agent,) = plan.loops[0].agents
    assert agent.models == {"model": str(SHIPPED / "line-offset.tflite")}
    digest = hashlib.sha256((SHIPPED / "line-offset.tflite").read_bytes()).hexdigest()
    assert agent.model_hashes == {"model": digest}
    assert {"vision.offset", "vision.confidence"} <= {signal.name for signal in agent.signals}
    assert len(list(cache.iterdir())) == 1
    monkeypatch.setattr(models, "check_in_child", lambda *_: pytest.fail("it was loaded again"))
    assert rig.plan(CONFIG.replace("MODEL", "line-offset")) == plan
