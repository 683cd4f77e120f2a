"""Arguments and options that several commands share, declared once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segbench.sweep.loggers import Logger

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
    typer.Option(
        "--scale",
        metavar="NAME",
        help="One of the file's `scales`; the experiment is then called EXPERIMENT_NAME.",
        show_default=False,
    ),
]

SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change a field or knob of the baseline, such as epochs=10 or optimizer.lr=1e-3; these are "
        "other trials. May be repeated.",
        show_default=False,
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
    typer.Option(
        "--only",
        metavar="AXIS=LEVEL",
        help="Take only the cells with this level; AXIS=A,B means either. May be repeated: all must hold.",
        show_default=False,
    ),
]

SeedsOption = Annotated[
    str | None,
    typer.Option(
        "--seeds", metavar="LIST", help="Take only these seeds, such as 0-1 or 0,2,4.", show_default=False
    ),
]

AsOption = Annotated[
    str | None,
    typer.Option(
        "--as",
        metavar="NAME",
        help="Call the experiment NAME in results/ and reports/: a changed file beside old results. The name "
        "of another experiment, or of its results, is refused.",
        show_default=False,
    ),
]

StrictOption = Annotated[bool, typer.Option("--strict", help="Refuse what guards only warn about.")]

JsonOption = Annotated[bool, typer.Option("--json", help="Write JSON for programs to standard output.")]

StorageOption = Annotated[
    str | None,
    typer.Option(
        "--storage",
        metavar="URL",
        envvar="SEGBENCH_STORAGE",
        help="Where the dashboard's studies lie: sqlite:///FILE, postgresql+psycopg://USER@HOST/DATABASE, "
        "journal:///FILE or FILE.log. Without it: results/optuna.journal.",
        show_default=False,
    ),
]

LogOption = Annotated[
    list[Logger] | None,
    typer.Option(
        "--log",
        help="Write the same numbers for TensorBoard or wandb (offline unless WANDB_MODE says otherwise), "
        "each an extra of its name. May be repeated.",
        show_default=False,
    ),
]

ProjectOption = Annotated[
    Path | None,
    typer.Option(
        "--project",
        metavar="DIR",
        help="The folder with experiments/, results/ and data/. Without it: around the current folder.",
        show_default=False,
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
    int | None,
    typer.Option("--workers", min=1, help="Processes; without it one a GPU or CPU core.", show_default=False),
]

TrialsPerGpuOption = Annotated[
    int | None,
    typer.Option(
        "--trials-per-gpu",
        min=1,
        metavar="K",
        help="Trials that share a GPU at a time; refused where their measured memory does not fit.",
        show_default=False,
    ),
]

HangTimeoutOption = Annotated[
    str | None,
    typer.Option(
        "--hang-timeout",
        metavar="DURATION",
        help="Silence after a trial's first step for which its worker is killed and the trial tried again, "
        "such as 10m. Without it: 20 of its usual epochs, at least 5 minutes.",
        show_default=False,
    ),
]

TimeLimitOption = Annotated[
    str | None,
    typer.Option(
        "--time-limit",
        metavar="DURATION",
        help="Stop cleanly before so much wall-clock time is over: 90s, 50m, 8h, 1h30m.",
        show_default=False,
    ),
]

ThreadsOption = Annotated[
    int | None,
    typer.Option(
        "--threads", min=1, help="CPU threads of a worker; without it: cores / workers.", show_default=False
    ),
]

NetworkThreadsOption = Annotated[
    int | None,
    typer.Option(
        "--threads", min=1, help="CPU threads of the network; without it: all cores.", show_default=False
    ),
]

BatchSizeOption = Annotated[
    int | None,
    typer.Option(
        "--batch-size",
        min=1,
        help="Images or tiles of the training size that the network takes at once; others count by their "
        "pixels. Without it: the trial's own.",
        show_default=False,
    ),
]

LoaderWorkersOption = Annotated[
    int | None,
    typer.Option(
        "--loader-workers",
        min=0,
        help="Loader processes of a worker; they change no number. Without it: none on a CPU.",
        show_default=False,
    ),
]

NotifyOption = Annotated[
    str | None,
    typer.Option(
        "--notify",
        metavar="COMMAND",
        help="Run this in a shell when the sweep ends or stops: SEGBENCH_EXPERIMENT, SEGBENCH_STATE and "
        "SEGBENCH_SUMMARY are set, JSON is on standard input.",
        show_default=False,
    ),
]

DetachOption = Annotated[
    bool,
    typer.Option(
        "--detach", help="Check everything here, then go on without this terminal (`segbench stop`)."
    ),
]
