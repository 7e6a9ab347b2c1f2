"""Models: files for inference, each with a manifest and known by its SHA-256.

`model: line-offset` is `line-offset.tflite` with `line-offset.json` beside it, in `models/` beside the configuration,
in the configuration's own folder, or in `agents/models/`. The manifest says what goes in and what comes out:

    {"sha256": "...", "accelerator": "cpu",
     "input": {"shape": [32, 48], "dtype": "uint8"},
     "outputs": [{"name": "offset", "unit": "m", "low": -0.2, "high": 0.2, "resolution": 0.0015625,
                  "scale": 0.2}, ...],
     "golden": {"seed": 1, "outputs": [[...], ...], "tolerance": 0.04}}

The model's one output tensor holds one number for each of `outputs`; `number * scale + bias` has the unit.
"""

from __future__ import annotations

import hashlib
import importlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import msgspec

from hal.signal import NODE_NAME

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.generic]

SUFFIX = ".tflite"
MAX_BYTES = 512 * 1024 * 1024
SHIPPED = Path(__file__).resolve().parent.parent / "agents" / "models"
"""`hal` and `agents` are installed side by side."""


class ModelError(Exception):
    """A model that cannot be used. Message: which, what was found, what was expected; what to do."""


class _Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of the manifest's parts: a misspelt key is an error."""


class InputSpec(_Entry, frozen=True):
    """What the model takes: one array. `dtype` is the tensor's own."""

    shape: tuple[int, ...]
    dtype: str = "uint8"
    unit: str = ""


class StatedError(_Entry, frozen=True):
    """How far off the answers are on data that the model was not trained with, in the output's unit."""

    mean: float
    p99: float


class OutputSpec(_Entry, frozen=True):
    """One number of the model's answer, as a signal."""

    name: str
    unit: str = ""
    low: float | None = None
    high: float | None = None
    resolution: float | None = None
    scale: float = 1.0
    bias: float = 0.0
    error: StatedError | None = None
    doc: str = ""


class Golden(_Entry, frozen=True):
    """What the model answers to known inputs, before scaling; see `golden_input`."""

    seed: int
    outputs: tuple[tuple[float, ...], ...]
    tolerance: float


class Manifest(_Entry, frozen=True):
    """Everything about a model that its file does not say."""

    sha256: str
    input: InputSpec
    outputs: tuple[OutputSpec, ...]
    golden: Golden
    accelerator: str = "cpu"
    trained: str = ""
    """How it was made, so that it can be made again."""


class Kernel(Protocol):
    """A model on an accelerator."""

    def run(self, values: Array) -> NDArray[np.float32]:
        """The output tensor as one row of real numbers, valid until the next call."""


class LoadedModel:
    """A model that is ready: its answers are in the manifest's units."""

    def __init__(self, name: str, manifest: Manifest, kernel: Kernel) -> None:
        self._name, self._kernel = name, kernel
        self._shape, self._dtype = manifest.input.shape, manifest.input.dtype
        self._scales = [(output.scale, output.bias) for output in manifest.outputs]

    def raw(self, values: Array) -> list[float]:
        """The answer before scaling. Raises ModelError when the input has another shape or type."""
        if values.shape != self._shape or values.dtype != self._dtype:
            raise ModelError(
                f"model {self._name}: input is {values.dtype}{list(values.shape)}, expected {self._dtype}"
                f"{list(self._shape)}; check what it is wired to"
            )
        answer: list[float] = self._kernel.run(values).tolist()
        return answer

    def run(self, values: Array) -> list[float]:
        """The answer, in the order of the manifest's outputs. Raises ModelError as `raw`."""
        return [number * scale + bias for number, (scale, bias) in zip(self.raw(values), self._scales, strict=True)]


