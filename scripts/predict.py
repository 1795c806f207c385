"""Segment new images with a finished run: ``python scripts/predict.py run=DIR input=FILE_OR_FOLDER output=DIR``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from omegaconf import MISSING

from magicseg.arguments import parse, run_friendly
from magicseg.errors import UserError


@dataclass
class Options:
    """Segment images with a finished run: label maps on their own grid, pictures, and the volume of each class.

    run: the run folder; its config.yaml and its chosen checkpoint are enough.
    input: an image (png, jpg, bmp, tif, nii, nii.gz, npy), or a folder that is searched for them.
    output: the folder for labels/, overlays/, volumes.csv and settings.json.
    pattern: which files of an input folder are images, e.g. pattern=*_0000.nii.gz.
    intensity: as_they_are (8 bits, or in [0, 1]), min_max, abdominal_window (CT) or by_type (8-bit pictures as they
        are, others min_max); if not given, as the run's data set.
    flips: average the probabilities over four mirrored views.
    batch_size: slices at a time.
    device: auto, cpu, cuda or cuda:N.
    overlays: draw pictures.
    overwrite: segment again what is already there.
    trust: let the run's configuration name code that magicseg does not know.
    progress: show a progress bar.
    """

    run: Path = MISSING
    input: Path = MISSING
    output: Path = MISSING
    pattern: str = "*"
    intensity: str = ""
    flips: bool = False
    batch_size: int = 16
    device: str = "auto"
    overlays: bool = True
    overwrite: bool = False
    trust: bool = False
    progress: bool = True


def main(arguments: Sequence[str]) -> None:
    """Segment the images, and say what could not be segmented."""
    options = parse(Options, arguments)
    if options.batch_size < 1:
        raise UserError(f"batch_size={options.batch_size} must be at least 1.")
    from magicseg.assembly.build import find_device  # PyTorch is imported only once the options are sound
    from magicseg.assembly.trained import load_network
    from magicseg.inference.destination import Destination
    from magicseg.inference.items import find_items
    from magicseg.inference.predict import Predictor
    from magicseg.inference.scan import reader

    destination = Destination(options.output)
    items = find_items(options.input, destination, options.pattern)
    device = find_device(options.device)
    network = load_network(options.run, options.trust)
    if options.flips and network.config.recipe.augment == "none":
        print("The run was trained with recipe.augment=none: mirrored images are new to it, and flips may do harm.")
    dataset = network.config.dataset
    read = reader(dataset.name, dataset.channels, options.intensity or dataset.get("intensity", ""))
    predict = Predictor(network, read, device, options.flips, options.batch_size, options.overlays, options.progress)
    outcome = predict(items, destination, options.overwrite)
    print(f"{outcome.done} images segmented, {outcome.kept} were already there; see {destination.path}")
    if outcome.failed:
        print("\n".join(f"- {reason}" for reason in outcome.failed), file=sys.stderr)
        raise UserError(f"{len(outcome.failed)} of {len(items)} images were not segmented, for the reasons above.")


if __name__ == "__main__":
    run_friendly(main)
