"""Guards that build every network and run it: is it a function of its images and its saved state alone?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from segbench.engine.instruments import parameters_without_gradient
from segbench.engine.numerics import seeded
from segbench.errors import message
from segbench.sweep.checks.finding import Severity, guard
from segbench.sweep.checks.probe import CPU, NetworkProbe, quiet
from segbench.sweep.checks.probes import Probes

_MOST_NAMED = 5


@guard("SB124", Severity.ERROR)
def levels_can_be_built(probes: Probes) -> Iterator[str]:
    """What a level asks for can be built, and runs forward and backward on three pictures."""
    yield from probes.failures


@guard("SB104", Severity.WARNING)
def is_deterministic_in_evaluation(probes: Probes) -> Iterator[str]:
    """In evaluation equal images give equal logits, and nothing in the network changes."""
    for probe in probes.networks():
        with quiet():
            drawn_in, changed = _evaluate_twice(probe)
        where = probes.place("model")
        if drawn_in is not None:
            rule = f"{probe.name} gives other logits for the same images in evaluation; they differ from"
            see = "Draw only where `self.training` is True, and make parameters in __init__"
            yield message(where, f"{rule} {drawn_in} on", see=see)
        if changed:
            rule = f"{probe.name} changes its state in evaluation ({listed(changed)})"
            yield message(where, rule, see="Move running values only where `self.training` is True")


@guard("SB105", Severity.ERROR)
def is_saved_whole(probes: Probes) -> Iterator[str]:
    """Every tensor that the logits depend on is saved: the state of one network makes another like it."""
    for probe in probes.networks():
        with quiet():
            problem = _unsaved_state(probe)
        if problem is not None:
            see = "Make every weight in __init__ as an nn.Parameter, a module or a buffer"
            yield message(probes.place("model"), f"{probe.name} {problem}", see=see)


@guard("SB106", Severity.WARNING)
def trains_every_parameter(probes: Probes) -> Iterator[str]:
    """The gradient of the logits reaches every parameter that is trained."""
    for probe in probes.networks():
        with quiet():
            names = parameters_without_gradient(probe.build(0), probe.batch(0)[0])
            if names:  # a unit may be dead at one start; what nothing uses is without gradient at every one
                again = parameters_without_gradient(probe.build(1), probe.batch(1)[0])
                names = tuple(name for name in names if name in again)
        if names:
            rule = f"{probe.name} has {len(names)} parameters without gradient ({listed(names)})"
            see = "They stay as they were drawn: use them in forward, or take them out"
            yield message(probes.place("model"), rule, see=see)


def listed(names: Any) -> str:
    """Write the first few names, and how many more there are."""
    names = list(names)
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more


def _evaluate_twice(probe: NetworkProbe) -> tuple[str | None, list[str]]:
    """Return the innermost module at which two evaluations part, and the entries of the state that move."""
    network, (images, _) = probe.build().eval(), probe.batch()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    first, second = (_outputs(network, images, seed) for seed in (1, 2))
    after = network.state_dict()
    changed = [name for name, value in before.items() if name in after and not _agree(value, after[name])]
    parted = (
        one[0]
        for one, other in zip(first, second, strict=False)
        if one[0] != other[0] or not _agree(one[1], other[1])
    )
    return next(parted, None), changed


def _outputs(network: nn.Module, images: Tensor, seed: int) -> list[tuple[str, Tensor]]:
    """Return (module, output) in the order in which modules finish: inner ones before outer ones."""
    found: list[tuple[str, Tensor]] = []

    def keep(name: str) -> Any:
        def hook(module: nn.Module, given: Any, output: Any) -> None:
            if isinstance(output, Tensor):
                found.append((f"{name} ({type(module).__name__})", output.detach().clone()))

        return hook

    handles = [
        module.register_forward_hook(keep(name or "the network's own forward"))
        for name, module in network.named_modules()
    ]
    try:
        with torch.no_grad(), seeded(seed, CPU):
            network(images)
    finally:
        for handle in handles:
            handle.remove()
    return found


def _unsaved_state(probe: NetworkProbe) -> str | None:
    """Say what of a network is made in forward, or is lost where its state is loaded into a second one."""
    first, (images, _) = probe.build(0), probe.batch()
    made: dict[str, None] = {}

    def note(module: nn.Module, name: str, parameter: Any) -> None:
        if parameter is not None:
            made.setdefault(f"{type(module).__name__}.{name}")

    handle = register_module_parameter_registration_hook(note)
    try:
        with torch.no_grad(), seeded(0, CPU):
            first.train()(images)  # moves running statistics too
    finally:
        handle.remove()
    if made:
        where = f"makes parameters in forward ({listed(made)})"
        return f"{where}: random at each call, never trained and never saved"
    saved, second = first.state_dict(), probe.build(1)
    apart = sorted(saved.keys() ^ second.state_dict().keys())
    if apart:
        return f"has another state after a forward pass ({listed(apart)})"
    second.load_state_dict(saved)
    logits = []
    for network in (first, second):
        with torch.no_grad(), seeded(0, CPU):
            logits.append(network.eval()(images))
    if _agree(*logits):
        return None
    others = _unsaved(second)
    lost = [name for name, value in _unsaved(first).items() if not _agree(value, others.get(name))]
    what = f"the state misses {listed(lost)}" if lost else "the state misses something that forward uses"
    return f"gives other logits once its state is loaded into a second network: {what}"


def _unsaved(network: nn.Module) -> dict[str, Tensor]:
    """Return tensors that the state does not hold: plain attributes, buffers that are not persistent."""
    saved = network.state_dict().keys()
    return {
        path: value
        for prefix, module in network.named_modules()
        for name, value in {**vars(module), **module._buffers}.items()
        if isinstance(value, Tensor) and (path := f"{prefix}.{name}".lstrip(".")) not in saved
    }


def _agree(first: Tensor, second: Tensor | None) -> bool:
    if second is None or first.shape != second.shape:
        return False
    return torch.allclose(first.double(), second.double(), rtol=1e-6, atol=1e-7, equal_nan=True)
