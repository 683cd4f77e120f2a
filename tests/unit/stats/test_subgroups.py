"""Which image belongs to which sub-group, and what a table restricted to some images holds."""

from __future__ import annotations

import numpy as np
import pandas as pd

from segbench.stats.subgroups import Subgroups, restrict

SAMPLES = pd.DataFrame(
    {
        "image": list("abcdefg"),
        "species": ["cat", "dog", "cat", "dog", "cat", "", "dog"],
        "irregularity": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, np.nan],
    }
)


def test_thirds_of_a_fact_and_values_of_an_attribute() -> None:
    found = Subgroups.of(SAMPLES, ["species", "irregularity", "breed"])
    assert found.values("species") == ["cat", "dog"]
    assert found.values("irregularity") == ["low", "middle", "high"]
    assert found.values("breed") == []
    assert found.images([("irregularity", "low")]) == {"a", "b"}
    assert found.images([("irregularity", "middle")]) == {"c", "d"}
    assert found.images([("irregularity", "high")]) == {"e", "f"}
    assert found.images([("species", "cat"), ("irregularity", "low")]) == {"a"}
    assert found.images([("species", "bird")]) == frozenset()
    assert found.images([("breed", "pug")]) == frozenset()
    low, high = found.bounds["irregularity"]
    assert (round(low, 6), round(high, 6)) == (0.266667, 0.433333)


def test_a_constant_fact_has_one_third() -> None:
    found = Subgroups.of(SAMPLES.assign(irregularity=0.5), ["irregularity"])
    assert found.values("irregularity") == ["low"]


def test_nothing_known() -> None:
    assert Subgroups.of(None, ["species"]).values("species") == []


def test_a_table_of_some_images_holds_their_means() -> None:
    table = pd.DataFrame({"trial": ["t1", "t2", "t3"], "test_dice": [0.5, 0.6, np.nan], "seed": [0, 1, 2]})
    rows = [("t1", "a", 0.2), ("t1", "b", 0.4), ("t1", "c", 0.9), ("t2", "a", 0.5), ("t2", "c", 0.7)]
    images = pd.DataFrame(rows, columns=["trial", "image", "value"]).assign(split="test", metric="dice")
    other = images.assign(metric="iou", value=0.0)
    restricted, kept = restrict(
        table,
        pd.concat([images, other], ignore_index=True),
        frozenset("ab"),
        metric="test_dice",
        image_metric="dice",
    )
    np.testing.assert_allclose(restricted["test_dice"], [0.3, 0.5, np.nan])
    assert list(restricted["seed"]) == [0, 1, 2]
    assert list(kept["image"]) == ["a", "b", "a"]
