"""Golden values: parameters, inputs, outputs and gradients of reference implementations, and the check against them.

A test of an operator reads:

    @pytest.mark.parametrize("path", golden_files("magic"), ids=lambda path: path.stem)
    def test_golden(path):
        check_golden(path, lambda config: MAGICConv2d(...))

The files lie in tests/golden (its README explains the array names); environment variable MAGICSEG_GOLDEN names another
folder with files of the same form.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

OWN = Path(__file__).parent / "golden"
FOLDER = Path(os.environ.get("MAGICSEG_GOLDEN", OWN))
CHECKED: set[str] = set()  # names of the files whose every array was compared in this session

Call = Callable[[nn.Module, dict[str, Tensor]], Any]


def golden_files(operator: str) -> list[Path]:
    """Return the files `<operator>_<number>.npz`; a folder without any is an error, not an empty test.

    Another folder than tests/golden may hold files of some operators only; the tests of the others are then skipped.
    """
    found = [path for path in _numbered() if path.stem.rsplit("_", 1)[0] == operator]
    if not found and (FOLDER == OWN or not _numbered()):
        raise FileNotFoundError(f"No golden file {operator}_<number>.npz in {FOLDER}.")
    return found


def _numbered() -> list[Path]:
    return sorted(path for path in FOLDER.glob("*_*.npz") if path.stem.rsplit("_", 1)[1].isdigit())


@dataclass(frozen=True)
class Golden:
    """One file: the configuration and all arrays by name."""

    name: str
    config: dict[str, Any]
    arrays: Mapping[str, np.ndarray]

    @classmethod
    def load(cls, path: Path) -> Golden:
        with np.load(path) as file:
            arrays = {name: file[name] for name in file.files if name != "config"}
            return cls(path.stem, json.loads(str(file["config"])), arrays)

    def part(self, prefix: str, dtype: torch.dtype = torch.float64) -> dict[str, Tensor]:
        """Return the arrays under `prefix/` as fresh tensors, without the prefix; counters stay integers."""
        tensors = {k[len(prefix) + 1 :]: torch.tensor(v) for k, v in self.arrays.items() if k.startswith(f"{prefix}/")}
        return {k: v.to(dtype) if v.is_floating_point() else v for k, v in tensors.items()}


def check_golden(
    path: Path,
    build: Callable[[dict[str, Any]], nn.Module],
    call: Call | None = None,
    modes: Sequence[str] | None = None,
) -> None:
    """Compare a module with a golden file: outputs, all gradients and buffers, in float64 (1e-9) and float32 (1e-4).

    `build(config)` returns the module; its state dict must have exactly the file's parameters and buffers.
    `call(module, inputs)` returns a tensor, or tensors in the file's order of outputs, or a dictionary by name; without
    it the module is called with the inputs in the file's order. `modes`: "eval", "train" (default: all in the file).
    """
    golden = Golden.load(path)
    for dtype, tolerance in ((torch.float64, 1e-9), (torch.float32, 1e-4)):
        for mode in modes or golden.config["modes"]:
            module = load_module(golden, build, dtype).train(mode == "train")
            got = dict(_observe(module, golden, mode, dtype, call))
            expected = golden.part(mode, dtype)
            _compare(f"{golden.name} {mode} {dtype}", got, expected, tolerance)
    CHECKED.add(golden.name)


def load_module(golden: Golden, build: Callable[[dict[str, Any]], nn.Module], dtype: torch.dtype) -> nn.Module:
    """Build the module from the file's configuration and give it the file's parameters and buffers."""
    module = build(dict(golden.config)).to(dtype)
    module.load_state_dict({**golden.part("param", dtype), **golden.part("buffer", dtype)}, strict=True)
    return module


def report(terminal: Any) -> None:
    """Write how many golden files the session checked: call it from `pytest_terminal_summary`."""
    terminal.write_line(f"golden files: {len(CHECKED)} of {len(_numbered())} checked in full ({FOLDER.name})")


def _observe(
    module: nn.Module, golden: Golden, mode: str, dtype: torch.dtype, call: Call | None
) -> Iterator[tuple[str, Tensor]]:
    leaves = {name: tensor.requires_grad_() for name, tensor in golden.part("input", dtype).items()}
    inputs = {**leaves, **golden.part("input_const", dtype)}
    result = call(module, inputs) if call else module(*inputs.values())
    probes = golden.part("probe", dtype)
    outputs = _by_name(result, list(probes))
    torch.stack([(outputs[name] * probe).sum() for name, probe in probes.items()]).sum().backward()
    yield from ((f"output/{name}", output.detach()) for name, output in outputs.items())
    yield from ((f"grad_input/{name}", _gradient(leaf)) for name, leaf in leaves.items())
    yield from ((f"grad_param/{name}", _gradient(p)) for name, p in module.named_parameters())
    if mode == "train":
        yield from ((f"buffer_after/{name}", buffer.clone()) for name, buffer in module.named_buffers())


def _by_name(result: Any, names: list[str]) -> dict[str, Tensor]:
    if isinstance(result, Tensor):
        result = [result]
    named = dict(result) if isinstance(result, Mapping) else dict(zip(names, result, strict=True))
    assert set(named) == set(names), f"outputs {sorted(named)} instead of {sorted(names)}"
    return named


def _gradient(leaf: Tensor) -> Tensor:
    return torch.zeros_like(leaf) if leaf.grad is None else leaf.grad


def _compare(where: str, got: dict[str, Tensor], expected: dict[str, Tensor], tolerance: float) -> None:
    """Every expected array must be there and agree to `tolerance`, absolute plus relative to the largest value.

    In float64 that is the array's own largest value, in float32 that of all arrays of the same kind: a gradient that
    passes a batch norm over two samples is a small difference of large numbers, and float32 cannot hold it better.
    """
    assert any(name.startswith("output/") for name in expected), f"{where}: the file has no outputs"
    for name, reference in expected.items():
        assert name in got, f"{where}: the module has no {name}"
        assert got[name].shape == reference.shape, f"{where} {name}: {got[name].shape} instead of {reference.shape}"
        kind = name.split("/")[0]
        alike = [name] if reference.dtype == torch.float64 else [n for n in expected if n.split("/")[0] == kind]
        allowed = tolerance * (1 + max(_largest(expected[n]) for n in alike))
        error = _largest(got[name] - reference)
        assert error <= allowed, f"{where} {name}: differs by {error:.2e}, allowed {allowed:.2e}"


def _largest(x: Tensor) -> float:
    return x.abs().max().item() if x.numel() else 0.0
