from __future__ import annotations

import pytest

from segbench import contract, registry

KNOBS = {"constants": {"mean": [0.48, 0.45, 0.4], "std": [0.27, 0.26, 0.27]}}
SUBJECTS = [contract.Subject.of(v, **KNOBS.get(v.name, {})) for v in registry.variants("input").values()]

CASES = [(subject, check) for subject in SUBJECTS for check in contract.checks("input")]


@pytest.mark.parametrize(
    ("subject", "check"), CASES, ids=lambda v: v.variant.name if isinstance(v, contract.Subject) else v.name
)
def test_input_keeps_the_contract(subject: contract.Subject, check: contract.Check) -> None:
    check.function(subject)
