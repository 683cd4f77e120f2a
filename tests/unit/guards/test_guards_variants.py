"""Every built-in variant before the guards: sound ones pass, flawed ones do not."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from segbench import registry
from segbench.guards import networks
from segbench.guards.finding import guards
from segbench.guards.probes import Probes

Probe = Callable[..., Probes]

AXES = "axes: {batch_size: [2, 4]}\n"

LOSSES = {"SB102", "SB103"}
AUGMENTATIONS = {"SB111", "SB112", "SB113"}
NETWORKS = {each.code for each in guards("probes") if each.function.__module__ == networks.__name__}


def names(axis: str, *, is_flawed: bool) -> list[str]:
    """Return the built-in variants that need no knob to be given."""
    return [
        name
        for name, variant in registry.variants(axis).items()
        if (variant.flawed is not None) is is_flawed
        and not any(knob.is_required for knob in variant.knobs.values())
    ]


def codes(probes: Probes, asked: set[str]) -> set[str]:
    return {f.code for guard in guards("probes") if guard.code in asked for f in guard(probes)}


@pytest.mark.parametrize("loss", names("loss", is_flawed=False))
def test_sound_losses_pass(probe: Probe, loss: str) -> None:
    assert codes(probe(AXES, loss=f"{{{loss}: 1}}"), LOSSES) == set()


@pytest.mark.parametrize("loss", names("loss", is_flawed=True))
def test_flawed_losses_are_found_out(probe: Probe, loss: str) -> None:
    assert codes(probe(AXES, loss=f"{{{loss}: 1}}"), LOSSES) & {"SB102", "SB103"}


@pytest.mark.parametrize("augment", names("augment", is_flawed=False))
def test_sound_augmentations_pass(probe: Probe, augment: str) -> None:
    probes = probe(AXES, augment=augment, dataset="{shapes: {size_px: 64}}")
    assert codes(probes, AUGMENTATIONS) == set()


@pytest.mark.parametrize("augment", names("augment", is_flawed=True))
def test_flawed_augmentations_are_found_out(probe: Probe, augment: str) -> None:
    probes = probe(AXES, augment=augment, dataset="{shapes: {size_px: 64}}")
    assert "SB111" in codes(probes, AUGMENTATIONS)


@pytest.mark.parametrize(
    "model",
    [
        pytest.param(name, marks=[] if "width" in registry.find("model", name).knobs else pytest.mark.slow)
        for name in names("model", is_flawed=False)
    ],
)
def test_networks_pass(probe: Probe, model: str) -> None:
    probes = probe(AXES, model=model, dataset="{shapes: {size_px: 128}}")
    assert probes.failures == ()
    assert codes(probes, NETWORKS) == set()
