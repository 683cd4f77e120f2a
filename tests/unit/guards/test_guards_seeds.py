"""Whether the seeds can tell differences of the margin."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from segbench.guards.design import check_plan, seeds_resolve_the_margin, seeds_suffice_for_some_spread
from segbench.plan.plan import Plan, plan_trials
from segbench.records import State, TrialRecord
from segbench.stats.power import seeds_needed_range, smallest_difference
from segbench.store.layout import ResultsFolder
from segbench.store.trials import write_trial

MakePlan = Callable[..., Plan]
AXES = "axes: {norm: [batch, none]}\n"
MARGIN = AXES + "margin: 0.01\n"


def leave(plan: Plan, differences: Sequence[float], *, under: str = "exp") -> Plan:
    """Leave records whose `none` differs from `batch` by these, seed by seed; return the plan of then."""
    folder = ResultsFolder(plan.experiment.project.results).experiment(under)
    for entry in plan.entries:
        trial = entry.trial
        if trial.seed >= len(differences):
            continue
        is_none = trial.cell.levels["norm"] == "none"
        record = TrialRecord(
            hash=trial.hash,
            identity=trial.identity,
            experiment=under,
            levels=dict(trial.cell.levels),
            config=trial.cell.config.to_json(),
            config_hash=trial.cell.config_hash,
            seed=trial.seed,
            fold=trial.fold,
            data_fingerprint=trial.data_fingerprint,
            state=State.COMPLETE,
            test={"dice": 0.8 + differences[trial.seed] * is_none},
        )
        write_trial(folder.trial(trial.hash), record)
    return plan_trials(plan.experiment)


def test_one_seed_is_warned_about_with_and_without_a_margin(make_plan: MakePlan) -> None:
    for more in (AXES, MARGIN):
        (found,) = seeds_resolve_the_margin(make_plan(more, seeds="1"))
        assert found.text == (
            "exp: seeds: one seed gives no interval and no verdict on 1 comparison, got 1. Take `seeds: 3` "
            "or more."
        )


def test_records_say_how_many_seeds_are_needed(make_plan: MakePlan) -> None:
    differences = [0.00, 0.02, 0.04]
    plan = leave(make_plan(MARGIN), differences)
    low, high = seeds_needed_range(0.02, 3, 0.01)
    assert np.std(differences, ddof=1) == pytest.approx(0.02)
    (found,) = seeds_resolve_the_margin(plan)
    assert found.text == (
        f"exp: seeds: 1 comparison at a margin of 0.01 needs {low:.0f} to {high:.0f} seeds: per-seed "
        "differences in test_dice have an sd of 0.02 over 3 seeds of this experiment, got 3. Take more "
        "seeds, fewer claims or a wider margin, or expect `unresolved`."
    )
    assert seeds_suffice_for_some_spread(plan) == []


def test_seeds_that_differ_little_are_enough(make_plan: MakePlan) -> None:
    plan = leave(make_plan(MARGIN), [0.020, 0.021, 0.022])
    assert seeds_resolve_the_margin(plan) == []
    assert seeds_suffice_for_some_spread(plan) == []


def test_a_scale_speaks_for_an_experiment_without_records(make_plan: MakePlan) -> None:
    leave(make_plan(MARGIN), [0.00, 0.02, 0.04], under="exp_small")
    (found,) = seeds_resolve_the_margin(make_plan(MARGIN))
    assert "over 3 seeds of exp_small" in found.text


def test_a_smoke_run_and_other_experiments_do_not_speak(make_plan: MakePlan) -> None:
    for under in ("exp_smoke", "other"):
        leave(make_plan(MARGIN), [0.00, 0.02, 0.04], under=under)
    assert seeds_resolve_the_margin(make_plan(MARGIN)) == []


def test_before_any_record_the_spread_that_would_do_is_noted(make_plan: MakePlan) -> None:
    enough = 0.01 / smallest_difference(1.0, 3)
    (found,) = seeds_suffice_for_some_spread(make_plan(MARGIN))
    assert found.text == (
        "exp: seeds: with 3 seeds a difference as large as the margin (0.01) is found with 80 % power "
        f"where the sd of per-seed differences is {enough:.2g} or less; an sd as large as the margin takes "
        "10 seeds. The sd is known after a first sweep, also of a smaller scale."
    )


def test_more_claims_need_more_seeds(make_plan: MakePlan) -> None:
    axes = "axes: {norm: [batch, none, group]}\nmargin: 0.01\nclaims:\n  - {norm: batch > none}\n"
    wide = {"model": "{unet: {width: 8, depth: 2}}"}
    (one,) = seeds_suffice_for_some_spread(make_plan(axes, **wide))
    (two,) = seeds_suffice_for_some_spread(make_plan(axes + "  - {norm: group > none}\n", **wide))
    enough = [0.01 / smallest_difference(1.0, 3, alpha=0.05 / m) for m in (1, 2)]
    assert f"differences is {enough[0]:.2g} or less" in one.text
    assert f"differences is {enough[1]:.2g} or less" in two.text
    assert enough[0] > enough[1]


def test_nothing_is_asked_of_seeds_without_margin_or_arms(make_plan: MakePlan) -> None:
    for plan in (make_plan(AXES), make_plan("margin: 0.01\n", seeds="1")):
        assert seeds_resolve_the_margin(plan) == seeds_suffice_for_some_spread(plan) == []


def test_new_records_are_looked_at(make_plan: MakePlan) -> None:
    plan = make_plan(MARGIN)
    assert "SB116" in {f.code for f in check_plan(plan)}
    assert "over 3 seeds" in check_plan(leave(plan, [0.00, 0.02, 0.04]))[0].text
