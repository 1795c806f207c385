"""Speed and memory of networks whose speed and memory are known."""

import time

import pytest
import torch
from torch import nn

from magicseg.convs.create import CONVS
from magicseg.models.model import Outputs
from magicseg.models.unet import UNet
from magicseg.reports.latency import WARM_UP, Bench, measure_speed

CPU = torch.device("cpu")
IMAGE = (3, 16, 16)
BYTES = 4 * 3 * 16 * 16


class Logged(nn.Module):
    """Writes down its calls: its name, the number of images, and whether it trains."""

    def __init__(self, name, calls):
        super().__init__()
        self.name, self.calls, self.scale = name, calls, nn.Parameter(torch.ones(()))

    def forward(self, x):
        self.calls.append((self.name, len(x), self.training))
        return x * self.scale


def test_networks_take_turns():
    calls = []
    networks = {name: lambda name=name: Logged(name, calls) for name in "ab"}
    measure_speed(networks, IMAGE, Bench(CPU, batch=4, repeats=3))
    turns = WARM_UP + 3
    assert calls[: 2 * turns] == [("a", 1, False), ("b", 1, False)] * turns
    assert calls[2 * turns : 4 * turns] == [("a", 4, False), ("b", 4, False)] * turns
    assert calls[4 * turns :] == [("a", 1, False), ("a", 1, True), ("b", 1, False), ("b", 1, True)]


class Slow(nn.Module):
    """Takes 20 ms for an image; 400 ms in calls that are slower for another reason."""

    def __init__(self, disturbed):
        super().__init__()
        self.disturbed, self.call, self.scale = disturbed, 0, nn.Parameter(torch.ones(()))

    def forward(self, x):
        time.sleep(0.4 if self.call in self.disturbed else 0.02 * len(x))
        self.call += 1
        return x * self.scale


def test_the_median_of_the_calls_after_the_warm_up():
    speed = measure_speed({"slow": lambda: Slow((0, 1, 3))}, IMAGE, Bench(CPU, batch=5, repeats=3))["slow"]
    assert 0.02 <= speed.latency < 0.2
    assert 1 / 0.02 >= speed.throughput > 1 / 0.2


class Copies(nn.Module):
    """Holds ``count`` copies of its input at once."""

    def __init__(self, count):
        super().__init__()
        self.count, self.scale = count, nn.Parameter(torch.ones(()))

    def forward(self, x):
        copies = [x.clone() for _ in range(self.count)]
        return copies[0] * self.scale


@pytest.mark.parametrize("count", [1, 10])
def test_peak_memory_is_what_is_held_at_once(count):
    speed = measure_speed({"net": lambda: Copies(count)}, IMAGE, Bench(CPU, repeats=1))["net"]
    assert speed.forward_memory == (count + 1) * BYTES


def test_memory_of_training_has_the_gradients_and_that_of_the_forward_pass_no_weights():
    layer = {"linear": lambda: nn.Linear(16, 100_000, bias=False)}
    speed = measure_speed(layer, (1, 1, 16), Bench(CPU, repeats=1))["linear"]
    assert speed.training_memory >= 16 * 400_000
    assert 400_000 <= speed.forward_memory < 16 * 400_000


class Supervised(nn.Module):
    """Returns three outputs in training, as networks with guidance do; each must reach the weights."""

    def __init__(self, seen):
        super().__init__()
        self.parts = nn.ParameterList(torch.ones(()) for _ in range(3))
        for number, part in enumerate(self.parts):
            part.register_hook(lambda gradient, number=number: seen.append(number))

    def forward(self, x):
        a, b, c = (x * part for part in self.parts)
        return Outputs((a, b), c) if self.training else a


def test_training_takes_all_supervised_outputs():
    seen = []
    measure_speed({"net": lambda: Supervised(seen)}, IMAGE, Bench(CPU, repeats=1))
    assert sorted(seen) == [0, 1, 2]


@pytest.mark.parametrize("conv", sorted(set(CONVS) - {"involution"}))
def test_every_convolution_can_be_measured(conv):
    network = {conv: lambda: UNet(1, 2, conv=CONVS[conv], width=8)}
    speed = measure_speed(network, (1, 32, 32), Bench(CPU, batch=2, repeats=1))[conv]
    assert speed.latency > 0
    assert speed.throughput > 0
    assert speed.training_memory > speed.forward_memory > 0


def test_a_bench_names_hardware_and_threads(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    text = str(Bench(CPU, repeats=7))
    assert text.startswith("CPU (")
    assert text.endswith(f", 1 thread, PyTorch {torch.__version__}, float32, medians of 7")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_on_a_gpu():
    bench = Bench(torch.device("cuda"), batch=2, repeats=2)
    layer = {"linear": lambda: nn.Linear(16, 100_000, bias=False)}
    speed = measure_speed(layer, (1, 1, 16), bench)["linear"]
    assert str(bench).startswith(torch.cuda.get_device_name())
    assert speed.latency > 0
    assert speed.training_memory >= 16 * 400_000
    assert 400_000 <= speed.forward_memory < 16 * 400_000
