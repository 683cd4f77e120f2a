"""`python -m benchmarks.calibration`: simulate, write docs/calibration.md, exit 1 where one fails."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from benchmarks.calibration.document import percent, write_document
from benchmarks.calibration.forecasts import forecasts
from benchmarks.calibration.run import of_part, requirements, run


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.calibration", description=__doc__)
    parser.add_argument("--runs", type=int, default=10_000, help="simulated experiments a scenario")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("docs/calibration.md"))
    asked = parser.parse_args()
    began = time.monotonic()

    def show(done: int, total: int) -> None:
        if done % 10 == 0 or done == total:
            print(
                f"{done} of {total} scenarios, {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True
            )

    measured = run(asked.runs, asked.processes, show)
    asked.out.write_text(write_document(measured, asked.runs), encoding="utf-8")
    is_met = True
    for requirement in requirements():
        smallest, largest, _ = requirement.extremes(of_part(measured, requirement.part))
        holds = requirement.is_met(of_part(measured, requirement.part))
        is_met &= holds
        word = "holds" if holds else "FAILS"
        print(f"{requirement.text}: {percent(smallest)} to {percent(largest)} %: {word}")
    for forecast in forecasts(min(asked.runs, 4_000)):
        is_met &= forecast.holds
        print(f"{forecast.name}: {forecast.seeds} seeds, power {percent(forecast.power)} %")
    print(asked.out)
    return 0 if is_met else 1


if __name__ == "__main__":
    raise SystemExit(main())
