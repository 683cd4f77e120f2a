"""Notes as optuna-dashboard keeps them: system attributes of the study.

`optuna_dashboard.save_note` reads the notes of all trials to write one, which grows with the study; the
attributes are written here without reading, and tests read them back by `optuna_dashboard.get_note`.
"""

from __future__ import annotations

from typing import Any, Final

CHUNK: Final = 2045
"""Characters of one attribute; optuna-dashboard cuts notes like this."""

_NUM_STUDY_CHUNKS: Final = 3
_CUT: Final = "\n..."


def trial_note(trial_id: int, body: str, *, version: int) -> dict[str, Any]:
    """Return the attributes of a note on a trial; one longer than a chunk is cut.

    Args:
        trial_id: Of the storage.
        body: Markdown.
        version: Counts from 1; the dashboard refuses an edit that was begun at an older one.
    """
    return {f"dashboard:{trial_id}:note_str:0": _cut(body, CHUNK), f"dashboard:{trial_id}:note_ver": version}


def study_note(body: str, *, version: int = 1) -> dict[str, Any]:
    """Return the attributes of a note on the study: always as many, so that a shorter one leaves no rest."""
    body = _cut(body, CHUNK * _NUM_STUDY_CHUNKS)
    chunks = [body[k * CHUNK : (k + 1) * CHUNK] for k in range(_NUM_STUDY_CHUNKS)]
    return {
        **{f"dashboard:note_str:{k}": chunk for k, chunk in enumerate(chunks)},
        "dashboard:note_ver": version,
    }


def _cut(body: str, most: int) -> str:
    return body if len(body) <= most else body[: most - len(_CUT)] + _CUT
