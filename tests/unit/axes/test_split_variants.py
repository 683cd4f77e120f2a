from __future__ import annotations

import pytest
from messages import said

from segbench import registry
from segbench.errors import DataError, ExperimentError
from segbench.samples import Sample

IMAGES = [Sample(f"image_{n}") for n in range(100)]


def test_course_takes_the_data_sets_own_split():
    own = {"train": range(0, 80), "val": range(80, 90), "test": range(90, 100)}
    (split,) = registry.build("split", "course", IMAGES, own)
    assert split == {part: tuple(numbers) for part, numbers in own.items()}


def test_course_without_one_names_the_remedy():
    with pytest.raises(DataError) as caught:
        registry.build("split", "course", IMAGES, None)
    assert said(caught.value) == (
        "split: the data set has no split of its own, got 'course'. "
        "For example `split: {fraction: {val: 0.1, test: 0.2, seed: 0}}`."
    )


def test_fraction_has_the_sizes_asked_for():
    (split,) = registry.build("split", "fraction", IMAGES, None, val=0.15, test=0.25)
    assert {part: len(numbers) for part, numbers in split.items()} == {"train": 60, "val": 15, "test": 25}
    (other,) = registry.build("split", "fraction", IMAGES, None, val=0.15, test=0.25, seed=1)
    assert other != split


def test_a_new_image_moves_few_others():
    (before,) = registry.build("split", "fraction", IMAGES, None)
    (after,) = registry.build("split", "fraction", [*IMAGES, Sample("new")], None)
    assert len(set(before["test"]) - set(after["test"])) <= 1


def test_fraction_keeps_groups_of_many_sizes_whole():
    samples = [Sample(f"{p}_{n}", group=str(p)) for p in range(12) for n in range(1 + p)]
    (split,) = registry.build("split", "fraction", samples, None, val=0.2, test=0.2)
    homes = {}
    for part, numbers in split.items():
        for number in numbers:
            assert homes.setdefault(samples[number].group, part) == part
    assert 12 <= len(split["test"]) <= 20
    assert 12 <= len(split["val"]) <= 20
    assert sum(map(len, split.values())) == len(samples) == 78


def test_a_few_large_groups_leave_no_part_empty():
    samples = [Sample(f"{p}_{n}", group=str(p)) for p in range(5) for n in range(4)]
    (split,) = registry.build("split", "fraction", samples, None, val=0.1, test=0.2)
    assert {part: len(numbers) for part, numbers in split.items()} == {"train": 12, "val": 4, "test": 4}


def test_fractions_must_leave_something():
    with pytest.raises(
        ExperimentError, match=r"val and test leave nothing to train on: they sum to, got 1\.1"
    ):
        registry.build("split", "fraction", IMAGES, None, val=0.5, test=0.6)


def test_folds_test_every_image_once():
    folds = registry.build("split", "folds", IMAGES, None, folds=7, val=0.2)
    assert sorted(n for fold in folds for n in fold["test"]) == list(range(100))
    assert {len(fold["test"]) for fold in folds} == {14, 15}
    assert all(len(fold["val"]) == round(0.2 * (100 - len(fold["test"]))) for fold in folds)


def test_folds_keep_groups_whole_and_even():
    samples = [Sample(f"{p}_{n}", group=str(p)) for p in range(10) for n in range(1 + p)]
    folds = registry.build("split", "folds", samples, None, folds=5)
    assert all(10 <= len(fold["test"]) <= 12 for fold in folds)
    for fold in folds:
        for one, other in (("train", "val"), ("train", "test"), ("val", "test")):
            assert not {samples[n].group for n in fold[one]} & {samples[n].group for n in fold[other]}


def test_more_folds_than_groups_are_refused():
    samples = [Sample(str(n), group=str(n % 3)) for n in range(30)]
    with pytest.raises(
        DataError, match=r"split\.folds\.folds: there are 3 groups or single images to divide, got 5\."
    ):
        registry.build("split", "folds", samples, None)


