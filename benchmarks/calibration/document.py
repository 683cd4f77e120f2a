"""Writes docs/calibration.md."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from benchmarks.calibration.forecasts import Checked, forecasts
from benchmarks.calibration.run import SEED, Measured, Requirement, of_part, requirements
from benchmarks.calibration.scenarios import DROP, LOOKS, MARGIN, NUM_LEVELS, SD_DIFFICULTY, SD_NOISE, SD_SEED
from benchmarks.machine import table

INTRODUCTION = f"""\
# Calibration

Do the report's intervals and verdicts keep what they promise? `make calibrate` simulates experiments
whose truth is known and asks `segbench/stats` about them: the same functions, on arrays, that a report
calls on its tables (a test holds the two paths against each other).

## What is simulated

An image's value in a trial is the arm's mean + the image's difficulty (sd {SD_DIFFICULTY:g}, shared by
all arms) + what the image adds to this arm for good (*image by arm*, sd 0, .02 or .05) + the trial's own
deviation (sd {SD_SEED:g}, correlated between arms of a seed by 0 or .5) + noise (sd {SD_NOISE:g}). There
are a baseline and {NUM_LEVELS} levels; level 1 differs by the *effect* (0 or .01) and has once or three
times the others' spread, of its seeds and its noise.

- **This test set**: the truth is the expectation over seeds given the drawn images and what they add to
  each arm: the effect plus the mean of image by arm, level minus baseline. Its interval is Student's over
  per-seed differences.
- **New images**: the truth is the expectation over images too: the effect. Its interval has two parts,
  seeds and images.
- **Family-wise error**: the share of runs in which some of {NUM_LEVELS} contrasts with the baseline is
  called better or worse at two-sided .05 after Holm's correction, where none differs (the truth is
  subtracted).
- **Error of equivalence**: the share in which some contrast is called equivalent by two one-sided tests
  where each true difference lies exactly on the margin of {MARGIN:g}. The margin is wide against the
  noise, so that the error is as large as it gets.
- **Looks**: the same at {", ".join(map(str, LOOKS[:-1]))} or {LOOKS[-1]} seeds with .05 / {len(LOOKS)}
  each, every look judged, also those after which a sweep would have stopped.
"""

REPORTED = """\
## As measured, without a threshold

Nothing is promised here; the tables say what to expect.

### Skewed effects

What seeds and images add to an arm is negatively exponential (skewness -2) instead of normal. Image by
arm has sd .05.
"""

GROUPED = """\
### Images in groups

300 images of 10 or 30 patients, with sizes 1 : 2 : 3, log-normal sizes (sd 1 of the logarithm), or half of
all images in one patient. What is added to an arm is shared by a patient's images, and the patient is the
unit of the interval for new images. The estimand is the mean over images; a patient's difference is taken
to be independent of its number of images, as it is here.
"""

COLLAPSING = f"""\
### Arms that collapse in part

At level 1 a trial ends {DROP:g} lower with the probability given, and counts as completed. The truth is
the expectation, collapses included. With few seeds often none collapses, and then nothing in the data
tells of it: no interval from these seeds alone can. The errors are those of a family in which the other
levels are like the baseline.
"""

DIVERGING = """\
### Arms that diverge in part

Trials diverge with the probabilities given. The interval is that of the seeds that completed in both
arms, among runs with at least two of them. *Called different* is the share of runs in which some level is
called better or worse, by the counts of diverged seeds, completers and worst case together: where
all arms diverge alike that is an error, where level 1 alone does it is true.
"""


ROUNDED = """\
### Rounded scores

The means of trials are rounded to so many decimals; in the last row neither seeds nor noise change anything.
*No test*: the differences do not vary, or by less than the step of the values. *This set* is the coverage of
the others.
"""

CEILING = """\
### Scores at the ceiling

Images' values end at 1, where they pile up: the mean before that is the level given.
"""

FORECASTS = """\
### Forecasts

