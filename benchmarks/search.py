"""What asking a sampler costs, and how long a search takes to know its proposals again.

`python -m benchmarks.search [MOST] [SAMPLER ...]`

Two tables. The first: seconds of one `ProposalStudy.ask` with 100, 1,000, ... up to MOST (10,000) complete
proposals told before, median of three asks, each told before the next; three parameters, one of them whole.
GP fits a matrix of all proposals, cubic in their number: it is asked up to 1,000. The second: seconds from
records on disk (about 3 kB of JSON each, in the page cache) to a search that can ask, in a process of its
own, imports aside.
"""

from __future__ import annotations

import math
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.machine import heading, spread, table
from benchmarks.scan import write
from segbench.config.experiment import Search, SearchParameter
from segbench.config.searches import optuna_classes
from segbench.records import Origin, SearchPlace, State
from segbench.sweep.search import Proposal

MOST_OF = {"gp": 1000}
NUM_ASKS = 3
PARAMETERS = (
    SearchParameter(name="lr", path="optimizer.lr", low=1e-5, high=1e-1, log=True),
    SearchParameter(name="decay", path="optimizer.weight_decay", low=1e-6, high=1e-1, log=True),
    SearchParameter(name="depth", path="model.depth", low=2, high=4, is_integer=True),
)
EXPERIMENT = """\
question: How long does a search take to begin again?
baseline:
  dataset: shapes
  model: {{unet: {{width: 4}}}}
  optimizer: {{adamw: {{lr: 1e-3}}}}
  epochs: 4
search:
  space:
    lr: {{path: optimizer.lr, low: 1e-5, high: 1e-1, log: true}}
    decay: {{path: optimizer.weight_decay, low: 1e-6, high: 1e-1, log: true}}
    depth: {{path: model.depth, low: 2, high: 4}}
  sampler: {sampler}
  trials: {trials}
seeds: 1
"""
MEASURED = """\
import sys, time
from segbench.config.load import load_experiment
from segbench.store.layout import ExperimentFolder
from segbench.plan.plan import Planner
from segbench.sweep.sources import SearchRun
import segbench.sweep.searches
experiment = load_experiment(sys.argv[1])
folder = ExperimentFolder(experiment.project.results / experiment.name)
planner = Planner(experiment, fingerprint_of=lambda config: "f" * 64)
began, cpu = time.perf_counter(), time.process_time()
search = SearchRun(experiment, folder, planner.trial, ahead=1)
took = time.perf_counter() - began
assert len(search.asked) == int(sys.argv[2]) and not search.open_trials()
print(took, time.process_time() - cpu)
"""


SAMPLERS = tuple(name for name in optuna_classes("sampler") if name != "bruteforce")


def main(most: int = 10_000, samplers: tuple[str, ...] = SAMPLERS) -> None:
    counts = [count for count in (100, 1000, 10_000, 100_000) if count <= most]
    lines = heading("Asking a sampler, after so many proposals")
    rows = []
    for sampler in samplers:
        asked = [
            spread(ask(sampler, count), digits=4) if count <= MOST_OF.get(sampler, most) else "not asked"
            for count in counts
        ]
        rows.append([sampler, *asked])
    lines += table(["sampler", *(f"{count:,}" for count in counts)], rows)
    lines += heading(f"Beginning again from the records of {most:,} proposals")
    rows = []
    for sampler in ("random", "tpe"):
        wall, cpu = begin_again(sampler, most)
        rows.append([sampler, spread(wall), spread(cpu), "2 s"])
    lines += table(["sampler", "wall time", "CPU time of the process", "promised"], rows)
    print("\n".join(lines))


