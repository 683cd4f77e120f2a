"""The block `slurm:` of an experiment file: what a worker asks of a cluster.

It says where trials run and not what they are, so it is no part of an identity or of what is recorded as the
experiment.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from segbench.config.document import Node, Problems, read_assignments

_CLOCK: Final = re.compile(r"(?:(?P<days>\d+)-)?(?P<hours>\d+):(?P<minutes>[0-5]\d):(?P<seconds>[0-5]\d)")


def _minutes(value: Any) -> int:
    """Read a time: whole minutes, or `[days-]hours:minutes:seconds`, rounded up to minutes."""
    if type(value) is int and value > 0:
        return value
    found = _CLOCK.fullmatch(value) if isinstance(value, str) else None
    parts = {name: int(part or 0) for name, part in found.groupdict().items()} if found else {}
    seconds = sum(parts[name] * size for name, size in _SECONDS.items() if name in parts)
    if not seconds:
        raise PydanticCustomError("shape", "minutes (90) or text such as 8:00:00 or 1-12:00:00")
    return math.ceil(seconds / 60)


_SECONDS: Final = {"days": 86400, "hours": 3600, "minutes": 60, "seconds": 1}


def _option(value: Any) -> Any:
    if isinstance(value, dict | list) or value is None:
        raise PydanticCustomError("shape", "text, a number, or true for an option without a value")
    return value


Time = Annotated[
    int, PlainValidator(_minutes), WithJsonSchema({"type": ["integer", "string"], "exclusiveMinimum": 0})
]
Option = Annotated[Any, PlainValidator(_option), WithJsonSchema({"type": ["string", "number", "boolean"]})]
Text = Annotated[str, Field(min_length=1)]
Count = Annotated[int, Field(gt=0)]


class SlurmBlock(BaseModel):
    """What a worker asks of Slurm (`segbench sweep --launcher slurm`)."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    partition: Text | None = Field(None, description="Partition; null: the cluster's default.")
    account: Text | None = Field(None, description="Account that is charged.")
    qos: Text | None = Field(None, description="Quality of service.")
    workers: Count = Field(1, description="Size of the job array: trials that run at a time, at most.")
    gpus: Annotated[int, Field(ge=0, le=1)] = Field(
        1, description="GPUs of a worker: 1, or 0 to train on its CPUs. More GPUs: more workers."
    )
    cpus: Count = Field(4, description="CPU cores of a worker, and threads of PyTorch.")
    memory_gib: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = Field(
        None, description="Memory of a worker; null: the cluster's default."
    )
    time: Time | None = Field(
        None,
        description="Longest time of a job: minutes, or text such as 8:00:00; null: the partition's default.",
    )
    notice_s: Annotated[int, Field(ge=0, le=65535)] | None = Field(
        None,
        description="So long before `time` a worker is asked to stop at its epoch's end; null: 120, or a "
        "quarter of a short `time`.",
    )
    requeue: bool = Field(
        True, description="Whether Slurm starts a job again whose node failed or whose time was up."
    )
    setup: list[Text] = Field([], description="Lines of shell that a job runs before its worker.")
    extra: dict[str, Option] = Field({}, description="Further options of sbatch: {constraint: a100}.")


NOTICE_S: Final = 120
"""`notice_s` unless `time` is short: Slurm itself may be a minute early or late."""

OWN_OPTIONS: Final = {
    "partition": "partition",
    "p": "partition",
    "account": "account",
    "A": "account",
    "qos": "qos",
    "q": "qos",
    "array": "workers",
    "a": "workers",
    "gpus": "gpus",
    "G": "gpus",
    "gpus-per-node": "gpus",
    "gpus-per-task": "gpus",
    "cpus-per-task": "cpus",
    "c": "cpus",
    "mem": "memory_gib",
    "time": "time",
    "t": "time",
    "signal": "notice_s",
    "requeue": "requeue",
    "no-requeue": "requeue",
    **dict.fromkeys(
        ("job-name", "J", "comment", "output", "o", "error", "e", "nodes", "N", "ntasks", "n"), None
    ),
    **dict.fromkeys(("ntasks-per-node", "open-mode", "wrap", "parsable", "test-only", "hold", "H"), None),
}
"""Options of sbatch that `extra` must not hold -> the key that sets them; None: segbench sets them itself."""


def read_slurm(node: Node | None, problems: Problems) -> dict[str, Any]:
    """Return the block with its defaults, `time` in minutes; empty where there is none.

    Args:
        node: One that passed the check of the structure.
        problems: Takes what is wrong with its parts together.
    """
    if node is None or not node.is_mapping:
        return {}
    block = SlurmBlock.model_validate(node.plain())
    time_s = math.inf if block.time is None else 60 * block.time
    if block.notice_s is not None and block.notice_s >= time_s:
        rule = f"notice_s must be shorter than time ({time_s} s)"
        problems.add(node["notice_s"].place, rule, got=block.notice_s)
    extra = node.get("extra")
    for name, _ in extra.items() if extra is not None else ():
        option = name.lstrip("-")
        if option in OWN_OPTIONS:
            key = OWN_OPTIONS[option]
            see = None if key is None else f"The key `{key}` of `slurm` sets it"
            problems.add(extra.key_place(name), "segbench sets this option of sbatch", got=name, see=see)  # type: ignore[union-attr]
    return _complete(block)


def apply_slurm(document: Node, texts: Sequence[str], problems: Problems) -> Node:
    """Lay `--slurm KEY=VALUE` over the block."""
    for place, key, value in read_assignments("--slurm", texts, "time=2:00:00", problems):
        block = document.get("slurm")
        block = block if block is not None and block.is_mapping else Node(place, {})
        document = document.having("slurm", block.having(key, value, place), place)
    return document


def defaults() -> Mapping[str, Any]:
    """Return the block of an experiment that has none."""
    return _complete(SlurmBlock.model_validate({}))


def _complete(block: SlurmBlock) -> dict[str, Any]:
    written = block.model_dump()
    if written["notice_s"] is None:
        written["notice_s"] = NOTICE_S if block.time is None else min(NOTICE_S, 15 * block.time)
    return written
