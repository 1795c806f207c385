"""The runs of a sweep: which there are, which are to do, how long that may take, and how they ended."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from omegaconf import DictConfig, open_dict, read_write

from magicseg.errors import UserError
from magicseg.reports.status import RunState, count_states, describe, duration, read_state
from magicseg.runs import RunFolder
from magicseg.training.expected import remaining
from magicseg.training.folder import find_folder
from magicseg.training.keys import FOLDER, check_keys


@dataclass(frozen=True)
class SweepRun:
    """One run of a sweep: what was asked for, what that means, and where it lies."""

    overrides: tuple[str, ...]
    config: DictConfig
    folder: RunFolder
    refusal: str = ""
    """Why it cannot work; empty where nothing speaks against it."""

    @property
    def to_do(self) -> bool:
        """Whether there is something to do: training that is not finished and can work, or scoring again."""
        return self.config.mode != "train" or not (self.refusal or self.folder.finished())

    def state(self) -> RunState:
        """Return how it stands."""
        state = read_state(self.folder)
        return replace(state, state="refused", reason=self.refusal) if self.refusal else state


def sweep_run(overrides: Sequence[str], config: DictConfig) -> SweepRun:
    """Return the run that a composed configuration describes, Hydra's own part left out.

    Raises:
        UserError: the configuration does not tell the run's folder, or leaves classes or channels to data that are not
            there; or a run that is to be scored again is not finished.
    """
    with read_write(config), open_dict(config):
        config.pop("hydra", None)
    check_keys(config, FOLDER)
    if config.mode == "evaluate":
        return SweepRun(tuple(overrides), config, _finished(config.run))
    if None in config.dataset.values():
        from magicseg.training.data import fill_in  # PyTorch is imported only where it is needed

        fill_in(config.dataset)
    return SweepRun(tuple(overrides), config, find_folder(config))


def _finished(path: str | None) -> RunFolder:
    folder = RunFolder(Path(path or ""))
    if path is None or not folder.finished():
        raise UserError(f"mode=evaluate run={path}: that is not the folder of a finished run.")
    return folder


def without_repeats(runs: Iterable[SweepRun]) -> list[SweepRun]:
    """Return the runs, each training once."""
    return list({run.folder.path if run.config.mode == "train" else run.overrides: run for run in runs}.values())


def checked(runs: Iterable[SweepRun]) -> list[SweepRun]:
    """Return the runs, those refused that are to be trained and cannot work; their data may still be prepared."""
    return [
        replace(run, refusal=_refusal(run.config)) if run.config.mode == "train" and run.to_do else run for run in runs
    ]


def _refusal(config: DictConfig) -> str:
    from magicseg.training.setup import check, check_network  # PyTorch is imported only where something is to be done

    try:
        check_keys(config)
        check(config)
        check_network(config)
    except UserError as error:
        return str(error)
    return ""


def refusals(runs: Sequence[SweepRun]) -> list[str]:
    """Return a line for each run that cannot work."""
    return [run.state().line() for run in runs if run.refusal]


def dry_run(runs: Sequence[SweepRun]) -> None:
    """Print what a dry run shows.

    Raises:
        UserError: runs cannot work.
    """
    print(listing(runs))
    if refused := len(refusals(runs)):
        raise UserError(f"{refused} of {len(runs)} runs cannot work, for the reasons above.")


def listing(runs: Sequence[SweepRun]) -> str:
    """Return every run with its state and the time it may take, why some cannot work, and what lacks its data."""
    lines = [f"{'state':13} {'epochs':>9}  {'expected':>12}  run"]
    times = {run.folder.path: remaining(run.folder, run.config) for run in runs}
    states = [run.state() for run in runs]
    for state in states:
        time = "-" if state.state in ("finished", "refused") else duration(times[state.folder.path])
        lines.append(f"{state.state:13} {state.epochs:>9}  {time:>12}  {state.folder.path}")
    open_times = [times[state.folder.path] for state in states if state.state not in ("finished", "refused")]
    return "\n".join([*lines, "", count_states(states), *refusals(runs), *_expectation(open_times), *_unprepared(runs)])


def _expectation(times: Sequence[float | None]) -> list[str]:
    known = [time for time in times if time is not None]
    unknown = len(times) - len(known)
    lines = [f"expected: {duration(sum(known))} for {len(known)} of them, one after another"] if known else []
    why = "no run of the same backbone, convolution and recipe was finished here"
    return lines + ([f"time unknown for {unknown}: {why}"] if unknown else [])


def _unprepared(runs: Sequence[SweepRun]) -> list[str]:
    """Return a sentence for every data set that is not prepared."""
    needed = {(part.name, part.root) for run in runs for part in _datasets(run.config)}
    absent = sorted(each for each in needed if each[0] != "phantom" and not Path(each[1], "manifest.json").is_file())
    return [f"no data in {root}: python scripts/prepare_data.py dataset={name} source=DIR" for name, root in absent]


def _datasets(config: DictConfig) -> list[DictConfig]:
    return [config.dataset, config.dataset.train] if "train" in config.dataset else [config.dataset]


def outcome(runs: Sequence[SweepRun], problems: Mapping[Path, str]) -> str:
    """Return how the runs of a sweep stand, those that were finished before included.

    Args:
        runs: all of them.
        problems: what the launcher says of a run that went wrong; told where the run folder does not.
    """
    states = [run.state() for run in runs]
    return describe([replace(each, reason=each.reason or problems.get(each.folder.path, "")) for each in states])


def check_outcome(runs: Sequence[SweepRun], problems: Mapping[Path, str]) -> None:
    """Raise UserError if runs of a sweep did not finish, or had problems although their folders say finished."""
    folders = {run.folder.path: run.folder for run in runs}
    ended = ("finished", "running")  # by another process
    open_runs = {path for path, folder in folders.items() if read_state(folder).state not in ended} | set(problems)
    if open_runs:
        count = f"{len(open_runs)} of {len(folders)} runs did not finish."
        raise UserError(f"{count} The same command runs only what is not finished.")
