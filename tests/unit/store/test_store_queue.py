from __future__ import annotations

import json
from pathlib import Path

import pytest

from segbench.errors import ResultsError
from segbench.records import SearchPlace
from segbench.store.queue import Queue, QueuedTrial


def queued(name: str, **changes: object) -> QueuedTrial:
    values: dict[str, object] = {
        "identity": name * 64,
        "config": {"optimizer": {"adam": {"lr": 0.1 + 0.2}}},
        "config_hash": "c" * 64,
        "levels": {"größe": 'a "b"'},
        "seed": 1,
        "fold": 2,
        "data_fingerprint": "d" * 64,
    }
    return QueuedTrial(**{**values, **changes})  # type: ignore[arg-type]


def test_a_queue_comes_back_in_its_order(tmp_path: Path) -> None:
    path = tmp_path / "queue.json"
    queue = Queue(
        experiment="norms",
        trials=(queued("b"), queued("a", search=SearchPlace(number=0, parameters={"lr": 1e-3}))),
        closed=False,
    )
    queue.write(path)
    assert Queue.read(path) == queue
    assert Queue.read(path).trials[0].hash == "b" * 12


def test_keys_of_later_versions_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "queue.json"
    Queue(experiment="norms", trials=(queued("a"),)).write(path)
    content = json.loads(path.read_text())
    content["trials"][0]["priority"] = 3
    path.write_text(json.dumps(content))
    assert Queue.read(path).trials == (queued("a"),)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (None, "no sweep has left a queue here"),
        ("{", "the queue cannot be read"),
        ("[]", "the queue cannot be read"),
        ('{"format": 1, "experiment": "a", "closed": true, "trials": [{}]}', "the queue cannot be read"),
        ('{"format": 9}', r"the queue is of a newer format than this segbench reads \(1\), got 9"),
    ],
)
def test_a_damaged_queue_says_what_is_wrong(tmp_path: Path, content: str | None, text: str) -> None:
    path = tmp_path / "queue.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ResultsError, match=text):
        Queue.read(path)
