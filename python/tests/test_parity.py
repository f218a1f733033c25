"""Every function beside librosa 0.11 on the 20 signals of experiments/parity/python.py, to the tolerances stated there."""

import importlib.util
import pathlib
import warnings

import numpy as np
import pytest

import tonearm

librosa = pytest.importorskip("librosa", minversion="0.11")

SCRIPT = pathlib.Path(__file__).parents[2] / "experiments/parity/python.py"
spec = importlib.util.spec_from_file_location("parity_python", SCRIPT)
parity = importlib.util.module_from_spec(spec)
# Its data classes look their module up.
import sys  # noqa: E402

sys.modules["parity_python"] = parity
spec.loader.exec_module(parity)
SIGNALS = parity.all_signals()


def test_there_are_20_signals():
    assert len(SIGNALS) == 20
    assert all(y.dtype == np.float32 and np.isfinite(y).all() for y in SIGNALS.values())


@pytest.mark.parametrize("case", parity.CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("name", SIGNALS)
def test_agrees_with_librosa(case, name):
    if name in case.apart:
        pytest.skip(case.apart[name])
    y = SIGNALS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            theirs = case.call(librosa, y, parity.SAMPLE_RATE)
        except librosa.ParameterError:
            with pytest.raises(tonearm.ParameterError):
                case.call(tonearm, y, parity.SAMPLE_RATE)
            return
        ours = case.call(tonearm, y, parity.SAMPLE_RATE)
    assert ours.shape == theirs.shape
    assert ours.dtype == theirs.dtype
    absolute, relative = case.difference(ours, theirs)
    assert relative <= case.tolerance, f"{relative:.2e} relative, {absolute:.2e} absolute"
