"""Augmentations that move image and mask apart, repeat their draws or interpolate masks."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from segbench.guards import networks
from segbench.guards.finding import Finding, Severity
from segbench.guards.probes import Probes

Probe = Callable[..., Probes]
Write = Callable[[str, str, str], None]

NORMS = "axes: {norm: [batch, none]}\n"
SHAPES = "{shapes: {size_px: 64, num_train: 8}}"

AUGMENT = """
import random
import cv2
import numpy as np

def turned(picture, angle, how):
    centre = (picture.shape[1] / 2, picture.shape[0] / 2)
    by = cv2.getRotationMatrix2D(centre, angle, 1)
    return cv2.warpAffine(picture, by, picture.shape[:2], flags=how)

@variant
def mine():
    \"\"\"An augmentation.\"\"\"
    {before}
    def augment(image, mask, seed):
        draw = random.Random(seed)
        {body}
        return image, mask
    return augment
"""


@pytest.fixture
def probe_augment(probe: Probe, write_variant: Write) -> Callable[..., Probes]:
    def probe_augment(body: str, before: str = "pass", more: str = NORMS) -> Probes:
        write_variant("augment", "mine", AUGMENT.format(body=body, before=before))
        return probe(more, augment="mine", dataset=SHAPES)

    return probe_augment


def all_findings(probes: Probes) -> list[Finding]:
    return [
        finding
        for guard in (
            networks.draws_image_and_mask_together,
            networks.draws_from_the_seed_alone,
            networks.keeps_masks_whole_numbers,
        )
        for finding in guard(probes)
    ]


@pytest.mark.parametrize(
    "augment",
    [
        "none",
        "flips",
        "[HorizontalFlip, VerticalFlip, {Rotate: {limit: 30, p: 1}}, {HueSaturationValue: {p: 1}}]",
        "[{Affine: {translate_percent: [-0.1, 0.1], scale: [0.8, 1.2], rotate: [-30, 30], p: 1}}]",
        "[{ElasticTransform: {alpha: 30, sigma: 4, p: 1}}, {GaussNoise: {p: 1}}, {InvertImg: {p: 0.5}}]",
        "[{CoarseDropout: {p: 1}}, {GridDropout: {p: 1}}]",
        "[{RandomResizedCrop: {size: [64, 64], scale: [0.3, 1.0], p: 1}}, {Solarize: {p: 1}}]",
    ],
)
def test_the_augmentations_of_segbench_pass(probe: Probe, augment: str) -> None:
    assert all_findings(probe(NORMS, augment=augment, dataset=SHAPES)) == []


APART = "image = image[:, ::-1] if draw.random() < 0.5 else image"


def test_an_image_that_moves_without_its_mask(probe_augment: Callable[..., Probes]) -> None:
    (found,) = networks.draws_image_and_mask_together(probe_augment(APART))
    assert found.severity is Severity.ERROR
    assert found.text == (
        "exp: augment: mine moves images and masks apart in 24 of 48 draws. "
        "Draw once, and do to the mask what is done to the image."
    )


def test_consent_to_moving_apart(probe_augment: Callable[..., Probes]) -> None:
    probes = probe_augment(APART, more=f"{NORMS}allow_flawed: true\n")
    (found,) = networks.draws_image_and_mask_together(probes)
    assert found.severity is Severity.WARNING


def test_a_shift_of_the_image_alone(probe_augment: Callable[..., Probes]) -> None:
    (found,) = networks.draws_image_and_mask_together(probe_augment("image = np.roll(image, 24, 1)"))
    assert "apart in 48 of 48 draws" in found.text


def test_draws_from_the_process(probe_augment: Callable[..., Probes]) -> None:
    body = "image, mask = (image[::-1], mask[::-1]) if np.random.rand() < 0.5 else (image, mask)"
    (found,) = networks.draws_from_the_seed_alone(probe_augment(body))
    assert found.severity is Severity.ERROR
    assert found.text == (
        "exp: augment: mine draws from the process's generator, which repeats in every worker and epoch. "
        "Draw from a generator made of the seed that it is given."
    )


def test_draws_that_depend_on_earlier_ones(probe_augment: Callable[..., Probes]) -> None:
    body = "image, mask = (image[::-1], mask[::-1]) if own.random() < 0.5 else (image, mask)"
    (found,) = networks.draws_from_the_seed_alone(probe_augment(body, "own = random.Random(0)"))
    assert found.text == (
        "exp: augment: mine gives other pixels for a seed the second time: what it draws depends on what was "
        "drawn before. Draw from a generator made of the seed that it is given."
    )


def test_masks_interpolated_bilinearly(probe_augment: Callable[..., Probes]) -> None:
    body = (
        "by = draw.uniform(-30, 30); image, mask = (turned(p, by, cv2.INTER_LINEAR) for p in (image, mask))"
    )
    (found,) = all_findings(probe_augment(body))
    assert (found.code, found.severity) == ("SB113", Severity.ERROR)
    assert found.text.startswith(
        "exp: augment: mine interpolates masks: values of (0, 1, 255) become others, got ["
    )
    assert found.text.endswith("]. Resize and turn masks by nearest neighbour (cv2.INTER_NEAREST).")


def test_masks_turned_by_nearest_neighbour(probe_augment: Callable[..., Probes]) -> None:
    body = (
        "by = draw.uniform(-30, 30); image, mask = (turned(p, by, cv2.INTER_NEAREST) for p in (image, mask))"
    )
    assert all_findings(probe_augment(body)) == []


def test_other_angles_for_image_and_mask(probe_augment: Callable[..., Probes]) -> None:
    body = "image, mask = (turned(p, draw.uniform(-90, 90), cv2.INTER_NEAREST) for p in (image, mask))"
    (found,) = networks.draws_image_and_mask_together(probe_augment(body))
    assert found.code == "SB111"
