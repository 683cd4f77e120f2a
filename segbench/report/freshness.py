"""What a report was made from, as digests: one that is older than its results is found without drawing."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from importlib import resources
from pathlib import Path
from typing import Any, Final

from segbench.config.experiment import Experiment
from segbench.config.trial import canonical_json
from segbench.report.style import Style
from segbench.store.layout import ExperimentFolder, ResultsFolder
from segbench.store.scan import scan
from segbench.store.untuned import find_untuned

NUMBERS_FILE: Final = "numbers.json"
_DIGITS: Final = 16
_CODE: Final = ("segbench.report", "segbench.stats")
_MOST_NAMED: Final = 3


def recorded(experiment: Experiment) -> dict[str, Any]:
    """Digest what was recorded: `results` (index, history, samples), and `trials`: hash -> digest.

    Of a tuned design also `untuned`: the records, of other experiments too, that it is set against.
    Take it before the results are read: what changes in between then counts as newer.
    """
    folder = ResultsFolder(experiment.project.results).experiment(experiment.name)
    found: dict[str, Any] = {
        "results": _digest([_content(file) for file in (folder.index, folder.history, folder.samples)]),
        "trials": _trials(folder),
    }
    if experiment.tune is not None:
        found["untuned"] = _digest([_content(file) for file in _untuned(experiment, folder)])
    return found


def described(experiment: Experiment, style: Style) -> dict[str, str]:
    """Digest the experiment as it is asked, the style, and the code that makes reports."""
    document = {key: value for key, value in experiment.document.items() if key != "slurm"}
    return {
        "experiment": _digest([canonical_json(document).encode()]),
        "style": _digest([canonical_json(asdict(style)).encode()]),
        "code": _code_digest(),
    }


def differences(folder: Path, experiment: Experiment, style: Style) -> list[str]:
    """Return what a report is older than, a sentence part each; nothing: it is up to date.

    Args:
        folder: The report's.
        experiment: As it is asked now.
        style: As it is now.
    """
    made_from = _made_from(folder / NUMBERS_FILE)
    if made_from is None:
        return ["there is no report that says what it was made from"]
    now = recorded(experiment)
    found = _changed_trials(made_from.get("trials"), now["trials"])
    if made_from.get("results") != now["results"]:
        found.append("index.csv, history.csv or samples.csv changed")
    if made_from.get("untuned") != now.get("untuned"):
        found.append("records of the cells without tuning changed")
    words = {
        "experiment": "the experiment changed",
        "style": "style.yaml changed",
        "code": "segbench's code for reports changed",
    }
    later = described(experiment, style)
    return found + [text for name, text in words.items() if made_from.get(name) != later[name]]


def _made_from(path: Path) -> Mapping[str, Any] | None:
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    made_from = read.get("made_from") if isinstance(read, dict) else None
    return made_from if isinstance(made_from, dict) and made_from else None


def _changed_trials(before: Any, now: Mapping[str, str]) -> list[str]:
    before = before if isinstance(before, dict) else {}
    groups = {
        "new": [trial for trial in now if trial not in before],
        "gone": [trial for trial in before if trial not in now],
        "changed": [trial for trial in now if trial in before and before[trial] != now[trial]],
    }
    return [_named(trials, word) for word, trials in groups.items() if trials]


def _named(trials: list[str], word: str) -> str:
    shown = ", ".join(trials[:_MOST_NAMED])
    if len(trials) > _MOST_NAMED:
        shown += f" and {len(trials) - _MOST_NAMED} more"
    is_one = len(trials) == 1
    return f"{len(trials):,} trial{'' if is_one else 's'} {'is' if is_one else 'are'} {word} ({shown})"


def _trials(folder: ExperimentFolder) -> dict[str, str]:
    return {
        trial.hash: _digest([_content(file) for file in (trial.record, trial.epochs, trial.images)])[:8]
        for trial in folder.trial_folders()
    }


def _untuned(experiment: Experiment, folder: ExperimentFolder) -> list[Path]:
    """Return other experiments' records that a tuned design is set against."""
    if experiment.tune is None:
        return []
    fingerprints = {record.data_fingerprint for record in scan(folder).records.values()}
    return [trial.folder.record for trial in find_untuned(experiment, fingerprints)]


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _digest(parts: list[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.hexdigest()[:_DIGITS]


def _code_digest() -> str:
    """Digest the sources of `report` and `stats`, style sheets and scripts of the page included."""
    parts: list[bytes] = []
    for package in _CODE:
        root = Path(str(resources.files(package)))
        files = (f for f in root.rglob("*") if f.suffix in (".py", ".css", ".js"))
        for file in sorted(files, key=lambda file: file.relative_to(root).as_posix()):
            parts += [file.relative_to(root).as_posix().encode(), _content(file)]
    return _digest(parts)
