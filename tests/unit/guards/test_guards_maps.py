"""Single images, and sizes at which feature maps vanish."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from segbench.guards import networks
from segbench.guards.finding import Finding, Severity
from segbench.guards.probes import Probes

Probe = Callable[..., Probes]
Write = Callable[[str, str, str], None]

LOSSES = "axes: {loss: [{bce: 1}, {dice: 1}]}\n"

POOLED = """
from torch import nn

@variant
def pooled(in_channels, out_channels, norm):
    \"\"\"Global pooling beside a convolution.\"\"\"
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(in_channels, 4, 3, padding=1)
            self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(4, 4, 1, bias=False), norm(4))
            self.head = nn.Conv2d(4, out_channels, 1)
        def forward(self, images):
            features = self.conv(images)
            return self.head(features + self.pool(features))
    return Net()
"""


def texts(found: list[Finding]) -> list[str]:
    return [finding.text for finding in found]


def test_maps_of_two_pixels_pass(probe: Probe) -> None:
    probes = probe(LOSSES, model="{unet: {depth: 3}}", batch_size="1")
    assert networks.takes_single_images(probes) == []
    assert networks.trains_at_its_size(probes) == []
    assert networks.keeps_maps_wide(probes) == []


def test_maps_of_one_pixel(probe: Probe) -> None:
    (found,) = networks.keeps_maps_wide(probe(LOSSES, model="{unet: {depth: 4}}", norm="none"))
    assert found.severity is Severity.WARNING
    assert found.text == (
        "exp: dataset.size_px: the feature maps of unet shrink to 1x1 (pool, down.3.first.conv, "
        "down.3.first.norm, down.3.first.relu, down.3.second.conv and 3 more), got 16. "
        "The least size that works is 32."
    )


def test_global_pooling_is_meant(probe: Probe, write_variant: Write) -> None:
    write_variant("model", "pooled", POOLED)
    assert networks.keeps_maps_wide(probe(LOSSES, model="pooled", norm="none")) == []


def test_a_norm_that_refuses_one_pixel(probe: Probe) -> None:
    probes = probe(LOSSES, model="{unet: {depth: 4}}", norm="instance")
    (found,) = networks.trains_at_its_size(probes)
    assert found.severity is Severity.ERROR
    assert found.text.startswith(
        "exp: dataset.size_px: unet fails in training at this size: ValueError: Expected more than 1 spatial "
        "element when training, got input size torch.Size([2, 128, 1, 1])"
    )
    assert found.text.endswith(", got 16. The least size that works is 32.")
    assert networks.keeps_maps_wide(probes) == []


@pytest.mark.parametrize(
    ("batch_size", "cause"), [("1", "every batch holds one"), ("7", "the last batch of an epoch holds one")]
)
def test_a_single_image_in_training(probe: Probe, write_variant: Write, batch_size: str, cause: str) -> None:
    write_variant("model", "pooled", POOLED)
    (found,) = networks.takes_single_images(probe(LOSSES, model="pooled", batch_size=batch_size))
    assert found.severity is Severity.ERROR
    assert found.text.startswith(
        f"exp: model: pooled fails in training on a single image, and {cause}: ValueError: Expected more "
        "than 1 value per channel when training, got input size torch.Size([1, 4, 1, 1])"
    )
    assert f"got {batch_size}. Choose a batch_size that leaves no image alone" in found.text


def test_batches_of_several_images_pass(probe: Probe, write_variant: Write) -> None:
    write_variant("model", "pooled", POOLED)
    assert networks.takes_single_images(probe(LOSSES, model="pooled", batch_size="3")) == []


def test_a_single_image_in_evaluation(probe: Probe, write_variant: Write) -> None:
    source = POOLED.replace(
        "return self.head(", "assert len(images) > 1, 'give me more'\n            return self.head("
    )
    write_variant("model", "pooled", source)
    (found,) = networks.takes_single_images(probe(LOSSES, model="pooled"))
    assert found.text == (
        "exp: model: pooled fails on a single image in evaluation: AssertionError: give me more "
        "(pooled.py:17). Images are predicted one by one: nothing in evaluation may need a second one."
    )
