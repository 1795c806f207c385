"""The tables of docs/networks.md, from the configurations and the networks that they build.

``python tests/documented_networks.py`` writes them anew.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial

import torch
from command_line import PROJECT, configuration
from hydra.utils import get_class
from omegaconf import DictConfig

from magicseg.assembly.build import build_model
from magicseg.convs import MAGICConv2d
from magicseg.models.model import SegmentationModel, count_parameters
from magicseg.reports.complexity import measure

PAGE = PROJECT / "docs" / "networks.md"
SIDE = 256
ONE_OBJECT = ("dataset.channels=3", "dataset.classes=[object]", "recipe.output=sigmoid", f"recipe.size={SIDE}")
SMALL = "_small"
ABLATION = re.compile(r"magic_\dx_|sgdc_")


def names(group: str) -> list[str]:
    """Return the names of a configuration group."""
    return sorted(path.stem for path in (PROJECT / "configs" / group).glob("*.yaml"))


def heading(group: str, name: str) -> str:
    """Return what the first line of a configuration says it is, without the numbers behind it."""
    first = (PROJECT / "configs" / group / f"{name}.yaml").read_text().splitlines()[0].removeprefix("# ")
    return re.sub(r"[:;][^:;]* parameters.*", "", first)


def backbone_rows() -> Iterator[str]:
    """Yield the lines of the table of backbones."""
    yield "| `backbone=` | network | M parameters | GMACs | `_small` | dynamic | `scope` | size | ImageNet |"
    yield "|---|---|---:|---:|---:|---:|---|---:|---|"
    everyone = names("backbone")
    for name in everyone:
        if name.endswith(SMALL):
            continue
        config = configured(name)
        cost = measure(partial(build_model, config, pretrained=False), 3, SIDE)
        small = megas(count_parameters(build(configured(name + SMALL)))) if name + SMALL in everyone else "-"
        model = build(configured(name, "magic_2x"))
        dynamic = sum(isinstance(module, MAGICConv2d) for module in model.modules())
        pretrained = {None: "-", False: "optional", True: "default"}[config.backbone.network.get("pretrained")]
        cells = [f"`{name}`", heading("backbone", name), megas(cost.parameters), f"{cost.macs / 1e9:.2f}", small]
        yield row(*cells, str(dynamic), scopes(config), f"{model.stride} n", pretrained)


def conv_rows() -> Iterator[str]:
    """Yield the lines of the table of convolutions, without those that leave out a part of another."""
    yield "| `conv=` | what | M parameters of `backbone=unet` |"
    yield "|---|---|---:|"
    for name in names("conv"):
        if not ABLATION.match(name):
            yield row(f"`{name}`", heading("conv", name), megas(count_parameters(build(configured("unet", name)))))


def configured(backbone: str, conv: str = "regular") -> DictConfig:
    """Return the configuration of a network for RGB images and one object."""
    return configuration(f"backbone={backbone}", f"conv={conv}", *ONE_OBJECT)


def build(config: DictConfig) -> SegmentationModel:
    """Return the network without computing a weight."""
    with torch.device("meta"):
        return build_model(config, pretrained=False)


def scopes(config: DictConfig) -> str:
    """Return the words for where ``conv`` goes, the default first, as the network lists them when it refuses one."""
    network = config.backbone.network
    try:
        get_class(network._target_)(3, 1, scope="?")
    except ValueError as error:
        allowed = str(error).split("allowed: ")[1].rstrip(".").split(", ")
        return ", ".join(f"`{scope}`" for scope in sorted(allowed, key=lambda scope: scope != network.scope))
    raise ValueError(f"{network._target_} takes any scope.")


def megas(count: int) -> str:
    """Return a count in millions."""
    return f"{count / 1e6:.2f}"


def row(*cells: str) -> str:
    """Return a line of a table."""
    return f"| {' | '.join(cells)} |"


TABLES: dict[str, Callable[[], Iterator[str]]] = {"backbones": backbone_rows, "convolutions": conv_rows}


def renewed(page: str) -> str:
    """Return the page with its tables made anew."""
    for name, rows in TABLES.items():
        begin, end = f"<!-- table of {name} -->\n", "<!-- end -->"
        table = "".join(f"{line}\n" for line in rows())
        page = re.sub(f"{begin}.*?{end}", lambda _, new=f"{begin}{table}{end}": new, page, flags=re.DOTALL)
    return page


if __name__ == "__main__":
    PAGE.write_text(renewed(PAGE.read_text()))
