"""Which record belongs to which cell of the design as it stands now."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, Any

from segbench.config.experiment import Cell, Design, Experiment, Search, Tune
from segbench.config.trial import identity
from segbench.errors import ResultsError
from segbench.records import AXIS_SPACE, Role, State, axis_column
from segbench.store.index import read_index
from segbench.store.layout import HASH_DIGITS, ResultsFolder
from segbench.store.results import Results
from segbench.store.tuning import CellTuning, TuningTrial, read_tunings, winner_hash

if TYPE_CHECKING:
    import pandas as pd


def match_trials(results: Results, experiment: Experiment) -> pd.DataFrame:
    """Give the records the labels that the experiment has now.

    A record belongs to a cell when its configuration, seed and fold are the cell's; what its levels were
    called when it ran, or where its files lay, does not matter, and the data set need not be at hand. Where
    several do (the data have changed between them), one is taken: that of `index.csv`, else the one that
    finished last.

    For a search there are no cells: every proposal is a row, in the order of its number, then every replicate
    of one. In a tuned design the replicates of each cell's winner are the cell's trials. A tuning trial,
    which never saw the test images, belongs to no cell.

    Args:
        results: What `read_results` gave.
        experiment: The design.

    Returns:
        The columns of `results.trials` with the present labels in the `axis:` columns, `cell` before them,
        and `note` (text, empty where there is nothing to say); ordered by cell, then seed, then fold. A
        record whose configuration two cells share has a row for each.
    """
    match experiment.kind:
        case Search():
            return _proposals(results.trials)
        case Tune():
            return _tuned(results, experiment)
        case Design():
            return _designed(results, experiment)


def _designed(results: Results, experiment: Experiment) -> pd.DataFrame:
    import pandas as pd

    found = _candidates(_tested(results.trials), experiment)
    found["_is_indexed"] = found["trial"].isin(_indexed(experiment))
    key = ["_order", "seed", "fold"]
    found = found.sort_values(
        [*key, "_is_indexed", "finished", "trial"],
        ascending=[True, True, True, False, False, True],
        kind="stable",
    )
    num_rivals = found.groupby(key)["trial"].transform("size") - 1
    chosen = found[~found.duplicated(key)]
    notes = [_note(n, row) for n, row in zip(num_rivals[chosen.index], chosen["_is_indexed"], strict=True)]
    chosen = chosen.drop(columns=["_order", "_is_indexed"]).reset_index(drop=True)
    return chosen.assign(note=pd.Series(notes, dtype="str"))


def unmatched_trials(results: Results, experiment: Experiment) -> pd.DataFrame:
    """Return the records that `match_trials` takes for no cell: `folder`, `reason`.

    They stay on disk and are no part of a report.
    """
    import pandas as pd

    taken, of_design = set(match_trials(results, experiment)["trial"]), set()
    match experiment.kind:
        case Tune():
            tunings = recorded_tunings(results, experiment)
            taken |= {trial.hash for tuning in tunings for trial in tuning.trials.values()}
        case Design():
            of_design = set(_candidates(_tested(results.trials), experiment)["trial"])
    left = results.trials[~results.trials["trial"].isin(list(taken))]
    reasons = [
        "another record of the same cell, seed and fold is used"
        if hash in of_design
        else "no longer in the design"
        for hash in left["trial"]
    ]
    return pd.DataFrame(
        {"folder": left["folder"].reset_index(drop=True), "reason": pd.Series(reasons, dtype="str")}
    )


def recorded_tunings(results: Results, experiment: Experiment) -> tuple[CellTuning, ...]:
    """Return how far the tuning of each cell is, as far as records tell.

    Where `index.csv` lists tuning trials these alone count: others are of other data or code.
    """
    found = [
        TuningTrial(
            hash=str(row["trial"]),
            seed=int(row["seed"]),
            data_fingerprint=str(row["data_fingerprint"]),
            state=State(str(row["state"])),
            objective=None if row["objective"] != row["objective"] else float(row["objective"]),
            search=results.searches[str(row["trial"])],
        )
        for row in results.trials.to_dict("records")
        if row["trial"] in results.searches
    ]
    indexed = set(_indexed(experiment))
    tuning = [trial for trial in found if trial.search.role is Role.TUNING]
    if any(trial.hash in indexed for trial in tuning):
        tuning = [trial for trial in tuning if trial.hash in indexed]
    return read_tunings(experiment, tuning)


def _tuned(results: Results, experiment: Experiment) -> pd.DataFrame:
    """Return the replicates of each cell's winner, on the data that it was tuned on."""
    import pandas as pd

    places = {cell.config_hash: number for number, cell in enumerate(experiment.cells)}
    axes = [axis_column(axis.name) for axis in experiment.axes]
    rows = []
    for tuning in recorded_tunings(results, experiment):
        for seed in tuning.seeds:
            trial = winner_hash(experiment, tuning, seed)
            if trial is not None:
                labels = {axis_column(axis): label for axis, label in tuning.cell.levels.items()}
                order = places[tuning.cell.config_hash]
                rows.append({"_order": order, "cell": tuning.cell.label, **labels, "trial": trial})
    wanted = pd.DataFrame(rows, columns=["_order", "cell", *axes, "trial"])
    wanted = wanted.astype({"_order": "int64", **dict.fromkeys(["cell", *axes, "trial"], "str")})
    tested = _tested(results.trials)
    facts = tested[[name for name in tested if not str(name).startswith(AXIS_SPACE)]]
    found = wanted.merge(facts, on="trial", how="inner").sort_values(
        ["_order", "seed", "fold"], kind="stable"
    )
    found = found.drop(columns="_order").reset_index(drop=True)
    return found.assign(note=pd.Series([""] * len(found), dtype="str"))


