"""Models: found by name, known by hash, checked at every load."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hal.model import SHIPPED, Manifest, Model, ModelError, find_model, golden_input

SHIPPED_MODEL = SHIPPED / "line-offset.tflite"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A copy of the shipped model."""
    for suffix in (".tflite", ".json"):
        shutil.copy(SHIPPED_MODEL.with_suffix(suffix), tmp_path)
    return tmp_path / SHIPPED_MODEL.name


def change(model: Path, **changes: object) -> None:
    """Other values in its manifest."""
    place = model.with_suffix(".json")
    place.write_bytes(msgspec.json.encode({**msgspec.json.decode(place.read_bytes()), **changes}))


def adopt(model: Path) -> None:
    """Let the manifest vouch for the file as it is."""
    change(model, sha256=Model(model).sha256)


def test_shipped_model_is_sound_and_small() -> None:
    model = Model(SHIPPED_MODEL)
    model.verify()
    model.load()
    assert model.name == "line-offset"
    assert SHIPPED_MODEL.stat().st_size < 200_000


def test_answers_are_in_the_units_of_the_manifest() -> None:
    model = Model(SHIPPED_MODEL)
    loaded = model.load()
    picture = golden_input(model.manifest.input, 1, 0)
    raw, answer = loaded.raw(picture), loaded.run(picture)
    for number, value, output in zip(raw, answer, model.manifest.outputs, strict=True):
        assert value == number * output.scale + output.bias
        assert output.resolution is not None
        assert value / output.resolution == pytest.approx(round(value / output.resolution))


def test_same_picture_gives_the_same_answer() -> None:
    model = Model(SHIPPED_MODEL)
    first, second = model.load(), model.load()
    for index in range(20):
        picture = golden_input(model.manifest.input, 9, index)
        assert first.run(picture) == first.run(picture) == second.run(picture)


def test_picture_of_another_shape_or_type_is_refused() -> None:
    loaded = Model(SHIPPED_MODEL).load()
    with pytest.raises(ModelError, match=r"input is uint8\[16, 48\], expected uint8\[32, 48\]"):
        loaded.run(np.zeros((16, 48), np.uint8))
    with pytest.raises(ModelError, match=r"input is float64\[32, 48\]"):
        loaded.run(np.zeros((32, 48)))


def test_damaged_file_does_not_match_its_hash(model: Path) -> None:
    content = bytearray(model.read_bytes())
    content[-100] ^= 1
    model.write_bytes(content)
    with pytest.raises(ModelError, match=r"SHA-256 of line-offset\.tflite is [0-9a-f]{64}, expected"):
        Model(model).load()


def test_golden_check_finds_weights_that_were_changed(model: Path) -> None:
    content = bytearray(model.read_bytes())
    middle = len(content) // 2
    for at in range(middle, middle + 8000):
        content[at] ^= 0x55
    model.write_bytes(content)
    adopt(model)
    with pytest.raises(ModelError, match=r"golden check \d: answered \[.*\], expected \[.*\] within"):
        Model(model).load()


def test_truncated_file_is_refused_by_the_runtime(model: Path) -> None:
    model.write_bytes(model.read_bytes()[:20_000])
    adopt(model)
    with pytest.raises(ModelError, match="the runtime refuses the file"):
        Model(model).load()


def test_file_that_changes_after_it_was_found_is_refused(model: Path) -> None:
    found = Model(model)
    model.write_bytes(b"something else")
    with pytest.raises(ModelError, match="changed while it was in use"):
        found.load()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"input": {"shape": [32, 47]}}, r"its input is uint8\[1, 32, 48, 1\], expected 1504 values of uint8"),
        ({"input": {"shape": [32, 48], "dtype": "int8"}}, "expected 1536 values of int8"),
        ({"outputs": [{"name": "a"}], "golden": {"seed": 1, "outputs": [[0]], "tolerance": 1}}, "its output is int8"),
        ({"outputs": [{"name": "a"}]}, r"golden outputs have \[4\] numbers, expected one for each of its 1 outputs"),
        ({"accelerator": "warp"}, "accelerator 'warp' is unknown, expected cpu"),
        ({"accelerator": "../cpu"}, r"accelerator '\.\./cpu': expected a name like cpu"),
        ({"tolerence": 1}, "unknown field `tolerence`"),
    ],
)
def test_manifest_that_does_not_fit_is_refused(model: Path, changes: dict[str, object], message: str) -> None:
    change(model, **changes)
    with pytest.raises(ModelError, match=message):
        Model(model).load()


def test_missing_manifest_is_named(model: Path) -> None:
    model.with_suffix(".json").unlink()
    with pytest.raises(ModelError, match=r"manifest line-offset\.json: No such file"):
        Model(model)


def test_missing_package_names_the_extra(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ai_edge_litert.interpreter", "tflite_runtime.interpreter"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ModelError, match=r"install agentd-node\[inference\]"):
        Model(model).load()


def test_reading_a_model_imports_neither_numpy_nor_the_runtime() -> None:
    code = (
        f"import sys; from hal.model import Model; Model({str(SHIPPED_MODEL)!r})\n"
        "assert not {'numpy', 'ai_edge_litert'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)


def test_a_name_is_looked_up_beside_the_configuration_first(model: Path) -> None:
    assert find_model("line-offset", model.parent) == model.resolve()
    (model.parent / "models").mkdir()
    other = Path(shutil.copy(model, model.parent / "models"))
    assert find_model("line-offset", model.parent) == other.resolve()
    assert find_model("line-offset", model.parent / "elsewhere") == SHIPPED_MODEL


def test_an_unknown_name_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"found no line-ofset\.tflite in .*there are: line-offset"):
        find_model("line-ofset", tmp_path)


@pytest.mark.parametrize("name", ["../line-offset", "a/b", "", "Line", "x.tflite"])
def test_a_name_that_is_a_path_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ModelError, match="expected a name like line-offset"):
        find_model(name, tmp_path)


@given(st.binary(max_size=300))
def test_no_manifest_raises_anything_but_a_model_error(tmp_path_factory: pytest.TempPathFactory, raw: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.tflite"
    path.write_bytes(b"")
    path.with_suffix(".json").write_bytes(raw)
    with pytest.raises(ModelError):
        Model(path)


def test_golden_inputs_never_change() -> None:
    picture = golden_input(Model(SHIPPED_MODEL).manifest.input, 1, 0)
    assert picture.ravel()[:4].tolist() == [0x56, 0x13, 0xAC, 0xFA]


def test_manifest_round_trips() -> None:
    manifest = Model(SHIPPED_MODEL).manifest
    assert msgspec.json.decode(msgspec.json.encode(manifest), type=Manifest) == manifest
