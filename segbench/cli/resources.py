"""Options that say what a trial may use."""

from __future__ import annotations

from typing import Annotated

import typer

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
