"""Options that say what a trial may use."""

from __future__ import annotations

from typing import Annotated

import typer

DeviceOption = Annotated[
    str, typer.Option("--device", metavar="DEVICE", help="auto, cpu, cuda, or one GPU: cuda:0.")
]

ThreadsOption = Annotated[
    int | None,
    typer.Option(
        "--threads", min=1, help="CPU threads of a worker; without it: cores / workers.", show_default=False
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
