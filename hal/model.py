"""Models: files for inference, each with a manifest and known by its SHA-256.

`model: line-offset` is `models/line-offset.tflite` with `models/line-offset.json` beside it, in
`agents/models/` or beside the configuration. The manifest says what goes in and what comes out:

    {"sha256": "...", "accelerator": "cpu",
     "input": {"shape": [32, 48], "dtype": "uint8", "unit": ""},
     "outputs": [{"name": "offset", "unit": "m", "low": -0.2, "high": 0.2, "resolution": 0.002}, ...],
     "golden": {"seed": 1, "outputs": [...], "tolerance": 0.01}}
"""
