"""The first load of a model happens in a child process, and only that can crash."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from hal.accelerators.check import check_in_child
from hal.model import SHIPPED, Model

SHIPPED_MODEL = SHIPPED / "line-offset.tflite"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A copy of the shipped model."""
    for suffix in (".tflite", ".json"):
        shutil.copy(SHIPPED_MODEL.with_suffix(suffix), tmp_path)
    return tmp_path / SHIPPED_MODEL.name


def vouch(model: Path) -> None:
    """Let the manifest name the file's hash: only the content is wrong."""
    place = model.with_suffix(".json")
    manifest = msgspec.json.decode(place.read_bytes())
    place.write_bytes(msgspec.json.encode({**manifest, "sha256": Model(model).sha256}))


def runtime(folder: Path, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A runtime in the child that does this when it is imported, as C++ may when it loads a hostile file."""
    package = folder / "ai_edge_litert"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "interpreter.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]))


def test_sound_model_passes() -> None:
    assert check_in_child(SHIPPED_MODEL) is None


@pytest.mark.parametrize("seed", range(6))
def test_mutated_model_is_refused_or_answers_rightly_and_nothing_crashes(model: Path, seed: int) -> None:
    generator = random.Random(seed)
    content = bytearray(model.read_bytes())
    for _ in range(generator.choice((2, 8, 40))):
        at = generator.randrange(4000)
        content[at if generator.random() < 0.5 else -1 - at] = generator.randrange(256)
    model.write_bytes(content)
    vouch(model)
    found = check_in_child(model)
    assert found is None or found.startswith("model line-offset: ")


@pytest.mark.parametrize("content", [b"", b"hello", b"\0" * 5000, b"\x1c\0\0\0TFL3" + b"\xff" * 500])
def test_file_that_is_no_model_is_refused(model: Path, content: bytes) -> None:
    model.write_bytes(content)
    vouch(model)
    assert "the runtime refuses the file" in (check_in_child(model) or "")


def test_damaged_model_is_named_with_its_hashes(model: Path) -> None:
    model.write_bytes(model.read_bytes()[:-1])
    assert "SHA-256 of line-offset.tflite is" in (check_in_child(model) or "")


def test_a_crash_is_told_by_its_signal(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime(model.parent, "import os; os.abort()", monkeypatch)
    assert "loading it ended a process with SIGABRT" in (check_in_child(model) or "")


def test_a_load_that_does_not_end_is_ended(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime(model.parent, "while True: pass", monkeypatch)
    assert "took more than 1 s" in (check_in_child(model, timeout_s=1.0) or "")


def test_command_line_says_what_is_wrong_and_exits_2(tmp_path: Path) -> None:
    command = [sys.executable, "-P", "-m", "hal.accelerators.check", str(tmp_path / "none.tflite")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stderr.strip() == "model none: manifest none.json: No such file or directory; expected it beside it"
