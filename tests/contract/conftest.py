"""Gives each contract test its variants and checks.

A test module names its axis as `AXIS`, and settings beyond the defaults as `SETTINGS` (variant ->
list of knobs). A test that takes `subject` and `check` then runs once for every variant, setting and check.
"""

from __future__ import annotations

import pytest

from segbench import contract, registry


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    axis = getattr(metafunc.module, "AXIS", None)
    if axis is None or not {"subject", "check"} <= set(metafunc.fixturenames):
        return
    cases = []
    for variant in registry.variants(axis).values():
        for knobs in [{}, *getattr(metafunc.module, "SETTINGS", {}).get(variant.name, [])]:
            subject = contract.Subject.of(variant, **knobs)
            setting = "-".join([variant.name, *(f"{name}={value}" for name, value in knobs.items())])
            cases += [
                pytest.param(subject, check, id=f"{setting}-{check.name}") for check in contract.checks(axis)
            ]
    metafunc.parametrize(("subject", "check"), cases)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)
