"""From the block `slurm:` to a job array, through submitit."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from contextlib import redirect_stderr
from dataclasses import dataclass
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING, Any

import segbench
from segbench.config.slurm import defaults
from segbench.errors import ExperimentError, message
from segbench.store.layout import ExperimentFolder
from segbench.sweep.slurm.commands import SlurmRefuses, call, cancel, max_array_size, own_words
from segbench.sweep.slurm.job import become_worker

if TYPE_CHECKING:
    from submitit import SlurmExecutor

    from segbench.config.experiment import Experiment


@dataclass(frozen=True, kw_only=True)
class Submission:
    """How the jobs of an experiment are submitted."""

    folder: ExperimentFolder
    root: Path
    """The project's."""
    options: Mapping[str, Any]
    """The block `slurm:` with every default."""
    device: str = "auto"
    threads: int | None = None
    """None: as many as the job has cores."""
    loader_workers: int | None = None
    hang_timeout_s: float | None = None

    @classmethod
    def of(cls, experiment: Experiment, folder: ExperimentFolder, **resources: Any) -> Submission:
        options = {**defaults(), **experiment.slurm}
        return cls(folder=folder, root=experiment.project.root, options=options, **resources)

    @property
    def name(self) -> str:
        """The jobs' name: with the folder in their comment it tells them from all others."""
        return "segbench:" + re.sub(r"[^\w.-]", "_", self.folder.name)

    @property
    def comment(self) -> str:
        return str(self.folder.root.resolve())

    @property
    def num_threads(self) -> int:
        return int(self.threads or self.options["cpus"])

    @property
    def worker_arguments(self) -> list[str]:
        """What follows `segbench worker`."""
        arguments = [self.folder.name, "--project", str(self.root)]
        arguments += ["--device", self.device] if self.device != "auto" else self._device()
        arguments += ["--threads", str(self.num_threads)]
        if self.loader_workers is not None:
            arguments += ["--loader-workers", str(self.loader_workers)]
        if self.hang_timeout_s is not None:
            arguments += ["--hang-timeout", f"{self.hang_timeout_s:g}s"]
        return arguments + (["--requeue"] if self.options["requeue"] else [])

    def _device(self) -> list[str]:
        """Without GPUs of its own a job must not find those of its neighbours."""
        has_gpus = self.options["gpus"] or "gres" in self.options["extra"]
        return [] if has_gpus else ["--device", "cpu"]

    def parameters(self) -> dict[str, Any]:
        """Return what `SlurmExecutor.update_parameters` takes."""
        options = self.options
        extra = {name.lstrip("-"): value for name, value in options["extra"].items()}
        package = shlex.quote(str(Path(segbench.__file__).parent.parent))
        asked = {
            "job_name": self.name,
            "comment": self.comment,
            "partition": options["partition"],
            "account": options["account"],
            "qos": options["qos"],
            "time": options["time"],
            "cpus_per_task": options["cpus"],
            "gpus_per_node": None if "gres" in extra else options["gpus"] or None,
            "mem": None if options["memory_gib"] is None else f"{round(options['memory_gib'] * 1024)}M",
            "additional_parameters": {
                "signal": "CONT@1",  # in place of submitit's SIGUSR2, which would end the worker
                "requeue" if options["requeue"] else "no-requeue": True,
                **{name: value for name, value in extra.items() if value is not False},
            },
            "setup": [
                f'export PYTHONPATH={package}"${{PYTHONPATH:+:$PYTHONPATH}}"',
                "export NO_ALBUMENTATIONS_UPDATE=1",
                *options["setup"],
            ],
            "srun_args": [f"--cpus-per-task={options['cpus']}"],  # Slurm 22.05 and later: not inherited
            "array_parallelism": 100_000,
            "wckey": None,
        }
        return {
            name: value for name, value in asked.items() if value is not None or name in ("wckey", "time")
        }

    def submit(self, count: int) -> list[str]:
        """Submit so many workers as one array and return their ids.

        Raises:
            SlurmRefuses: With Slurm's words.
        """
        from submitit.core.utils import FailedJobError, FailedSubmissionError

        executor = self._executor()
        try:
            with redirect_stderr(StringIO()):  # submitit prints what it raises
                jobs = executor.map_array(
                    become_worker, [self.worker_arguments] * count, [self.options["notice_s"]] * count
                )
        except (FailedJobError, FailedSubmissionError) as error:
            raise SlurmRefuses(f"sbatch: {own_words(str(error))}") from None
        return [job.job_id for job in jobs]

    def check_tools(self) -> None:
        """Return where Slurm's commands and submitit are there.

        Raises:
            ExperimentError: One is missing.
        """
        missing = [name for name in ("sbatch", "srun", "squeue", "scancel", "scontrol") if not which(name)]
        if missing:
            rule = f"there is no {missing[0]} on this machine"
            see = "Start the sweep where jobs are submitted from, such as a login node"
            raise ExperimentError(message("--launcher slurm", rule, see=see))
        if find_spec("submitit") is None:
            see = "Install it: pip install 'segbench[slurm]'"
            raise ExperimentError(message("--launcher slurm", "submitit is missing", see=see))

    def check(self, workers: int) -> None:
        """Return where Slurm would take an array of so many jobs.

        Raises:
            ExperimentError: It refuses; its own words are in the text.
        """
        try:
            most = max_array_size()
            if most is not None and workers > most:
                rule = f"an array of this cluster holds at most {most} jobs (MaxArraySize)"
                raise ExperimentError(message("slurm: workers", rule, got=workers))
            self._try(self._script(workers))
        except SlurmRefuses as error:
            asked = ", ".join(f"{k} {v}" for k, v in self.options.items() if v not in (None, [], {}))
            rule = f"Slurm refuses, in its own words: {error}"
            raise ExperimentError(message("--launcher slurm", rule, see=f"Asked for: {asked}")) from None

    def _try(self, script: str) -> None:
        """Ask Slurm without leaving a trace; where it says no, ask in earnest.

        `--test-only` also says no to what could start later, once nodes are back that are down now.
        """
        try:
            call("sbatch", "--test-only", given=script)
        except SlurmRefuses:
            job = call("sbatch", "--hold", "--parsable", "--job-name=segbench-asks", given=script)
            cancel([job.strip().partition(";")[0]])

    def _script(self, workers: int) -> str:
        executor = self._executor()
        if workers > 1:
            executor.parameters["map_count"] = workers  # as `map_array` does
        return executor._make_submission_file_text("true", "asks")

    def _executor(self) -> SlurmExecutor:
        from submitit import SlurmExecutor

        executor = SlurmExecutor(self.folder.slurm)
        executor.update_parameters(**self.parameters())
        return executor
