"""`queue.json`: the ordered trials that the workers of a sweep take from.

The supervisor writes it, workers read it. A search appends proposals to it while it runs; `closed` says that
nothing more will come. It is no record: it is rebuilt by every sweep.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

from segbench.config.experiment import PlannedTrial
from segbench.errors import ResultsError, message
from segbench.records import RESULTS_FORMAT, SearchPlace
from segbench.store.atomic import write_text


@dataclass(frozen=True, kw_only=True)
class QueuedTrial:
    """One trial to be run: all that a worker needs to know about it."""

    identity: str
    config: Mapping[str, Any]
    """`TrialConfig.to_json()`."""
    config_hash: str
    levels: Mapping[str, str]
    seed: int
    fold: int
    data_fingerprint: str
    search: SearchPlace | None = None
    """Of a trial that a search or a tuning asks for."""
    is_tested: bool = True
    """Whether the test images are evaluated at the end; a tuning trial must not see them."""

    @property
    def hash(self) -> str:
        return self.identity[:12]

    @classmethod
    def of(
        cls, trial: PlannedTrial, search: SearchPlace | None = None, *, is_tested: bool = True
    ) -> QueuedTrial:
        return cls(
            identity=trial.identity,
            config=trial.cell.config.to_json(),
            config_hash=trial.cell.config_hash,
            levels=dict(trial.cell.levels),
            seed=trial.seed,
            fold=trial.fold,
            data_fingerprint=trial.data_fingerprint,
            search=search,
            is_tested=is_tested,
        )

    def to_json(self) -> dict[str, Any]:
        return vars(self) | {"search": None if self.search is None else self.search.to_json()}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> QueuedTrial:
        """Read one; keys that this version does not know are passed over."""
        values = {key: value for key, value in content.items() if key in _KEYS}
        if values.get("search") is not None:
            values["search"] = SearchPlace.from_json(values["search"])
        return cls(**values)


_KEYS: Final = frozenset(f.name for f in fields(QueuedTrial))


@dataclass(frozen=True, kw_only=True)
class Queue:
    """Trials in the order in which they are to be taken."""

    experiment: str
    trials: tuple[QueuedTrial, ...] = ()
    closed: bool = True
    """Nothing will be appended any more."""

    def write(self, path: Path) -> None:
        """Replace the file atomically.

        Raises:
            ResultsError: It could not be written.
        """
        content = {
            "format": RESULTS_FORMAT,
            "experiment": self.experiment,
            "closed": self.closed,
            "trials": [trial.to_json() for trial in self.trials],
        }
        write_text(path, json.dumps(content, ensure_ascii=False, separators=(",", ":")) + "\n")

    @classmethod
    def read(cls, path: Path) -> Queue:
        """Read the file.

        Raises:
            ResultsError: It is missing, damaged, or of a newer format.
        """
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if content["format"] > RESULTS_FORMAT:
                raise ResultsError(
                    message(
                        str(path),
                        f"the queue is of a newer format than this segbench reads ({RESULTS_FORMAT})",
                        got=content["format"],
                        see="Use one version of segbench for the supervisor and all workers",
                    )
                )
            return cls(
                experiment=content["experiment"],
                trials=tuple(map(QueuedTrial.from_json, content["trials"])),
                closed=bool(content["closed"]),
            )
        except FileNotFoundError:
            raise ResultsError(
                message(str(path), "no sweep has left a queue here", see="segbench sweep writes it")
            ) from None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ResultsError(
                message(str(path), f"the queue cannot be read ({error})", see="segbench sweep writes it anew")
            ) from error
