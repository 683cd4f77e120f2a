from __future__ import annotations

import pytest

from segbench.errors import ResultsError
from segbench.records import State
from segbench.store.index import IndexRow, read_index, write_index
from segbench.store.layout import ExperimentFolder

ROWS = [
    IndexRow(hash="a" * 12, levels={"norm": 'a, "b"', "lr": "1e-4"}, seed=0, fold=0, state=State.COMPLETE),
    IndexRow(hash="b" * 12, levels={"norm": "größe\n2", "lr": "no"}, seed=1, fold=2, state=State.WAITING),
]


def test_the_index_comes_back_and_quotes_what_it_must(experiment: ExperimentFolder) -> None:
    experiment.root.mkdir(parents=True)
    write_index(experiment, ["norm", "lr"], ROWS)
    lines = experiment.index.read_bytes().decode("utf-8").split("\n")
    assert lines[0] == "hash,norm,lr,seed,fold,state,folder"
    assert lines[1] == 'aaaaaaaaaaaa,"a, ""b""",1e-4,0,0,complete,trials/aaaaaaaaaaaa'
    assert read_index(experiment) == ROWS


def test_an_unchanged_index_is_left_alone(experiment: ExperimentFolder) -> None:
    experiment.root.mkdir(parents=True)
    write_index(experiment, ["norm", "lr"], ROWS)
    before = experiment.index.stat().st_ino
    write_index(experiment, ["norm", "lr"], ROWS)
    assert experiment.index.stat().st_ino == before
    write_index(experiment, ["norm", "lr"], ROWS[:1])
    assert experiment.index.stat().st_ino != before


def test_no_index_is_an_empty_one(experiment: ExperimentFolder) -> None:
    assert read_index(experiment) == []


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("a,b\n", "the first line must name the columns, got 'a,b'"),
        ("", "the first line must name the columns, got ''"),
        ("hash,norm,seed,fold,state,folder\nx,y,0,0\n", "a line of the index is damaged"),
        ("hash,norm,seed,fold,state,folder\nx,y,0,0,done,f\n", "'done' is not a valid State"),
    ],
)
def test_a_damaged_index_says_what_is_wrong(experiment: ExperimentFolder, content: str, text: str) -> None:
    experiment.root.mkdir(parents=True)
    experiment.index.write_text(content)
    with pytest.raises(ResultsError, match=text):
        read_index(experiment)
