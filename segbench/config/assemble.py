"""From a merged document to an experiment: everything checked, everything wrong reported at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from segbench.config.agreement import check_agreement
from segbench.config.cells import build_cells, check_size
from segbench.config.claims import read_claims
from segbench.config.conditions import base_of, check_writers, is_conditional, read_conditions
from segbench.config.designs import Combined, read_design
from segbench.config.document import Node
from segbench.config.estimable import check_estimable
from segbench.config.expand import num_folds
from segbench.config.experiment import Axis, Claim, Design, Experiment
from segbench.config.levels import Dimension, finish, read_dimensions
from segbench.config.pairing import Pairing
from segbench.config.problems import Problems
from segbench.config.project import Project
from segbench.config.resolve import FIELDS, Fields, resolve_baseline, resolve_field
from segbench.config.seeds import read_seeds
from segbench.config.slurm import read_slurm
from segbench.config.spaces import read_search
from segbench.config.structure import check_structure
from segbench.config.trial import Objective
from segbench.config.tuning import read_tune
from segbench.metrics import IMAGE_METRICS, TEST_METRICS, VAL_METRICS, is_lower_better


def assemble(
    document: Node,
    problems: Problems,
    *,
    name: str,
    project: Project,
    source: Path,
    overrides: Mapping[str, Any],
) -> Experiment:
    """Check a merged document and build the experiment.

    Raises:
        ExperimentError: With everything wrong with it, together with what `problems` holds already.
    """
    written = document
    document = check_structure(document, problems)
    _check_scales(document, problems)
    objective = _objective(document, problems)
    outcome = _outcome(document, problems)
    base = resolve_baseline(document.get("baseline") or Node(document.place, {}), problems)
    check_size(base, base, problems)
    check_agreement(base, base, problems)
    seeds, looks = read_seeds(document, problems)
    axes_node = document.get("axes") or Node(document.place, {})
    _check_search_alone(document, problems)
    dimensions = read_dimensions(axes_node, problems)
    _check_overrides(overrides, dimensions, problems)
    by_name = {dimension.name: dimension for dimension in dimensions}
    axes = _finished(axes_node, dimensions, base, problems)
    is_whole = _has_all(written, "axes", by_name) and ("design" in document or "design" not in written)
    is_whole = is_whole and all(bool(axis.when) == is_conditional(axes_node[axis.name]) for axis in axes)
    combined = read_design(document, axes, problems) if is_whole else Combined({}, Design())
    cells = build_cells(base, by_name, axes, combined.cells, objective, problems)
    margin, expected_sd = _number(document, "margin"), _number(document, "expected_seed_sd")
    has_margin = "margin" in written and written["margin"].value is not None
    claims_node = document.get("claims")
    asked = written.get("axes")
    unread = (
        [name for name in asked.value if name not in by_name]
        if asked is not None and asked.is_mapping
        else []
    )
    subgroups = _subgroups(document, outcome, problems)
    claims: tuple[Claim, ...] = ()
    if claims_node is not None and claims_node.is_list:
        claims = read_claims(
            claims_node,
            axes,
            problems,
            outcome=outcome,
            has_margin=has_margin,
            subgroups=subgroups,
            unread=unread,
        )
        if not problems:
            pairing = Pairing.of_design(axes, combined.design)
            check_estimable(claims_node, claims, cells, pairing, combined.design, problems)
    search_node = document.get("search")
    search = None
    if search_node is not None and search_node.is_mapping:
        search = read_search(search_node, base, problems, name=name)
    slurm = read_slurm(document.get("slurm"), problems)
    tune_node = document.get("tune")
    tune = None
    if tune_node is not None and tune_node.is_mapping and search_node is None:
        tune = read_tune(
            tune_node, base, cells, dimensions, axes, seeds=seeds, overrides=overrides, problems=problems
        )
    problems.raise_any()
    baseline = base.config(objective)
    return Experiment(
        name=name,
        question=str(document["question"].value).strip(),
        project=project,
        source=source,
        document=_recorded(written).plain(),
        baseline=baseline,
        axes=axes,
        cells=() if search is not None else cells,
        seeds=seeds,
        num_folds=max((num_folds(cell.config) for cell in cells), default=num_folds(baseline)),
        margin=margin,
        expected_seed_sd=expected_sd,
        outcome=outcome,
        claims=claims,
        subgroups=subgroups,
        search=search,
        slurm=slurm,
        design=combined.design,
        looks=looks,
        tune=tune,
        allow_flawed=document.get("allow_flawed") is not None and document["allow_flawed"].value is True,
        overrides=dict(overrides),
    )


def _number(document: Node, key: str) -> float | None:
    node = document.get(key)
    return None if node is None or node.value is None else float(node.value)


def _finished(axes: Node, dimensions: list[Dimension], base: Fields, problems: Problems) -> tuple[Axis, ...]:
    """Find the baseline of every axis; a conditional one starts from where its condition holds."""
    by_name = {dimension.name: dimension for dimension in dimensions}
    conditions = read_conditions(axes, by_name, problems)
    check_writers(dimensions, conditions, problems)
    found = []
    for dimension in dimensions:
        name, when = dimension.name, conditions.get(dimension.name)
        # Where a condition has mistakes, what its levels do to the plain baseline tells nothing.
        told = Problems() if when is None and is_conditional(axes[name]) else problems
        start = base_of(name, base, conditions, by_name, told)
        found.append(finish(dimension, start, told, None if when is None else when.labels))
    return tuple(found)


def _has_all(written: Node, key: str, read: Mapping[str, Dimension]) -> bool:
    """Whether every entry of a section passed the check of the structure."""
    section = written.get(key)
    return section is None or (section.is_mapping and set(section.value) == set(read))


def _objective(document: Node, problems: Problems) -> Objective:
    node = document.get("objective")
    if node is None or not node.is_mapping:
        return Objective()
    metric, direction = node.get("metric"), node.get("direction")
    name = "val_dice" if metric is None else str(metric.value)
    if metric is not None and name not in VAL_METRICS:
        if name in TEST_METRICS:
            twin = f"val_{name.removeprefix('test_').removesuffix('_last')}"
            rule = "weights and searches must not be selected by the images that judge them"
            twin = twin if twin in VAL_METRICS else "val_dice"
            see = f"Select by {twin}; test images are looked at once (SB117)"
            problems.add(metric.place, rule, got=name, see=see)
        else:
            rule = "the objective must be a validation metric"
            problems.add(metric.place, rule, got=name, known=VAL_METRICS)
    best = "minimize" if is_lower_better(name) else "maximize"
    if direction is not None and direction.value not in (None, best):
        problems.add(direction.place, f"{name} is to {best}", got=direction.value)
    return Objective(name, best)


def _outcome(document: Node, problems: Problems) -> str:
    node = document.get("outcome")
    if node is None:
        return "test_dice"
    if node.value not in TEST_METRICS:
        problems.add(node.place, "the outcome must be a test metric", got=node.value, known=TEST_METRICS)
    return str(node.value)


def _check_scales(document: Node, problems: Problems) -> None:
    """Check the fields of every scale, asked for or not."""
    scales = document.get("scales")
    if scales is None or not scales.is_mapping:
        return
    for _, scale in scales.items():
        fields = scale.get("baseline")
        if fields is None:
            continue
        for name, node in fields.items():
            if name in FIELDS:
                resolve_field(name, node, problems)
            else:
                problems.add(fields.key_place(name), "there is no such key", got=name, known=FIELDS)


def _subgroups(document: Node, outcome: str, problems: Problems) -> tuple[str, ...]:
    node = document.get("subgroups")
    if node is None or not node.is_list:
        return ()
    if node.value and outcome in TEST_METRICS and outcome not in IMAGE_METRICS:
        rule = "sub-groups need an outcome with values per test image"
        problems.add(node.place, rule, got=outcome, known=IMAGE_METRICS)
    found: list[str] = []
    for each in node.elements():
        if each.text in found:
            problems.add(each.place, "a sub-group is listed twice", got=each.text)
        found.append(each.text)
    return tuple(dict.fromkeys(found))


def _check_search_alone(document: Node, problems: Problems) -> None:
    if "search" in document:
        for key in ("axes", "design", "only", "exclude", "claims", "tune"):
            if key in document:
                problems.add(document.key_place(key), f"`{key}` and `search` exclude each other")


def _check_overrides(overrides: Mapping[str, Any], dimensions: list[Dimension], problems: Problems) -> None:
    """Refuse `--set` on what an axis varies: the axis would undo it."""
    for target in overrides:
        field = target.partition(".")[0]
        for dimension in dimensions:
            if target in dimension.targets or field in dimension.targets:
                place = dimension.place
                rule = f"the axis {dimension.name} varies this, so `--set` must not set it"
                problems.add(place, rule, got=target)


def _recorded(written: Node) -> Node:
    """Return the document as results keep it: without scales and Slurm, and with labels as text, also
    `1e-3`."""

    def as_text(node: Node) -> Node:
        if node.is_list:
            return replace(node, value=tuple(as_text(each) for each in node.elements()))
        if node.is_mapping:
            return replace(node, value={key: as_text(value) for key, value in node.items()})
        return node if node.value is None else replace(node, value=node.text)

    def with_text(node: Node, *keys: str) -> Node:
        for key in keys:
            if key in node:
                node = node.having(key, as_text(node[key]), node.key_place(key))
        return node

    def design_as_text(node: Node) -> Node:
        if not node.is_mapping:
            return as_text(node)
        parts = {}
        for key, value in node.items():
            if key == "union" and value.is_list:
                value = replace(value, value=tuple(map(design_as_text, value.elements())))
            elif key != "fractional":
                value = as_text(value)
            parts[key] = value
        return replace(node, value=parts)

    written = with_text(written.without("scales", "slurm"), "only", "exclude")
    if "design" in written:
        written = written.having("design", design_as_text(written["design"]), written.key_place("design"))
    if "claims" in written:
        claims = tuple(with_text(claim, "at") for claim in written["claims"].elements())
        written = written.having("claims", replace(written["claims"], value=claims))
    if "axes" in written:
        axes = {name: with_text(axis, "baseline", "when") for name, axis in written["axes"].items()}
        written = written.having("axes", replace(written["axes"], value=axes))
    return written
