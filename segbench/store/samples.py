"""`samples.csv`: what is known of the test images, for sub-groups."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from segbench.errors import ResultsError, message
from segbench.records import DECIMALS
from segbench.samples import FACTS
from segbench.store.atomic import write_bytes
from segbench.store.layout import ExperimentFolder

if TYPE_CHECKING:
    import pandas as pd


def write_samples(experiment: ExperimentFolder, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write one row per image: `image`, `group`, the data set's attributes, the facts (`samples.FACTS`).

    Raises:
        ResultsError: The disk refuses.
    """
    import pandas as pd

    frame = pd.DataFrame(list(rows)).drop_duplicates("image")
    text = frame.to_csv(index=False, float_format=f"%.{DECIMALS}g", lineterminator="\n")
    content = text.encode("utf-8")
    if not experiment.samples.is_file() or experiment.samples.read_bytes() != content:
        write_bytes(experiment.samples, content)


def read_samples(experiment: ExperimentFolder) -> pd.DataFrame | None:
    """Return the rows with facts as floats and all else as text; None where there is no file.

    Raises:
        ResultsError: It holds something else.
    """
    import pandas as pd

    if not experiment.samples.is_file():
        return None
    try:
        frame = pd.read_csv(experiment.samples, dtype=str, keep_default_na=False)
        return frame.assign(**{name: pd.to_numeric(frame[name].replace("", None)) for name in FACTS})
    except (OSError, ValueError, KeyError) as error:
        rule = f"the file cannot be read ({error})"
        see = "Delete it; segbench sweep writes it anew"
        raise ResultsError(message(str(experiment.samples), rule, see=see)) from error
