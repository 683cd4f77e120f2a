"""What a finished trial says about the test images: means, values per image, masks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from segbench.store.trials import ImageValue, format_number, write_images

if TYPE_CHECKING:
    from segbench.data import PreparedData
    from segbench.engine.passes import Evaluation
    from segbench.engine.protocol import TrainingRun
    from segbench.store.layout import TrialFolder

FOREGROUND = "foreground"
"""The one class of a binary task, in the column `class`."""


def write_outcome(run: TrainingRun, data: PreparedData, folder: TrialFolder) -> dict[str, float]:
    """Evaluate the test images once with the selected and once with the last weights, and write what came
    out.

    Returns:
        Means over the test images, and metrics of all of them together: `dice`, ... at the selected weights,
        `dice_last`, ... at the last; empty where the split has no test images.
    """
    from segbench.store.masks import write_masks
    from segbench.sweep.panels import write_panels

    if len(data.split["test"]) == 0:
        return {}
    selected = run.evaluate("test", which="selected", with_masks=True)
    # the same weights give the same numbers
    last = selected if run.selected_epoch == len(run.history) else run.evaluate("test", which="last")
    write_images(folder, _rows(data, selected, last))
    assert selected.masks is not None
    write_masks(folder.masks, selected.masks, [data.samples[n].name for n in selected.sample_numbers])
    write_panels(data, selected, folder)
    means = {**selected.means(), **{f"{name}_last": mean for name, mean in last.means().items()}}
    return {name: float(format_number(means[name])) for name in means if name not in ("loss", "loss_last")}


def _rows(data: PreparedData, selected: Evaluation, last: Evaluation) -> list[ImageValue]:
    columns = [(name, selected.sample_numbers, values) for name, values in selected.metrics.items()]
    columns.append(("dice_last", last.sample_numbers, last.metrics["dice"]))
    return [
        ImageValue(
            data.samples[number].name, data.samples[number].group, "test", FOREGROUND, metric, float(value)
        )
        for metric, numbers, values in columns
        for number, value in zip(numbers, values, strict=True)
    ]