class Model:
    """A model file, its manifest, and the hash that the file had when it was found."""

    def __init__(self, path: str | Path) -> None:
        """Read the manifest and hash the file; nothing is executed. Raises ModelError."""
        self.path = Path(path)
        self.manifest = _read_manifest(self.path)
        self.sha256 = hashlib.sha256(_content(self.path)).hexdigest()

    @property
    def name(self) -> str:
        """As in the configuration."""
        return self.path.stem

    def verify(self) -> None:
        """Raises ModelError unless the file is the one that its manifest describes."""
        if self.sha256 != self.manifest.sha256:
            raise ModelError(
                f"model {self.name}: SHA-256 of {self.path.name} is {self.sha256}, expected {self.manifest.sha256} as"
                f" in {self.path.with_suffix('.json').name}; the file is damaged or is another version"
            )

    def load(self, threads: int = 1) -> LoadedModel:
        """Bring it onto its accelerator and check it against its golden answers; takes 0.1 to 1 s.

        Raises ModelError for a file that changed since it was found, is damaged, or answers wrongly here.
        """
        self.verify()
        content = _content(self.path)
        if hashlib.sha256(content).hexdigest() != self.sha256:
            raise ModelError(f"model {self.name}: {self.path.name} changed while it was in use; start again")
        kernel = _accelerator(self)(content, self.manifest.input, len(self.manifest.outputs), threads, self.name)
        loaded = LoadedModel(self.name, self.manifest, kernel)
        check_golden(self.name, self.manifest, loaded)
        return loaded


def find_model(name: str, beside: Path) -> Path:
    """The file of the model of that name; `beside` is the configuration's folder, and comes first.

    Raises ModelError when there is none, naming those that there are.
    """
    if not NODE_NAME.fullmatch(name):
        raise ModelError(f"model {name!r}: expected a name like line-offset, that is {NODE_NAME.pattern}")
    places = (beside / "models", beside, SHIPPED)
    for place in places:
        path = place / (name + SUFFIX)
        if path.is_file():
            return path.resolve()
    known = sorted({path.stem for place in places for path in place.glob("*" + SUFFIX)})
    raise ModelError(
        f"model {name!r}: found no {name}{SUFFIX} in {', '.join(str(place) for place in places)};"
        f" there are: {', '.join(known) or 'none'}"
    )


def golden_input(spec: InputSpec, seed: int, index: int) -> Array:
    """Input number `index` of the golden check: bytes of SHAKE-256, the same everywhere and for ever."""
    import numpy as np  # noqa: PLC0415 - numpy only where a model is used

    count = int(np.prod(spec.shape))
    values = np.frombuffer(hashlib.shake_256(f"{seed}/{index}".encode()).digest(count), np.uint8).reshape(spec.shape)
    if np.dtype(spec.dtype).kind == "f":
        return (values / 255.0).astype(spec.dtype)
    return values.astype(spec.dtype)


def check_golden(name: str, manifest: Manifest, loaded: LoadedModel) -> None:
    """Raises ModelError when an answer is further from the golden one than the tolerance.

    Some runtimes answer wrongly, without an error, to models newer than themselves.
    """
    golden = manifest.golden
    for index, expected in enumerate(golden.outputs):
        found = loaded.raw(golden_input(manifest.input, golden.seed, index))
        if not all(abs(a - b) <= golden.tolerance for a, b in zip(found, expected, strict=True)):
            raise ModelError(
                f"model {name}: golden check {index}: answered {_numbers(found)}, expected {_numbers(expected)} within"
                f" {golden.tolerance}; this accelerator does not run this model correctly, or the model is damaged"
            )


def _numbers(values: list[float] | tuple[float, ...]) -> str:
    return "[" + ", ".join(f"{value:.3f}" for value in values) + "]"


def _read_manifest(path: Path) -> Manifest:
    place = path.with_suffix(".json")
    try:
        manifest = msgspec.json.decode(place.read_bytes(), type=Manifest)
    except OSError as error:
        raise ModelError(f"model {path.stem}: manifest {place.name}: {error.strerror}; expected it beside it") from None
    except msgspec.DecodeError as error:
        raise ModelError(f"model {path.stem}: manifest {place.name}: {error}") from None
    widths = {len(row) for row in manifest.golden.outputs}
    if not manifest.outputs or widths != {len(manifest.outputs)}:
        raise ModelError(
            f"model {path.stem}: manifest {place.name}: golden outputs have {sorted(widths)} numbers, expected one for"
            f" each of its {len(manifest.outputs)} outputs"
        )
    return manifest


def _content(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ModelError(f"model {path.stem}: {path.name} is larger than {MAX_BYTES} bytes")
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"model {path.stem}: {path}: {error.strerror}") from None


Load = Callable[[bytes, InputSpec, int, int, str], Kernel]


def _accelerator(model: Model) -> Load:
    name = model.manifest.accelerator
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise ModelError(f"model {model.name}: accelerator {name!r}: expected a name like cpu")
    try:
        module = importlib.import_module(f"hal.accelerators.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"hal.accelerators.{name}":
            raise
        raise ModelError(f"model {model.name}: accelerator {name!r} is unknown, expected cpu") from None
    load: Load = module.load
    return load
