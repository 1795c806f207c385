"""How Hydra finds magicseg's sweeper and launcher: it takes plugins from packages of this name only.

Hydra loads this module for every command, ``--help`` included, so what needs more than Hydra is imported where it is
used.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class ResumingSweeper(BasicSweeper):
    """Hydra's sweeper for runs that can be found again: it starts what is not finished, and tells how all ended."""

    def sweep(self, arguments: list[str]) -> None:
        """Start every combination of the sweep's values that is not finished; with ``dry_run``, only list them.

        Those that cannot work are told before the first one starts.

        Raises:
            UserError: runs did not finish, or cannot work.
        """
        from magicseg.training.sweep import (
            check_outcome,
            checked,
            dry_run,
            outcome,
            refusals,
            sweep_run,
            without_repeats,
        )

        loader: Any = self.hydra_context.config_loader  # type: ignore[union-attr]
        parsed = OverridesParser.create(loader).parse_overrides([*self._parse_config(), *arguments])
        jobs = self.split_arguments(parsed, max_batch_size=None)[0]
        found = (sweep_run(job, loader.load_sweep_config(self.config, job)) for job in jobs)
        runs = checked(without_repeats(found))
        if self.config.dry_run:  # type: ignore[union-attr]
            dry_run(runs)
            return
        to_do = [run for run in runs if run.to_do]
        print("\n".join([f"{len(to_do)} of {len(runs)} runs to do", *refusals(runs)]), flush=True)
        problems: dict[Any, str] = {}
        try:
            if to_do:
                said = _launch(self.launcher, [run.overrides for run in to_do])
                problems = {run.folder.path: text for run, text in zip(to_do, said, strict=False) if text}
        finally:
            print(f"\n{outcome(runs, problems)}", flush=True)
        check_outcome(runs, problems)


def _launch(launcher: Any, jobs: Sequence[Sequence[str]]) -> list[str]:
    """Start the jobs and wait for them; return what the launcher says went wrong with each, "" where nothing did."""
    from magicseg.errors import UserError

    try:
        returned = launcher.launch(jobs, initial_job_idx=0)
    except UserError:
        raise
    except Exception as error:
        print(f"The launcher stopped: {error}", file=sys.stderr)  # at a job that died; the others may still run
        return []
    return [str(job._return_value) if job.status == JobStatus.FAILED else "" for job in returned]


class ProcessLauncher(Launcher):
    """Starts a process a run, so that a run that fails, hangs or is killed does not stop the others."""

    def __init__(self, n_jobs: int, timeout_min: float | None, memory_gb: float | None, gpus: list[int] | None) -> None:
        self.limits = (n_jobs, timeout_min, memory_gb, gpus)

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep what ``launch`` needs; the processes call ``magicseg.training.run`` instead of ``task_function``."""
        self.loader: Any = hydra_context.config_loader
        self.config = config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run the jobs; one that fails is marked as failed and raises nothing."""
        from magicseg.training.processes import Limits, Processes
        from magicseg.training.sweep import sweep_run

        runs = [sweep_run(job, self.loader.load_sweep_config(self.config, list(job))) for job in job_overrides]
        problems = Processes(runs, Limits(*self.limits)).run()
        return [_returned(run.overrides, problem) for run, problem in zip(runs, problems, strict=True)]


def _returned(overrides: Sequence[str], problem: str | None) -> JobReturn:
    status = JobStatus.COMPLETED if problem is None else JobStatus.FAILED
    return JobReturn(overrides=overrides, status=status, _return_value=problem)
