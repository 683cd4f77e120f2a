"""Gives each contract test its variants and checks.

A test module names its axis as `AXIS`, what to set in place of the defaults as `DEFAULTS` (variant -> knobs),
settings beyond them as `SETTINGS` (variant -> list of knobs), and those that only `pytest -m full` runs as
`FULL`. `ONCE` (check -> variants) holds checks that take seconds: they run on those variants' defaults, and
on everything else only with `-m full`. A test that takes `subject` and `check` then runs once for every
variant, setting and check.
"""

from __future__ import annotations

import pytest

from segbench import contract, registry


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    axis = getattr(metafunc.module, "AXIS", None)
    if axis is None or not {"subject", "check"} <= set(metafunc.fixturenames):
        return
    defaults, settings, full, once = (
        getattr(metafunc.module, n, {}) for n in ("DEFAULTS", "SETTINGS", "FULL", "ONCE")
    )
    cases = []
    for variant in registry.variants(axis).values():
        name = variant.name
        default = defaults.get(name, {})
        for knobs in [default, *settings.get(name, []), *full.get(name, [])]:
            subject = contract.Subject.of(variant, **knobs)
            setting = "-".join([name, *(f"{knob}={value}" for knob, value in knobs.items())])
            for check in contract.checks(axis):
                is_quick = knobs not in full.get(name, []) and (
                    check.name not in once or (knobs is default and name in once[check.name])
                )
                marks = () if is_quick else pytest.mark.full
                cases.append(pytest.param(subject, check, id=f"{setting}-{check.name}", marks=marks))
    metafunc.parametrize(("subject", "check"), cases)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)