The seeds that a forecast asks for, and the share of simulated experiments of so many seeds (and of one seed
less) in which the test of the report then says so. The true sd is known here; a report gives the seeds for
two upper limits of it.
"""


def write_document(measured: Mapping[str, Sequence[Measured]], num_runs: int) -> str:
    """Return the page: what is simulated, what is required, every number."""
    grid = measured["grid"]
    lines = [INTRODUCTION, "## What is required", "", _stamp(num_runs), "", *_requirements(measured)]
    lines += [_bounds(), "", "## Every scenario", "", _LEGEND, "", *_grid_table(grid)]
    lines += [REPORTED, *_coverage_table(measured["skewed"])]
    lines += [GROUPED, *_coverage_table(measured["grouped"])]
    lines += [COLLAPSING, *_coverage_table(measured["collapsing"])]
    lines += [DIVERGING, *_diverging_table(measured["diverging"]), ""]
    lines += [ROUNDED, *_coverage_table(measured["rounded"])]
    lines += [CEILING, *_coverage_table(measured["ceiling"])]
    lines += [FORECASTS, *_forecast_table(forecasts(min(num_runs, 4_000)))]
    return "\n".join(lines).rstrip() + "\n"


def percent(share: float) -> str:
    """Return a share in percent to two digits; empty where nothing was measured."""
    return f"{100 * share:.2f}" if share == share else ""


_LEGEND = (
    "Shares of runs in percent. *This set* and *new*: coverage at effect 0 and .01. *FWE* and *TOST*: "
    "family-wise error and error of equivalence on this test set, on new images, and over three looks."
)


def _stamp(num_runs: int) -> str:
    commit = subprocess.run(
        ["git", "-C", Path(__file__).parent, "rev-parse", "--short=12", "HEAD"],
        capture_output=True,
        text=True,
    ).stdout.strip()
    versions = ", ".join(f"{name} {version(name)}" for name in ("numpy", "scipy"))
    return (
        f"{time.strftime('%Y-%m-%d', time.gmtime())}, commit {commit or 'unknown'}, Python "
        f"{sys.version.split()[0]}, {versions}; {num_runs:,} runs a scenario, seed {SEED}."
    )


def _requirements(measured: Mapping[str, Sequence[Measured]]) -> list[str]:
    rows = []
    for requirement in requirements():
        part = of_part(measured, requirement.part)
        smallest, largest, number = requirement.extremes(part)
        verdict = "holds" if requirement.is_met(part) else "**fails**"
        rows.append(
            [
                requirement.text,
                _wanted(requirement),
                f"{percent(smallest)} to {percent(largest)}",
                f"{number}",
                verdict,
            ]
        )
    return table(["what", "required, %", "measured, %", "scenarios", ""], rows)


def _wanted(requirement: Requirement) -> str:
    high = f"{100 * requirement.high:g}"
    return f"{100 * requirement.low:g} to {high}" if requirement.low else f"at most {high}"


def _bounds() -> str:
    return (
        "Errors may be 5 % and what chance adds to so many runs: "
        ".6 % is 2.8 standard errors of 10,000 runs at 5 %."
    )


def _grid_table(grid: Sequence[Measured]) -> list[str]:
    with_effect = {replace(m.scenario, effect=0.0): m.shares for m in grid if m.scenario.effect}
    header = ["seeds", "images", "image by arm", "correlation", "spread", "this set", "", "new", ""]
    header += ["FWE", "TOST", "FWE new", "TOST new", "FWE looks", "TOST looks"]
    rows = []
    for m in grid:
        if m.scenario.effect:
            continue
        s, none, some = m.scenario, m.shares, with_effect[m.scenario]
        shares = [none.covered, some.covered, none.covered_new, some.covered_new]
        shares += [none.false_difference, none.false_equivalence]
        shares += [none.false_difference_new, none.false_equivalence_new]
        shares += [none.false_difference_looks, none.false_equivalence_looks]
        settings = [f"{s.num_seeds}", f"{s.num_images}", f"{s.sd_image:g}", f"{s.correlation:g}"]
        rows.append([*settings, f"{s.sd_ratio:g}", *map(percent, shares)])
    return table(header, rows)


def _coverage_table(measured: Sequence[Measured]) -> list[str]:
    header = ["seeds", "images", "groups", "image by arm", "spread", "collapse"]
    header += [
        "sizes",
        "decimals",
        "level",
        "no test",
        "this set",
        "new",
        "FWE",
        "TOST",
        "FWE new",
        "TOST new",
    ]
    rows = []
    for m in measured:
        s, shares = m.scenario, m.shares
        settings = [f"{s.num_seeds}", f"{s.num_images}", f"{s.num_groups or ''}", f"{s.sd_image:g}"]
        settings += [f"{s.sd_ratio:g}", f"{s.collapse or ''}"]
        settings += [s.sizes if s.num_groups else "", f"{s.decimals or ''}"]
        settings += [
            f"{s.level:g}" if s.level > 0.9 else "",
            percent(shares.untested) if shares.untested else "",
        ]
        counted = [shares.covered, shares.covered_new, shares.false_difference, shares.false_equivalence]
        counted += [shares.false_difference_new, shares.false_equivalence_new]
        rows.append([*settings, *map(percent, counted)])
    kept = [k for k in range(len(header)) if any(row[k] for row in rows)]
    return table([header[k] for k in kept], [[row[k] for k in kept] for row in rows])


def _forecast_table(checked: Sequence[Checked]) -> list[str]:
    header = ["true, what is to be shown", "alpha", "seeds", "power", "with one seed less"]
    return table(
        header,
        [
            [c.name, f"{c.alpha:g}", f"{c.seeds}", percent(c.power), percent(c.power_with_less)]
            for c in checked
        ],
    )


def _diverging_table(measured: Sequence[Measured]) -> list[str]:
    header = ["seeds", "diverge at level 1", "at the other arms", "this set", "called different"]
    rows = [
        [
            f"{m.scenario.num_seeds}",
            *(f"{share:g}" for share in m.scenario.divergence),
            percent(m.shares.covered),
            percent(m.shares.false_difference),
        ]
        for m in measured
    ]
    return table(header, rows)
