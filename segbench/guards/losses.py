"""Guards that look at losses, term by term, and at what networks feed them."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from segbench.config.trial import Choice
from segbench.engine.numerics import seeded
from segbench.errors import message
from segbench.guards.finding import Severity, guard
from segbench.guards.probes import CPU, NetworkProbe, Probes, quiet

_SATURATED = 20.0
"""Logits at which a sigmoid is 0 or 1 to eight digits."""

_RIGHT = (0.5, 1.0, 4.0)
"""Logits of a right answer, more or less sure."""

_MOST_LEFT = 0.05
"""A perfect answer costs less than this share of an undecided one."""


@guard("SB102", Severity.ERROR, consented=Severity.WARNING)
def terms_have_gradients(probes: Probes) -> Iterator[str]:
    """Every term of a loss has a gradient."""
    for term, criterion in _terms(probes):
        logits = _wavy().requires_grad_()
        with quiet():
            value = criterion(logits, _target())
            if value.requires_grad:
                (gradient,) = torch.autograd.grad(value, [logits], allow_unused=True)
                if gradient is not None and gradient.any():
                    continue
        weight = float(term.knobs.get("weight", 1.0))
        rule = f"the term {term.name} (weight {weight:g}) has no gradient, so nothing learns from it"
        see = "Take it out, or a soft version of it: nothing may be rounded or thresholded"
        yield message(probes.place("loss"), rule, see=see)


@guard("SB103", Severity.ERROR, consented=Severity.WARNING)
def losses_get_what_they_take(probes: Probes) -> Iterator[str]:
    """Logits pass through one sigmoid: the loss's."""
    for term, criterion in _terms(probes):
        with quiet(), torch.no_grad():
            least = _least_cost(criterion)
            unsure, *sure = (criterion(s * (2 * _target() - 1), _target()).item() for s in (0.0, *_RIGHT))
        right = min(sure)
        if right > unsure:
            rule = f"the term {term.name} takes no logits: right ones cost {right:.3g}, zeros {unsure:.3g}"
            see = "Use one that applies the sigmoid itself, such as `dice`"
            yield message(probes.place("loss"), rule, see=see)
        elif least is not None:
            rule = f"the term {term.name} squashes logits twice: a perfect answer still costs {least:.3g}"
            yield message(probes.place("loss"), rule, see="Feed it what it takes: logits to `bce`")
    seen = set()
    for config in probes.configs:
        probe, whole = probes.network(config), probes.criterion(config.loss)
        if probe is None or whole is None or repr((config.model, config.loss)) in seen:
            continue
        seen.add(repr((config.model, config.loss)))
        with quiet(), torch.no_grad():
            is_wrong = _emits_probabilities(probe) and not _takes_probabilities(whole)
        if is_wrong:
            names = " + ".join(term.name for term in config.loss)
            rule = f"{probe.name} emits probabilities, but {names} takes logits and squashes them again"
            yield message(probes.place("model"), rule, see="Take the sigmoid or softmax out of the network")


def _terms(probes: Probes) -> Iterator[tuple[Choice, nn.Module]]:
    """Yield each term of all losses once."""
    terms = {repr(term): term for config in probes.configs for term in config.loss}
    for term in terms.values():
        criterion = probes.criterion((term,))
        if criterion is not None:
            yield term, criterion


def _least_cost(criterion: nn.Module) -> float | None:
    """Return what a perfect answer costs at best where that is not nothing; None where it is.

    A loss that rises again for too sure an answer (label smoothing) is not meant.
    """
    target = _target()
    undecided, sure, surer = (
        criterion(scale * (2 * target - 1), target).item() for scale in (0.0, _SATURATED, 2 * _SATURATED)
    )
    is_flat = abs(surer - sure) <= 1e-4 * abs(undecided)
    return surer if is_flat and surer > _MOST_LEFT * undecided else None


def _takes_probabilities(criterion: nn.Module) -> bool:
    """Whether zeros and ones that equal the target are a perfect answer."""
    target = _target()
    right, wrong = criterion(target, target).item(), criterion(1 - target, target).item()
    return bool(right < _MOST_LEFT * wrong)


def _emits_probabilities(probe: NetworkProbe) -> bool:
    """Whether the output stays in [0, 1] whatever the weights are."""
    images, _ = probe.batch()
    for seed in range(3):
        network = probe.build(seed).eval()
        draw = torch.Generator().manual_seed(seed)
        for parameter in network.parameters():
            fan_in = max(1, parameter.numel() // max(1, parameter.shape[0] if parameter.ndim else 1))
            parameter.copy_(3 * torch.randn(parameter.shape, generator=draw) / fan_in**0.5)
        with seeded(seed, CPU):
            logits = network(3 * images)
        if not ((logits >= 0) & (logits <= 1)).all():
            return False
    return True


def _target() -> Tensor:
    target = torch.zeros(2, 1, 16, 16)
    target[0, :, 3:9, 2:11] = 1
    target[1, :, 8:14, 5:9] = 1
    return target


def _wavy() -> Tensor:
    return 3 * torch.sin(torch.arange(512.0)).view(2, 1, 16, 16)
