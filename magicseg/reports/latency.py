"""Latency, throughput and peak memory of networks, which take turns: a change of the machine's load hits all alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile
from tqdm import tqdm

WARM_UP = 2


@dataclass(frozen=True)
class Bench:
    """Where and how networks are measured: ``repeats`` times after the warm-up; throughput in batches of ``batch``."""

    device: torch.device
    batch: int = 8
    repeats: int = 15

    def __str__(self) -> str:
        """Name the hardware and the measurement, for a table's heading."""
        if self.device.type == "cuda":
            hardware = torch.cuda.get_device_name(self.device)
        else:
            threads = torch.get_num_threads()
            hardware = f"CPU ({torch.backends.cpu.get_cpu_capability()}), {threads} thread{'s' * (threads > 1)}"
        return f"{hardware}, PyTorch {torch.__version__}, float32, medians of {self.repeats}"


@dataclass(frozen=True)
class Speed:
    """What a network takes on a device.

    Attributes:
        latency: median seconds for one image, in evaluation.
        throughput: images a second, in batches, in evaluation; from the median batch.
        forward_memory: most bytes held for one image in evaluation, beyond the weights and the image.
        training_memory: the same for forward and backward in training, gradients included.
    """

    latency: float
    throughput: float
    forward_memory: int
    training_memory: int


def measure_speed(
    networks: Mapping[str, Callable[[], nn.Module]], image: tuple[int, int, int], bench: Bench
) -> dict[str, Speed]:
    """Return the speed of each network on images [channels, height, width]; progress goes to stderr.

    All networks are held in memory at once.
    """
    models = {name: build().to(bench.device).eval() for name, build in networks.items()}
    one, many = (torch.randn(size, *image, device=bench.device) for size in (1, bench.batch))
    latencies, batches = (_median_seconds(models, x, bench.repeats) for x in (one, many))
    return {
        name: Speed(
            latency=latencies[name],
            throughput=bench.batch / batches[name],
            forward_memory=peak_memory(partial(_infer, model, one), bench.device),
            training_memory=peak_memory(partial(_train, model, one), bench.device),
        )
        for name, model in tqdm(models.items(), desc="memory", leave=False)
    }


def _median_seconds(models: Mapping[str, nn.Module], x: Tensor, repeats: int) -> dict[str, float]:
    seconds: dict[str, list[float]] = {name: [] for name in models}
    turns = [(turn, name) for turn in range(WARM_UP + repeats) for name in models]
    for turn, name in tqdm(turns, desc=f"batches of {len(x)}", leave=False):
        elapsed = _seconds(models[name], x)
        if turn >= WARM_UP:
            seconds[name].append(elapsed)
    return {name: statistics.median(each) for name, each in seconds.items()}


def _seconds(model: nn.Module, x: Tensor) -> float:
    finish(x.device)
    start = time.perf_counter()
    _infer(model, x)
    finish(x.device)
    return time.perf_counter() - start


def finish(device: torch.device) -> None:
    """Wait for a GPU, which works on after a call has returned."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _infer(model: nn.Module, x: Tensor) -> None:
    with torch.inference_mode():
        model(x)


def _train(model: nn.Module, x: Tensor) -> None:
    """Run forward and backward in training; the loss is the sum of all supervised outputs."""
    outputs = model.train()(x)
    logits = [outputs] if isinstance(outputs, Tensor) else [*outputs.logits, outputs.edge]
    torch.stack([each.sum() for each in logits if each is not None]).sum().backward()
    model.eval().zero_grad(set_to_none=True)


def peak_memory(step: Callable[[], object], device: torch.device) -> int:
    """Return the most bytes that PyTorch holds at once during ``step``, beyond what it held before."""
    if device.type == "cuda":
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        step()
        finish(device)
        return torch.cuda.max_memory_allocated(device) - before
    return _peak_on_cpu(step)


def _peak_on_cpu(step: Callable[[], object]) -> int:
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        step()
    held = peak = 0
    for event in profiler.profiler.kineto_results.events():
        if event.name() == "[memory]":
            held += event.nbytes()
            peak = max(peak, held)
    return peak
