"""Selection and early stopping on written histories."""

from __future__ import annotations

import pytest

from segbench.config.trial import EarlyStopping, Objective
from segbench.engine.selection import check_objective, has_stalled, select
from segbench.errors import ExperimentError
from segbench.records import EpochRecord

DICE = Objective()
LOSS = Objective("val_loss", "minimize")


def history_of(*values: float) -> list[EpochRecord]:
    return [
        EpochRecord(
            epoch=epoch,
            lr=0.1,
            train_loss=1.0,
            train_dice=0.5,
            val={"loss": value, "dice": value},
            epoch_time_s=1.0,
            images_per_s=1.0,
            peak_memory_mib=1.0,
        )
        for epoch, value in enumerate(values, start=1)
    ]


@pytest.mark.parametrize(
    ("values", "objective", "expected"),
    [
        ((0.1, 0.5, 0.5, 0.4), DICE, 2),  # a tie keeps the earlier epoch
        ((0.4, 0.1, 0.1, 0.3), LOSS, 2),
        ((float("nan"), 0.2), DICE, 2),
        ((float("nan"),), DICE, None),
        ((), DICE, None),
    ],
)
def test_select(values, objective, expected) -> None:
    assert select(history_of(*values), objective) == expected


@pytest.mark.parametrize(
    ("values", "objective", "stopping", "expected"),
    [
        ((0.1, 0.2, 0.2, 0.2), DICE, EarlyStopping(2), True),
        ((0.1, 0.2, 0.2), DICE, EarlyStopping(2), False),
        ((0.1, 0.2, 0.1, 0.3), DICE, EarlyStopping(2), False),
        ((0.5, 0.505, 0.509), DICE, EarlyStopping(2, min_delta=0.01), True),
        ((0.5, 0.505, 0.515), DICE, EarlyStopping(2, min_delta=0.01), False),  # small gains add up
        ((0.5, 0.6, 0.7), LOSS, EarlyStopping(2), True),
        ((0.5, 0.5, 0.5), DICE, None, False),
    ],
)
def test_has_stalled(values, objective, stopping, expected) -> None:
    assert has_stalled(history_of(*values), objective, stopping) is expected


def test_an_unknown_objective_is_refused_with_the_nearest_column() -> None:
    with pytest.raises(ExperimentError) as caught:
        check_objective(Objective("val_dise"))
    assert str(caught.value).startswith(
        "objective.metric: no epoch has this column, got 'val_dise'. Did you mean 'val_dice'?"
    )
