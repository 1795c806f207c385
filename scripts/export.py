"""Export a finished run's network: ``python scripts/export.py run=DIR format=onnx output=FILE.onnx``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from omegaconf import MISSING

from magicseg.arguments import parse, run_friendly


@dataclass
class Options:
    """Export a finished run's network as a graph, with a json file beside it that says how to use it.

    run: the run folder; its config.yaml and its chosen checkpoint are enough.
    format: onnx (pip install magicseg[export]), or torch for torch.export.
    output: the file to write, ending in .onnx or .pt2.
    overwrite: replace the file if it is there.
    trust: let the run's configuration name code that magicseg does not know.
    """

    run: Path = MISSING
    format: str = MISSING
    output: Path = MISSING
    overwrite: bool = False
    trust: bool = False


def main(arguments: Sequence[str]) -> None:
    """Export the network and say how well the graph agrees with it."""
    options = parse(Options, arguments)
    from magicseg.assembly.trained import load_network  # PyTorch is imported only once the options are sound
    from magicseg.inference.export import CHECKED, export, note_of

    network = load_network(options.run, options.trust)
    difference = export(network, options.format, options.output, options.overwrite)
    sizes = " and ".join(map(str, CHECKED))
    print(f"Outputs differ from the network's by at most {difference:.2g} (random images, batches of {sizes}).")
    print(f"Wrote {options.output} and {note_of(options.output)}")


if __name__ == "__main__":
    run_friendly(main)
