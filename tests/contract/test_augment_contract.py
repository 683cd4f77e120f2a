from __future__ import annotations

import pytest

from segbench import contract, registry

STEPS = [
    "HorizontalFlip",
    {"Rotate": {"limit": 30}},
    {"OneOf": {"transforms": ["RandomGamma", {"GaussianBlur": {"p": 1}}], "p": 0.5}},
    {"ElasticTransform": {"alpha": 20}},
    {"RandomBrightnessContrast": {"p": 0.2}},
]
KNOBS = {"transforms": {"steps": STEPS}}
SUBJECTS = [contract.Subject.of(v, **KNOBS.get(v.name, {})) for v in registry.variants("augment").values()]

FLAWS = {"flips_unsynchronised": {"moves_image_and_mask_together"}}
"""What a variant that is flawed on purpose breaks; it keeps all else."""

CASES = [(subject, check) for subject in SUBJECTS for check in contract.checks("augment")]


@pytest.mark.parametrize(
    ("subject", "check"), CASES, ids=lambda v: v.variant.name if isinstance(v, contract.Subject) else v.name
)
def test_augment_keeps_the_contract(subject: contract.Subject, check: contract.Check) -> None:
    if check.name in FLAWS.get(subject.variant.name, ()):
        with pytest.raises(contract.Broken):
            check.function(subject)
    else:
        check.function(subject)


def test_every_flaw_is_known() -> None:
    flawed = {v.name for v in registry.variants("augment").values() if v.flawed is not None}
    assert flawed == set(FLAWS)
