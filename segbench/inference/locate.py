"""From what a user types to a trial's folder."""

from __future__ import annotations

from pathlib import Path

from segbench.errors import ResultsError, message
from segbench.store.layout import ResultsFolder, TrialFolder

_SEE = "`segbench status EXPERIMENT` lists the trials of an experiment"


def find_trial(text: str, results: ResultsFolder) -> TrialFolder:
    """Find a saved trial by its folder, by `EXPERIMENT/HASH`, or by the first digits of its hash.

    A trial that several experiments share has one hash; the copy with weights is taken.

    Args:
        text: What was typed. A hash may be shortened as long as one trial alone starts so.
        results: Where trials are looked for by name.

    Raises:
        ResultsError: None is found, or several.
    """
    path = Path(text)
    if (path / "trial.json").is_file():
        return TrialFolder(path.resolve())
    experiment, _, prefix = text.strip("/").rpartition("/")
    prefix = prefix.lower()
    known = {e.name: e for e in results.experiments()}
    if experiment and experiment not in known:
        rule = "there is no trial folder of this path and no experiment of this name"
        raise ResultsError(message(str(results.path), rule, got=text, known=known, see=_SEE))
    searched = [known[experiment]] if experiment else list(known.values())
    found = [t for e in searched for t in e.trial_folders() if prefix and t.hash.startswith(prefix)]
    if not found:
        hashes = [t.hash for e in searched for t in e.trial_folders()]
        raise ResultsError(
            message(str(results.path), "no trial's hash starts so", got=text, known=hashes, see=_SEE)
        )
    if len({t.hash for t in found}) > 1:
        names = [f"{t.experiment.name}/{t.hash}" for t in found]
        rule = f"{len(names)} trials start so: {', '.join(names[:10])}{', ...' if len(names) > 10 else ''}"
        raise ResultsError(message(str(results.path), rule, got=text, see="Give more digits"))
    return next((t for t in found if t.best.exists()), found[0])
