"""Golden values that do not depend on parameter names: every tensor is filled from its shape alone (networks.json)."""

from __future__ import annotations

import json
import math

import torch
from golden_files import FOLDER


def check_probe(name, module, atol=1e-12):
    """Compare a module, filled by the rule, with its entry in networks.json: shapes, means, first and last values."""
    probe = json.loads((FOLDER / "networks.json").read_text())["nets"][name]["probe"]
    shapes = probe["input"] if isinstance(probe["input"][0], list) else [probe["input"]]
    fill(module.double().eval())
    with torch.no_grad():
        outputs = module(*(wave(*shape) for shape in shapes))
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    for output, expected in zip(outputs, probe["outputs"], strict=True):
        assert list(output.shape) == expected["shape"]
        got = [output.mean(), output.abs().mean(), output.flatten()[0], output.flatten()[-1]]
        wanted = torch.tensor([expected[key] for key in ("mean", "absmean", "first", "last")], dtype=torch.float64)
        torch.testing.assert_close(torch.stack(got), wanted, rtol=1e-12, atol=atol)


def fill(module):
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            j = torch.arange(parameter.numel(), dtype=torch.float64)
            if parameter.ndim >= 2:
                fan = math.prod(parameter.shape[1:])
                value = torch.sin(0.7 * j + 0.3 * parameter.ndim) * math.sqrt(2 / fan)
            else:
                value = 0.01 * torch.sin(j) if name.endswith("bias") else torch.ones_like(j)
            parameter.copy_(value.view_as(parameter))


def wave(C, H, W):
    """Return the input `[1, C, H, W]`; the files' generator rounded the terms of rows and columns to float32."""
    c = 0.1 * torch.arange(C, dtype=torch.float64)
    h, w = (step * torch.arange(n, dtype=torch.float32) for step, n in ((0.05, H), (0.03, W)))
    return torch.sin(c[:, None, None] + h.double()[:, None] + w.double())[None]