def ask(sampler: str, count: int) -> list[float]:
    """Return the seconds of three asks of a study that knows so many proposals."""
    from segbench.sweep.searches import ProposalStudy

    search = Search(
        parameters=PARAMETERS,
        sampler=sampler,
        sampler_seed=0,
        sampler_settings={},
        pruner="none",
        pruner_warmup_epochs=0,
        num_trials=count + NUM_ASKS,
    )
    past = [
        Proposal(
            number=number,
            parameters=parameters,
            state=State.COMPLETE,
            objective=value(parameters),
            origin=Origin(place=place(sampler, number)),
        )
        for number, parameters in enumerate(draw(count))
    ]
    study = ProposalStudy("bench", search, direction="maximize", epochs=4, proposals=past)
    study.tell(study.ask().number, State.FAILED, None)  # the first one imports
    took = []
    for _ in range(NUM_ASKS):
        began = time.perf_counter()
        proposal = study.ask()
        took.append(time.perf_counter() - began)
        study.tell(proposal.number, State.COMPLETE, value(proposal.parameters))
    return took


def begin_again(sampler: str, count: int, repeats: int = 3) -> tuple[list[float], list[float]]:
    """Return wall and CPU seconds that a search needs to know so many finished proposals."""
    with tempfile.TemporaryDirectory() as folder:
        file = make_records(Path(folder), sampler, count)
        command = [sys.executable, "-c", MEASURED, str(file), str(count)]
        said = [
            subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
            for _ in range(repeats)
        ]
    return [float(wall) for wall, _ in said], [float(cpu) for _, cpu in said]


def make_records(root: Path, sampler: str, count: int) -> Path:
    """Write a search and a finished record for each of its proposals."""
    from segbench.config.expand import apply_parameters, search_space
    from segbench.config.load import load_experiment
    from segbench.plan.plan import Planner
    from segbench.store.layout import ExperimentFolder
    from segbench.store.queue import QueuedTrial
    from segbench.trial.provenance import hash_host, read_versions
    from segbench.trial.record import new_record

    file = root / "experiments" / "many.yaml"
    file.parent.mkdir()
    file.write_text(EXPERIMENT.format(sampler=sampler, trials=count))
    experiment = load_experiment(file)
    assert experiment.search is not None
    folder = ExperimentFolder(experiment.project.results / experiment.name)
    planner = Planner(experiment, fingerprint_of=lambda config: "f" * 64)
    space, versions, test = search_space(experiment.search), read_versions(), {"dice": 0.5, "dice_last": 0.5}
    for number, parameters in enumerate(draw(count)):
        trial = QueuedTrial.of(
            planner.trial(apply_parameters(experiment, parameters), 0, 0),
            search=SearchPlace(number=number, parameters=parameters, space=space),
        )
        record = replace(
            new_record(trial, folder),
            state=State.COMPLETE,
            epochs_done=4,
            selected_epoch=3,
            objective=value(parameters),
            test=test,
            parameters=7_654_321,
            host=hash_host(),
            versions=versions,
        )
        write(folder, record)
    return file


def draw(count: int) -> list[dict[str, Any]]:
    chance = random.Random(0)
    found = []
    for _ in range(count):
        lr, decay = 10 ** chance.uniform(-5, -1), 10 ** chance.uniform(-6, -1)
        found.append({"lr": lr, "decay": decay, "depth": chance.randint(2, 4)})
    return found


def value(parameters: Any) -> float:
    lr, decay = math.log10(parameters["lr"]), math.log10(parameters["decay"])
    return 0.9 - abs(lr + 2.5) / 10 - abs(decay + 3) / 20 + parameters["depth"] / 100


def place(sampler: str, number: int) -> dict[str, Any] | None:
    """Return the generation of a proposal, as if each had been full before the next began."""
    size = {"nsga2": 50, "cmaes": 7}.get(sampler)
    if size is None:
        return None
    generation, first = divmod(number, size)
    parents = {} if first or not generation else {"parents": list(range(number - size, number))}
    return {"generation": generation, **parents}


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]), *([tuple(sys.argv[2:])] if sys.argv[2:] else []))
