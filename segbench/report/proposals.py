"""The proposals of a search as a frame."""

from __future__ import annotations

import pandas as pd

from segbench.config.experiment import Experiment


def proposals_frame(experiment: Experiment, table: pd.DataFrame) -> pd.DataFrame:
    """Return `Analysis.search`: a row a trial, ordered by proposal and seed.

    Args:
        experiment: A search.
        table: The measured table, with `search_number` and a column `search:<parameter>` a parameter.

    Returns:
        `trial`, `number`, `seed`, a column a parameter, `state`, `value` (objective; NaN unless complete);
        replicates of one configuration share its number.
    """
    assert experiment.search is not None
    names = [parameter.name for parameter in experiment.search.parameters]
    columns = {"search_number": "number", **{f"search:{n}": n for n in names}, "objective": "value"}
    known = table.assign(**{c: float("nan") for c in columns if c not in table})
    clashing = [n for n in columns.values() if n in known]
    frame = known.drop(columns=clashing).rename(columns=columns)
    frame = frame.loc[frame["number"].notna(), ["trial", "number", "seed", *names, "state", "value"]]
    return frame.astype({"number": int}).sort_values(["number", "seed"], kind="stable").reset_index(drop=True)
