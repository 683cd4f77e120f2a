"""What names a trial."""

from __future__ import annotations

import pytest

from segbench.errors import ResultsError
from segbench.inference.predictor import find_trial
from segbench.store.layout import ResultsFolder


@pytest.fixture
def results(tmp_path) -> ResultsFolder:
    found = ResultsFolder(tmp_path / "results")
    for experiment, hash in (("norms", "abc123def456"), ("norms", "abd000000000"), ("flips", "abc123def456")):
        folder = found.experiment(experiment).trial(hash)
        folder.path.mkdir(parents=True)
        folder.record.write_text("{}")
    found.experiment("flips").trial("abc123def456").best.write_bytes(b"weights")
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("norms/abc", "norms/trials/abc123def456"),
        ("abd", "norms/trials/abd000000000"),
        ("ABC1", "flips/trials/abc123def456"),  # one trial, two copies: the one with weights
    ],
)
def test_found(results, text, expected) -> None:
    assert find_trial(text, results).path == results.path / expected


def test_a_folder_is_taken_as_it_is(results) -> None:
    folder = results.path / "norms/trials/abd000000000"
    assert find_trial(f"{folder}/", results).path == folder


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        (
            "ab",
            "2 trials start so: |flips/abc123def456, norms/abc123def456, norms/abd000000000|Give more digits",
        ),
        ("abd1", "no trial's hash starts so, got 'abd1'|`segbench status EXPERIMENT` lists"),
        ("nroms/abc", "no experiment of this name, got 'nroms/abc'|Known: flips, norms"),
        ("", "no trial's hash starts so"),
    ],
)
def test_refused(results, text, rule) -> None:
    with pytest.raises(ResultsError) as caught:
        find_trial(text, results)
    if text == "ab":
        rule = rule.replace("2 trials", "3 trials")
    for part in rule.split("|"):
        assert part in str(caught.value)
