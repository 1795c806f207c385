"""Time and peak memory of training steps, measured in turn so that a change of the machine's load hits all alike."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from magicseg.arguments import parse
from magicseg.assembly.build import find_device
from magicseg.reports.latency import finish, peak_memory

WARM_UP = 2
MIB = 2**20

Form = Callable[..., Any]
Case = tuple[Mapping[str, Form], tuple[Tensor, ...]]
"""Forms of one computation by name, among them "published", and their inputs."""


@dataclass
class Options:
    """Compare magicseg with the published forms, forward and backward.

    ``repeats``: measurements of each form; the median is printed. ``threads``: of PyTorch; 0 measures with one thread
    and with all. ``device``: cpu, cuda or cuda:1.
    """

    repeats: int = 15
    threads: int = 0
    device: str = "cpu"


@dataclass(frozen=True)
class Cost:
    """Median seconds of a forward pass and of forward + backward, and the memory that one step adds at its peak."""

    forward: float
    step: float
    peak: float


def compare(cases: Mapping[str, Callable[[], Case]], arguments: Sequence[str]) -> None:
    """Measure every case and print times, peak memory and their ratios to the published form's."""
    options = parse(Options, arguments)
    device = find_device(options.device)
    on_cpu = [options.threads] if options.threads else sorted({1, os.cpu_count() or 1})
    for number in on_cpu if device.type == "cpu" else [torch.get_num_threads()]:
        where = f"threads={number}" if device.type == "cpu" else torch.cuda.get_device_name(device)
        with threads(number):
            for name, build in cases.items():
                torch.manual_seed(0)
                forms, inputs = on_device(*build(), device)
                print_costs(f"{name}, {where}", measure(forms, inputs, options.repeats))


def on_device(forms: Mapping[str, Form], inputs: tuple[Tensor, ...], device: torch.device) -> Case:
    """Return a case with its modules and its inputs on ``device``."""
    for form in forms.values():
        if isinstance(form, nn.Module):
            form.to(device)
    return forms, tuple(x.detach().to(device).requires_grad_(x.requires_grad) for x in inputs)


def measure(forms: Mapping[str, Form], inputs: tuple[Tensor, ...], repeats: int) -> dict[str, Cost]:
    """Return the cost of each form on the same inputs; the forms take turns."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in forms}
    for _ in range(WARM_UP + repeats):
        for name, form in forms.items():
            times[name].append(training_step(form, inputs))
    costs = {}
    for name, form in forms.items():
        forward, step = (statistics.median(column) for column in zip(*times[name][WARM_UP:], strict=True))
        costs[name] = Cost(forward, step, peak_memory(partial(training_step, form, inputs), inputs[0].device))
    return costs


def training_step(form: Form, inputs: tuple[Tensor, ...]) -> tuple[float, float]:
    """Return the seconds of forward and of forward + backward; the loss is the sum of all outputs.

    Making the loss's gradient is in neither.
    """
    device = inputs[0].device
    start = time.perf_counter()
    outputs = form(*inputs)
    finish(device)
    forward = time.perf_counter() - start
    outputs = [outputs] if isinstance(outputs, Tensor) else list(outputs)
    gradients = [torch.ones_like(output) for output in outputs]
    finish(device)
    start = time.perf_counter()
    torch.autograd.backward(outputs, gradients)
    finish(device)
    seconds = forward + time.perf_counter() - start
    for leaf in (*inputs, *(form.parameters() if isinstance(form, nn.Module) else ())):
        leaf.grad = None
    return forward, seconds


@contextmanager
def threads(number: int) -> Iterator[None]:
    """Let PyTorch use ``number`` threads within the block."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def print_costs(title: str, costs: Mapping[str, Cost]) -> None:
    """Print one line for each form: its times and memory, and their ratios to the published form's."""
    base = costs["published"]
    print(f"\n{title} (published = 1.00)")
    for name, cost in costs.items():
        print(
            f"  {name:<10} forward {cost.forward * 1e3:8.2f} ms ({cost.forward / base.forward:.2f})"
            f"   forward+backward {cost.step * 1e3:8.2f} ms ({cost.step / base.step:.2f})"
            f"   peak {cost.peak / MIB:7.1f} MiB ({cost.peak / base.peak:.2f})",
            flush=True,
        )
