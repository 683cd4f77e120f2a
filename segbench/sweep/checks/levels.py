"""Guards that compare what the levels of an axis build."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from itertools import combinations
from math import ceil, comb
from typing import Final

from torch import nn

from segbench.config.experiment import Axis, Cell
from segbench.config.pairing import Pairing
from segbench.errors import message
from segbench.sweep.checks.finding import Severity, guard
from segbench.sweep.checks.likeness import Likeness, likeness
from segbench.sweep.checks.networks import listed
from segbench.sweep.checks.probe import NetworkProbe, quiet
from segbench.sweep.checks.probes import Probes

_MOST_PAIRS: Final = 500
"""Pairs of cells that are built and compared; of larger designs they are taken evenly, and every pair of
levels at least once."""

_NORMS: Final = (nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm, nn.LocalResponseNorm)


@guard("SB101", Severity.WARNING)
def levels_are_different_functions(probes: Probes) -> Iterator[str]:
    """No two levels of an axis build numerically the same function, or train identically."""
    axes = probes.experiment.axes
    most = max(1, _MOST_PAIRS // max(1, sum(comb(len(axis.labels), 2) for axis in axes)))
    for axis in axes:
        for first, second in combinations(axis.labels, 2):
            pairs = list(_side_by_side(probes, axis, first, second))
            found = {
                context: likeness(probes, one.config, other.config)
                for context, one, other in pairs[:: ceil(len(pairs) / most) or 1]
            }
            alike = {context: each for context, each in found.items() if each is not None}
            if alike:
                yield _same(probes, axis, (first, second), alike, is_everywhere=len(alike) == len(found))


@guard("SB123", Severity.WARNING)
def norms_are_swapped_everywhere(probes: Probes) -> Iterator[str]:
    """An axis that varies the norm leaves no other norm in place."""
    for rule in _left_in_place(probes, is_declared=False):
        see = "Say so in the text, or use a network that takes its norms from the axis"
        yield message(probes.place("norm"), rule, see=see)


@guard("SB123", Severity.NOTE)
def declared_norms_stay(probes: Probes) -> Iterator[str]:
    """Where `norm_scope` keeps some norms out of the swap, a reader knows which."""
    for rule in _left_in_place(probes, is_declared=True):
        yield message(probes.place("norm"), rule, see="That is what `norm_scope: double_convs` says")


def _side_by_side(
    probes: Probes, axis: Axis, first: str, second: str
) -> Iterator[tuple[tuple[str, ...], Cell, Cell]]:
    """Yield the pairs of cells that differ in these levels of an axis alone, with the levels they share."""
    cells: dict[tuple[tuple[str, ...], str], Cell] = {}
    together = Pairing.of(probes.experiment).group(axis.name)
    for cell in probes.cells:
        if axis.name in cell.levels:
            shared = tuple(f"{name}={label}" for name, label in cell.levels.items() if name not in together)
            cells[shared, cell.levels[axis.name]] = cell
    for (shared, label), cell in cells.items():
        if label == first and (shared, second) in cells:
            yield shared, cell, cells[shared, second]


def _same(
    probes: Probes,
    axis: Axis,
    labels: tuple[str, str],
    alike: Mapping[tuple[str, ...], Likeness],
    *,
    is_everywhere: bool,
) -> str:
    difference = max(each.difference for each in alike.values())
    if all(each.is_same_function for each in alike.values()):
        rule = "build numerically the same function: outputs, losses and gradients differ by at most"
        rule = f"{rule} {difference:.1g} of the largest"
        see = "What differs between them is the seed's noise: take one of them out"
    else:
        apart = max(each.loss_difference for each in alike.values())
        rule = "train identically: their losses differ in value"
        rule = f"{rule} (by up to {apart:.2g}), their gradients by at most {difference:.1g} of the largest"
        see = "The part of the loss that tells them apart has no gradient: take one of them out"
    at = "" if is_everywhere else " at " + "; ".join(", ".join(shared) for shared in alike)
    first, second = labels
    return message(probes.place(axis.name), f"the levels {first!r} and {second!r}{at} {rule}", see=see)


def _left_in_place(probes: Probes, *, is_declared: bool) -> Iterator[str]:
    """Say which norms of a network are the same in all levels of an axis that swaps norms."""
    found = {}
    for axis in probes.experiment.axes:
        for by_norm in _swapped(probes, axis, is_declared=is_declared):
            first, *others = by_norm.values()
            kept = [name for name, norm in first.items() if all(each.get(name) == norm for each in others)]
            if others and kept:
                where = listed(f"{name}: {first[name].partition('(')[0]}" for name in kept)
                rule = f"{', '.join(by_norm)} take turns, but {len(kept)} of the network's norms"
                found[f"{rule} ({where}) are the same in all levels"] = None
    yield from found


def _swapped(probes: Probes, axis: Axis, *, is_declared: bool) -> list[dict[str, dict[str, str]]]:
    """Return the norms of each network under every norm that an axis gives it, by the norm's name."""
    found: dict[str, dict[str, dict[str, str]]] = {}
    if len({cell.config.norm.name for cell in probes.cells}) < 2:
        return []
    for cell in probes.cells:
        probe = probes.network(cell.config)
        if probe is None or (cell.config.model.knobs.get("norm_scope") == "double_convs") != is_declared:
            continue
        shared = repr([cell.config.model, *(v for k, v in cell.levels.items() if k != axis.name)])
        by_norm = found.setdefault(shared, {})
        if cell.config.norm.name not in by_norm:
            with quiet():
                key = ("norms", probe.config.model, cell.config.norm, probe.size_px)
                by_norm[cell.config.norm.name] = probes.once(key, partial(_norms_of, probe))
    return list(found.values())


def _norms_of(probe: NetworkProbe) -> dict[str, str]:
    return _norms(probe.build())


def _norms(network: nn.Module) -> dict[str, str]:
    """Return the normalisation layers of a network, module by module."""
    return {
        name: repr(module)
        for name, module in network.named_modules()
        if isinstance(module, _NORMS) or type(module).__name__.endswith("Norm")
    }
