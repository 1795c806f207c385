"""A run's network as a graph that needs none of this code, checked against the network, and a note on its use."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

import magicseg
from magicseg.assembly.build import count_logits
from magicseg.assembly.trained import TrainedNetwork
from magicseg.data.transforms import IMAGENET_MEAN, IMAGENET_STD
from magicseg.errors import UserError, choose
from magicseg.files import sha256, write_atomic, write_json
from magicseg.inference.scan import reader
from magicseg.runs import code_digest, now

TOLERANCE = 1e-4
TRACED, CHECKED = 2, (1, 3)  # batch sizes

Run = Callable[[Tensor], Tensor]


class Format(NamedTuple):
    """A kind of graph: the ending of its files, how it is made, how its bytes are run again, and how users call it."""

    suffix: str
    make: Callable[[nn.Module, Tensor], bytes]
    load: Callable[[bytes], Run]
    usage: str


def export(network: TrainedNetwork, name: str, output: Path, overwrite: bool = False) -> float:
    """Write the network as a graph with a free batch size, and beside it a json file that tells its use.

    Args:
        network: of a finished run.
        name: onnx, or torch for torch.export.
        output: file to write, ``.onnx`` or ``.pt2``.
        overwrite: replace a file that is there.

    Returns:
        How far its outputs are from the network's, at most, on random images in batches of 1 and 3.

    Raises:
        UserError: the file is there or has another ending, a package is missing, the network cannot be turned into
            such a graph, or the graph's outputs differ by more than 1e-4.
    """
    form = FORMATS[choose("format", name, FORMATS)]
    _check_output(output, form.suffix, overwrite)
    shape = (network.config.dataset.channels, *network.preprocessing.size)
    try:
        content = form.make(network.model, _images(TRACED, shape))
    except UserError:
        raise
    except Exception as error:  # exporters raise every kind
        raise UserError(_not_exported(network, name, error)) from error
    difference = _difference(network, name, form.load(content), shape)
    write_atomic(output, lambda file: file.write(content))
    write_json(note_of(output), _note(network, output, form, difference))
    return difference


def note_of(output: Path) -> Path:
    """Return the json file beside a graph: ``model.onnx.json``."""
    return output.with_name(f"{output.name}.json")


def _check_output(output: Path, suffix: str, overwrite: bool) -> None:
    if output.suffix != suffix:
        raise UserError(f"output={output} must end in {suffix}.")
    for path in (output, note_of(output)):
        if path.exists() and not overwrite:
            raise UserError(f"{path} is there already. Choose another output, or replace it with overwrite=true.")


def _images(batch: int, shape: tuple[int, ...]) -> Tensor:
    return torch.rand(batch, *shape, generator=torch.Generator().manual_seed(batch))


def _difference(network: TrainedNetwork, name: str, run: Run, shape: tuple[int, ...]) -> float:
    differences = []
    for batch in CHECKED:
        images = _images(batch, shape)
        try:
            with torch.no_grad():
                differences.append((run(images) - network.model(images)).abs().max().item())
        except Exception as error:  # a graph that holds for the batch size of its export alone
            raise UserError(_not_exported(network, name, error)) from error
    if not all(difference <= TOLERANCE for difference in differences):
        raise UserError(
            f"The outputs of the graph (format={name}) differ from the network's by up to {max(differences):.2g}; at "
            f"most {TOLERANCE:g} is allowed. Nothing was written."
        )
    return max(differences)


def _not_exported(network: TrainedNetwork, name: str, error: Exception) -> str:
    config, reason = network.config, " ".join(str(error).split())[:300]
    other = " Try format=torch: some dynamic convolutions run the batch as groups, which ONNX fixes." * (name == "onnx")
    return (
        f"backbone={config.backbone.name} conv={config.conv.name} cannot be exported with format={name} for every "
        f"batch size ({type(error).__name__}: {reason}).{other}"
    )


def _make_torch(model: nn.Module, images: Tensor) -> bytes:
    content = io.BytesIO()
    with torch.no_grad():
        program = torch.export.export(model, (images,), dynamic_shapes=({0: torch.export.Dim("batch", min=1)},))
    torch.export.save(program, content)
    return content.getvalue()


def _load_torch(content: bytes) -> Run:
    return torch.export.load(io.BytesIO(content)).module()


def _make_onnx(model: nn.Module, images: Tensor) -> bytes:
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise UserError(f"format=onnx needs the package {error.name}: pip install magicseg[export]") from error
    with torch.no_grad():
        program: Any = torch.onnx.export(
            model,
            (images,),
            dynamo=True,
            dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
            input_names=["images"],
            output_names=["logits"],
            verbose=False,
        )
    return program.model_proto.SerializeToString()


def _load_onnx(content: bytes) -> Run:
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return lambda images: torch.from_numpy(session.run(["logits"], {"images": images.numpy()})[0])


FORMATS = {
    "onnx": Format(
        ".onnx",
        _make_onnx,
        _load_onnx,
        'onnxruntime.InferenceSession("{file}").run(["logits"], {{"images": images}})[0]',
    ),
    "torch": Format(".pt2", _make_torch, _load_torch, 'torch.export.load("{file}").module()(images)'),
}
"""The formats by name."""

SCALING = {
    "as_they_are": "8-bit values divided by 255; other images are in [0, 1] already",
    "min_max": "(image - min) / (max - min), over the whole volume",
    "abdominal_window": "Hounsfield units clipped to [-125, 275], then (HU + 125) / 400",
    "by_type": "8-bit pictures divided by 255; others (image - min) / (max - min), over the whole volume",
}
"""What the rules of INTENSITIES come to."""


def _note(network: TrainedNetwork, output: Path, form: Format, difference: float) -> dict[str, Any]:
    """Return what a user of the graph must know."""
    config, (height, width) = network.config, network.preprocessing.size
    channels = config.dataset.channels
    rule = reader(config.dataset.name, channels, config.dataset.get("intensity", ""))
    imagenet = {"mean": IMAGENET_MEAN.tolist(), "std": IMAGENET_STD.tolist()}
    return {
        "file": output.name,
        "sha256": sha256(output),
        "call": form.usage.format(file=output.name),
        "input": {"name": "images", "type": "float32", "shape": ["batch", channels, height, width]},
        "steps": {
            "intensity": {"rule": rule.intensity, "meaning": SCALING[rule.intensity]},
            "slices": {"axes": rule.slices.axes, "order": list(rule.slices.order)},
            "resize": config.recipe.resize,
            "normalise": imagenet if config.recipe.normalise == "imagenet" else None,
        },
        "output": {"name": "logits", "shape": ["batch", count_logits(config), height, width]},
        "label": "logit > 0" if count_logits(config) == 1 else "argmax over axis 1",
        "classes": ["background", *network.classes],
        "difference": {"maximum": difference, "batch_sizes": list(CHECKED)},
        "run": {
            "folder": network.folder.path.name,
            **{key: config[key].name for key in ("dataset", "backbone", "conv", "recipe")},
            "seed": config.seed,
            "epoch": network.epoch,
            "checkpoint": sha256(network.checkpoint),
        },
        "code": {"magicseg": magicseg.__version__, "digest": code_digest(), "torch": torch.__version__, "time": now()},
    }
