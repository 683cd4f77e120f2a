"""Arguments and options that several commands share, declared once; and the experiment that they name."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from segbench.config.load import shown_path
from segbench.errors import ResultsError, SegbenchError, message
from segbench.sweep.loggers import Logger

if TYPE_CHECKING:
    from segbench.config.experiment import Experiment
    from segbench.report.analysis import Analysis
    from segbench.store.layout import ExperimentFolder
    from segbench.store.results import Results

Read = TypeVar("Read")


def _without(name: str, text: str, **more: Any) -> Any:
    """Declare an option whose help says what happens without it, so that no default is shown."""
    return typer.Option(name, help=text, show_default=False, **more)


ExperimentArgument = Annotated[
    str,
    typer.Argument(
        metavar="EXPERIMENT", help="A file, or the name of one in experiments/.", show_default=False
    ),
]

TrialArgument = Annotated[
    str,
    typer.Argument(
        metavar="TRIAL", help="A trial's folder, EXPERIMENT/HASH, or the first digits of its hash."
    ),
]

OptionalExperimentArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="[EXPERIMENT]",
        help="A file, or the name of one in experiments/. Without it: all in results/.",
        show_default=False,
    ),
]

ScaleOption = Annotated[
    str | None,
    _without(
        "--scale",
        "One of the file's `scales`; the experiment is then called EXPERIMENT_NAME.",
        metavar="NAME",
    ),
]

SetOption = Annotated[
    list[str] | None,
    _without(
        "--set",
        "Change a field or knob of the baseline, such as epochs=10 or optimizer.lr=1e-3; these are "
        "other trials. May be repeated.",
        metavar="KEY=VALUE",
    ),
]

SmokeOption = Annotated[
    bool,
    typer.Option(
        "--smoke", help="One seed, few epochs, few images: does everything run? Kept apart from results."
    ),
]

OnlyOption = Annotated[
    list[str] | None,
    _without(
        "--only",
        "Take only the cells with this level; AXIS=A,B means either. May be repeated: all must hold.",
        metavar="AXIS=LEVEL",
    ),
]

SeedsOption = Annotated[
    str | None, _without("--seeds", "Take only these seeds, such as 0-1 or 0,2,4.", metavar="LIST")
]

AsOption = Annotated[
    str | None,
    _without(
        "--as",
        "Call the experiment NAME in results/ and reports/: a changed file beside old results. The name "
        "of another experiment, or of its results, is refused.",
        metavar="NAME",
    ),
]

StrictOption = Annotated[bool, typer.Option("--strict", help="Refuse what guards only warn about.")]

JsonOption = Annotated[bool, typer.Option("--json", help="Write JSON for programs to standard output.")]

StorageOption = Annotated[
    str | None,
    _without(
        "--storage",
        "Where the dashboard's studies lie: sqlite:///FILE, postgresql+psycopg://USER@HOST/DATABASE, "
        "journal:///FILE or FILE.log. Without it: results/optuna.journal.",
        metavar="URL",
        envvar="SEGBENCH_STORAGE",
    ),
]

LogOption = Annotated[
    list[Logger] | None,
    _without(
        "--log",
        "Write the same numbers for TensorBoard or wandb (offline unless WANDB_MODE says otherwise), "
        "each an extra of its name. May be repeated.",
    ),
]

ProjectOption = Annotated[
    Path | None,
    _without(
        "--project",
        "The folder with experiments/, results/ and data/. Without it: around the current folder.",
        metavar="DIR",
        exists=True,
        file_okay=False,
    ),
]


# Options that say what a trial may use.


DeviceOption = Annotated[
    str,
    typer.Option(
        "--device", "--devices", metavar="DEVICES", help="auto, cpu, cuda (every GPU), or GPUs: cuda:0; 0,2."
    ),
]

WorkersOption = Annotated[
    int | None, _without("--workers", "Processes; without it one a GPU or CPU core.", min=1)
]

TrialsPerGpuOption = Annotated[
    int | None,
    _without(
        "--trials-per-gpu",
        "Trials that share a GPU at a time; refused where their measured memory does not fit.",
        metavar="K",
        min=1,
    ),
]

HangTimeoutOption = Annotated[
    str | None,
    _without(
        "--hang-timeout",
        "Silence after a trial's first step for which its worker is killed and the trial tried again, "
        "such as 10m. Without it: 20 of its usual epochs, at least 5 minutes.",
        metavar="DURATION",
    ),
]

TimeLimitOption = Annotated[
    str | None,
    _without(
        "--time-limit",
        "Stop cleanly before so much wall-clock time is over: 90s, 50m, 8h, 1h30m.",
        metavar="DURATION",
    ),
]

ThreadsOption = Annotated[
    int | None, _without("--threads", "CPU threads of a worker; without it: cores / workers.", min=1)
]

NetworkThreadsOption = Annotated[
    int | None, _without("--threads", "CPU threads of the network; without it: all cores.", min=1)
]

BatchSizeOption = Annotated[
    int | None,
    _without(
        "--batch-size",
        "Images or tiles of the training size that the network takes at once; others count by their "
        "pixels. Without it: the trial's own.",
        min=1,
    ),
]

LoaderWorkersOption = Annotated[
    int | None,
    _without(
        "--loader-workers",
        "Loader processes of a worker; they change no number. Without it: none on a CPU.",
        min=0,
    ),
]

NotifyOption = Annotated[
    str | None,
    _without(
        "--notify",
        "Run this in a shell when the sweep ends or stops: SEGBENCH_EXPERIMENT, SEGBENCH_STATE and "
        "SEGBENCH_SUMMARY are set, JSON is on standard input.",
        metavar="COMMAND",
    ),
]

DetachOption = Annotated[
    bool,
    typer.Option(
        "--detach", help="Check everything here, then go on without this terminal (`segbench stop`)."
    ),
]


# The experiment that arguments and options name, as reports read it.


class NothingYet(ResultsError):
    """No trial has ended."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """An experiment as the command line names it."""

    experiment: str
    scale: str | None = None
    overrides: Sequence[str] = ()
    is_smoke: bool = False
    name: str | None = None
    project: Path | None = None
    contrasts: Sequence[str] = ()
    """Comparisons to show besides, as `report --contrast` takes them."""

    def load(self) -> Experiment:
        """Load it; `--project` says where to look, so that a name means the same everywhere."""
        from segbench.config.load import load_experiment

        return load_experiment(
            self.experiment,
            scale=self.scale,
            overrides=self.overrides,
            smoke=self.is_smoke,
            start=self.project,
            name=self.name,
        )

    def command(self, name: str) -> str:
        """Return `segbench NAME` of this experiment."""
        words = ["segbench", name, self.experiment]
        words += ["--scale", self.scale] if self.scale else []
        for override in self.overrides:
            words += ["--set", override]
        words += ["--as", self.name] if self.name else []
        return shlex.join([*words, "--smoke"] if self.is_smoke else words)

    def results(self, experiment: Experiment) -> ExperimentFolder:
        """Return the folder of its results.

        Raises:
            NothingYet: There is none.
        """
        from segbench.store.layout import ResultsFolder

        folder = ResultsFolder(experiment.project.results).experiment(experiment.name)
        if not folder.root.is_dir():
            rule = "there are no results of this experiment"
            raise NothingYet(message(shown_path(folder.root), rule, see=f"Run: {self.command('sweep')}"))
        return folder

    def analysed(self) -> tuple[Analysis, Results, Mapping[str, Any]]:
        """Read and analyse its results; the last item says what was read, as `recorded` does.

        Raises:
            NothingYet: There are none yet.
            ExperimentError: A contrast is none of this design.
        """
        loaded = self.load()
        folder = self.results(loaded).root

        from segbench.report.study import read_contrasts

        read_contrasts(self.contrasts, loaded)
        from segbench.report.analyse import analyse
        from segbench.report.freshness import recorded
        from segbench.store.results import read_results

        made_from = recorded(loaded)
        results = read_results(folder)
        analysis = analyse(loaded, results, project=loaded.project, contrasts=self.contrasts)
        if analysis.seeds.empty and analysis.failures.empty and analysis.search.empty:
            rule = "no trial of this experiment has ended"
            raise NothingYet(message(shown_path(folder), rule, see=f"Run: {self.command('sweep')}"))
        return analysis, results, made_from


def as_named_or_swept(name: str, start: Path | None, read: Callable[[Asked], Read]) -> Read:
    """Read an experiment as its name means it; where that cannot be, as `results/NAME/` says it was swept.

    Args:
        name: As the command line has it.
        start: Where to look for the project; None: the current folder.
        read: Reads what is asked for.

    Raises:
        SegbenchError: It can be read neither way.
    """
    from segbench.config.project import Project

    try:
        return read(Asked(experiment=name, project=start))
    except SegbenchError:
        record = Project.around(start or Path.cwd()).results / name / "experiment.yaml"
        if not record.is_file():
            raise
        return read(Asked(experiment=str(record), project=start))
