"""A finished run opened for a figure: its test cases, its predictions, its network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from omegaconf import DictConfig
from torch import Tensor

from magicseg.assembly.build import build_model, input_size
from magicseg.assembly.trained import TrainedNetwork, load_config, load_network
from magicseg.data import load_case
from magicseg.errors import UserError, choose
from magicseg.evaluation.predict import load_prediction
from magicseg.reports.complexity import measure
from magicseg.reports.results import Result
from magicseg.runs import RunFolder
from magicseg.training.data import CaseSet, open_data

Volume = NDArray[Any]


@dataclass(frozen=True)
class OpenedRun:
    """A run and its configuration; what takes time is read when it is first asked for."""

    result: Result
    config: DictConfig
    trust: bool

    @property
    def folder(self) -> Path:
        """Where it lies."""
        return self.result.path.parent

    @cached_property
    def network(self) -> TrainedNetwork:
        """The network with the weights of its chosen checkpoint."""
        return load_network(self.folder, self.trust)

    @cached_property
    def test(self) -> CaseSet:
        """The test cases; UserError where the data are not those that the run was tested on."""
        data = open_data(self.config)
        if data.facts["manifest"] != self.result.manifest:
            raise UserError(
                f"The data in {data.test.root} are not those that {self.folder} was tested on. Bring those back."
            )
        return data.test

    def image_and_truth(self, name: str) -> tuple[Volume, Volume]:
        """Return the image [D, H, W] or [D, H, W, 3] and the label map [D, H, W] of a test case."""
        cases = {case.name: case for case in self.test.cases}
        return load_case(self.test.root, cases[choose("case", name, cases)])

    def prediction(self, name: str) -> Volume:
        """Return the predicted label map of a test case, [D, H, W]."""
        return load_prediction(RunFolder(self.folder).predictions / f"{name}.npz")

    def network_input(self, image: Volume) -> Tensor:
        """Return a slice [H, W] or [H, W, 3] as the network takes it: [1, C, h, w]."""
        return torch.from_numpy(self.network.preprocessing.image(image))[None]

    def macs(self) -> int:
        """Return the multiply-adds for one image at the size that the network was trained with."""
        build = partial(build_model, self.config, pretrained=False)
        return measure(build, self.config.dataset.channels, input_size(self.config.recipe)).macs


def open_runs(runs: Sequence[Result], trust: bool) -> list[OpenedRun]:
    """Open finished runs; UserError for a configuration of another version, or one that is not to be trusted."""
    return [OpenedRun(run, load_config(RunFolder(run.path.parent), trust), trust) for run in runs]