def _tested(trials: pd.DataFrame) -> pd.DataFrame:
    """Leave out tuning trials, which never saw the test images and so stand for no trial of a design."""
    if "search_role" not in trials:
        return trials
    means = [name for name in trials if str(name).startswith("test_")]
    is_untested = trials[means].isna().all(axis=1) if means else True
    return trials[~((trials["search_role"] == Role.TUNING.value) & is_untested)]


def _candidates(trials: pd.DataFrame, experiment: Experiment) -> pd.DataFrame:
    """Return a row for each record and cell of one configuration, with the cell's place in the design."""
    import pandas as pd

    cells = [
        {"cell": cell.label, **{axis_column(axis): label for axis, label in cell.levels.items()}}
        for cell in experiment.cells
    ]
    names = ["cell", *(axis_column(axis.name) for axis in experiment.axes)]
    wanted = pd.DataFrame(
        {name: pd.Series([cell.get(name, "") for cell in cells], dtype="str") for name in names}
    )
    wanted["config_hash"] = pd.Series([cell.config_hash for cell in experiment.cells], dtype="str")
    wanted["_order"] = range(len(cells))
    facts = trials[[name for name in trials if not str(name).startswith(AXIS_SPACE)]]
    in_design = facts["seed"].isin(experiment.seeds) & (facts["fold"] < experiment.num_folds)
    facts = facts[in_design]
    exact = wanted.merge(facts, on="config_hash", how="inner")
    rest = facts[~facts["trial"].isin(exact["trial"].tolist())]
    others = rest.to_dict("records")
    moved = [
        {**dict(zip(wanted, row, strict=True)), **fact}
        for row, cell in zip(wanted.itertuples(index=False), experiment.cells, strict=True)
        for fact in others
        if _is_same_trial(fact, cell)
    ]
    if not moved:
        return exact
    return pd.concat([exact, pd.DataFrame(moved)[exact.columns].astype(exact.dtypes)], ignore_index=True)


def _is_same_trial(fact: Mapping[Hashable, Any], cell: Cell) -> bool:
    """Whether a record of another configuration is the cell's trial all the same: its files have moved."""
    found = identity(
        cell.config,
        seed=int(fact["seed"]),
        fold=int(fact["fold"]),
        data_fingerprint=str(fact["data_fingerprint"]),
    )
    return found[:HASH_DIGITS] == str(fact["trial"])


def _proposals(trials: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd

    if "search_number" not in trials:
        return trials.head(0).assign(cell=pd.Series(dtype="str"), note=pd.Series(dtype="str"))
    if "search_role" in trials:
        trials = trials[trials["search_role"].isna()]  # a tuned design of this name stood here
    found = trials[trials["search_number"].notna()].sort_values("search_number").reset_index(drop=True)
    found.insert(0, "cell", [f"proposal {int(n)}" for n in found["search_number"]])
    if "search_replicate_of" in trials:
        cells = found.set_index("trial")["cell"]
        replicates = trials[trials["search_replicate_of"].isin(found["trial"])].sort_values(["seed", "fold"])
        names = replicates["search_replicate_of"].map(cells)
        found = pd.concat([found, replicates.assign(cell=names)], ignore_index=True)
    return found.assign(note=pd.Series([""] * len(found), dtype="str"))


def _indexed(experiment: Experiment) -> list[str]:
    folder = ResultsFolder(experiment.project.results).experiment(experiment.name)
    try:
        return [row.hash for row in read_index(folder)]
    except ResultsError:
        return []  # it is regenerated from the records, which decide alone then


def _note(num_rivals: int, is_indexed: bool) -> str:
    if num_rivals == 0:
        return ""
    others = "another record" if num_rivals == 1 else f"{num_rivals} other records"
    why = "the one in index.csv is used" if is_indexed else "none is in index.csv, so the newest is used"
    return f"{others} of this cell, seed and fold with other data or code: {why}"