PETS = [
    Sample(f"image_{n}", attributes={"species": "cat" if n % 3 == 0 else "dog", "breed": str(n % 7)})
    for n in range(210)
]


def share_of_cats(numbers):
    return sum(PETS[n].attributes["species"] == "cat" for n in numbers) / len(numbers)


@pytest.mark.parametrize("seed", range(5))
def test_stratified_parts_hold_equal_shares(seed):
    (split,) = registry.build(
        "split", "fraction", PETS, None, val=0.1, test=0.2, seed=seed, stratify="species"
    )
    assert {part: len(numbers) for part, numbers in split.items()} == {"train": 147, "val": 21, "test": 42}
    for numbers in split.values():
        assert share_of_cats(numbers) == pytest.approx(1 / 3, abs=1e-9)
    folds = registry.build("split", "folds", PETS, None, folds=5, seed=seed, stratify="species")
    for fold in folds:
        assert share_of_cats(fold["test"]) == pytest.approx(1 / 3, abs=1e-9)
        assert share_of_cats(fold["val"]) == pytest.approx(1 / 3, abs=0.03)
    assert sorted(n for fold in folds for n in fold["test"]) == list(range(210))


def test_strata_smaller_than_a_share_leave_the_sizes_right():
    (split,) = registry.build("split", "fraction", PETS[:20], None, val=0.1, test=0.1, stratify="breed")
    assert {part: len(numbers) for part, numbers in split.items()} == {"train": 16, "val": 2, "test": 2}


def test_stratified_groups_stay_whole():
    grouped = [Sample(s.name, group=f"owner_{n // 5}", attributes=s.attributes) for n, s in enumerate(PETS)]
    (split,) = registry.build("split", "fraction", grouped, None, stratify="species")
    homes = [{grouped[n].group for n in numbers} for numbers in split.values()]
    assert not any(a & b for i, a in enumerate(homes) for b in homes[i + 1 :])


def test_an_attribute_that_images_lack():
    with pytest.raises(ExperimentError) as caught:
        registry.build("split", "fraction", PETS, None, stratify="specie")
    assert said(caught.value) == (
        "split.fraction.stratify: 210 of 210 images have no attribute of this name, got 'specie'. "
        "Did you mean 'species'?"
    )


def test_a_value_rarer_than_the_folds_is_refused():
    rare = [Sample(f"image_{n}", attributes={"breed": "manx" if n < 3 else "birman"}) for n in range(40)]
    with pytest.raises(DataError) as caught:
        registry.build("split", "folds", rare, None, folds=5, stratify="breed")
    assert said(caught.value) == (
        "split.folds.folds: breed manx has 3 groups or single images to divide, got 5. Take fewer folds, or "
        "stratify by something other than breed."
    )
    folds = registry.build("split", "folds", rare, None, folds=3, stratify="breed")
    assert all(sum(n < 3 for n in fold["test"]) == 1 for fold in folds)


def test_one_group_leaves_parts_empty():
    one = [Sample(f"image_{n}", group="only") for n in range(6)]
    (split,) = registry.build("split", "fraction", one, None)
    assert {part: len(numbers) for part, numbers in split.items()} == {"train": 0, "val": 0, "test": 6}


def test_without_stratification_the_parts_are_what_they_were():
    (split,) = registry.build("split", "fraction", IMAGES[:20], None, seed=3)
    folds = registry.build("split", "folds", IMAGES[:12], None, folds=3, val=0.2, seed=3)
    assert (split["val"], split["test"]) == ((13, 16), (3, 7, 10, 17))
    assert [(fold["val"], fold["test"]) for fold in folds] == [
        ((3, 10), (0, 5, 7, 8)),
        ((3, 7), (1, 4, 10, 11)),
        ((7, 10), (2, 3, 6, 9)),
    ]
