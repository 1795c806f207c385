"""What the benchmark of metrics compares is the same computation, and measuring takes little memory."""

import sys
import tracemalloc

import numpy as np
import pytest
from command_line import PROJECT

from magicseg.metrics import measure_case, panoptic_quality


@pytest.fixture(scope="module")
def benchmark():
    sys.path.insert(0, str(PROJECT / "scripts"))
    from benchmarks import metrics

    yield metrics
    sys.path.remove(str(PROJECT / "scripts"))


def test_the_loop_over_nuclei_is_the_same_quality(benchmark):
    prediction, truth = benchmark.nuclei()
    quality = panoptic_quality(prediction, truth)
    assert quality.tp + quality.fn == 121
    assert 0 < quality.tp < 121
    assert benchmark.loop_over_nuclei(prediction, truth) == pytest.approx(quality.pq, abs=1e-6)


def test_methods_take_turns(benchmark):
    calls = []
    methods = {name: lambda value, name=name: calls.append(name) or value for name in ("a", "b")}
    values, seconds = benchmark.timed(methods, (7,), repeats=2)
    assert calls == ["a", "b", "a", "b"]
    assert values == {"a": 7, "b": 7}
    assert list(seconds) == ["a", "b"]


@pytest.mark.parametrize("classes", [1, 12])
def test_measuring_a_case_takes_less_than_three_times_its_label_map(classes):
    """Also where every class reaches from one corner of the volume to the other."""
    truth = np.zeros((48, 128, 128), np.uint8)
    for label in range(1, classes + 1):
        truth[20:28, 9 * label : 9 * label + 8, 40:90] = label
        truth[0, 0, label], truth[-1, -1, -label] = label, label
    prediction = np.roll(truth, 1, axis=1)
    measure_case(prediction[:2], truth[:2], [f"class {n}" for n in range(classes)])  # imports are done
    tracemalloc.start()
    measured = measure_case(prediction, truth, [f"class {n}" for n in range(classes)], (5.0, 1.0, 1.0))
    assert all(one.mm.hd95 >= 0 and one.voxel.hd95 >= 0 for one in measured)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 * truth.nbytes
