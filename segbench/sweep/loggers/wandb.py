"""wandb: one run per trial, written when it has ended; offline unless WANDB_MODE says otherwise."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from segbench.sweep.loggers.trial import LoggedTrial


class Wandb:
    """Runs in `wandb/`, one a trial that has ended: `wandb sync` uploads them.

    Args:
        folder: Where runs lie.
        project: Their project: the experiment's name.
    """

    def __init__(self, folder: Path, project: str) -> None:
        self._folder, self._project = folder, project

    def write(self, trial: LoggedTrial) -> bool:
        if not trial.has_ended:
            return False
        mark = self._folder / "segbench" / trial.record.hash
        if mark.is_file() and mark.read_text() == trial.digest:
            return False
        for earlier in (self._folder / "wandb").glob(f"offline-run-*-{trial.record.hash}"):
            shutil.rmtree(earlier)
        self._folder.mkdir(parents=True, exist_ok=True)
        self._write(trial)
        mark.parent.mkdir(exist_ok=True)
        mark.write_text(trial.digest)
        return True

    def close(self) -> None:
        """Nothing stays open between trials."""

    def _write(self, trial: LoggedTrial) -> None:
        import wandb

        record = trial.record
        run = wandb.init(
            project=self._project,
            id=record.hash,
            name=trial.label,
            group=", ".join(record.levels.values()) or "baseline",
            config=trial.settings,
            dir=str(self._folder),
            mode=os.environ.get("WANDB_MODE", "offline"),
            settings=wandb.Settings(silent=True, console="off", disable_git=True, save_code=False),
        )
        for row in trial.epochs:
            run.log({name: value for name, value in row.items() if name != "epoch"}, step=int(row["epoch"]))
        if trial.picture is not None:
            with tempfile.NamedTemporaryFile(suffix=".png") as file:
                file.write(trial.picture)
                file.flush()
                run.log({"test_images": wandb.Image(file.name)}, step=len(trial.epochs) + 1)
        run.summary.update({**trial.results, "state": str(record.state)})
        run.finish()
