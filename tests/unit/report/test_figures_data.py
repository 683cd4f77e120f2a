"""Figures as data: which numbers and words they hold."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import fake_analysis as fake
import pandas as pd
import pytest

from segbench.config.experiment import Axis, Level, Search, SearchParameter
from segbench.report.draw.figure import COLOURS, Figure, dodge, linear, logarithmic, verdict_look
from segbench.report.draw.layout import place, shortened, text_width, wrapped
from segbench.report.labels import Labels, Style
from segbench.report.topics.arrangement import axes_of_loss, lay_out, slug, unique_slugs
from segbench.report.topics.walk import FIGURE_NAMES, make_figures


def figures_of(analysis, **style) -> dict[str, Figure]:
    return {figure.name: figure for figure in make_figures(analysis, Labels(analysis, Style(**style)))}


def test_figures_come_in_the_order_of_topics():
    figures = figures_of(fake.make_analysis())
    assert list(figures) == ["effects", "interactions", "outcome", "cost", "curves-dice", "curves-loss"]
    assert set(figures) < set(FIGURE_NAMES)


def test_the_axis_with_most_levels_gets_the_colour_and_the_other_one_facets():
    layout = lay_out(Labels(fake.make_analysis(), Style()))
    assert layout.colour_axis == "norm"
    assert layout.facets == (("unet",), ("resnet34_unet",))
    assert [layout.colour(level) for level in layout.levels] == list(COLOURS[:3])


def test_curves_hold_the_means_and_bands_of_the_analysis():
    analysis = fake.make_analysis()
    figure = figures_of(analysis)["curves-dice"]
    mark = next(m for m in figure.marks if m.key == "unet-DyT_val")
    rows = analysis.curves[
        (analysis.curves["cell"] == "unet, DyT") & (analysis.curves["metric"] == "val_dice")
    ]
    assert mark.y == pytest.approx(tuple(rows["mean"]))
    assert mark.low == pytest.approx(tuple(rows["low"]))
    assert mark.look.dash == "solid"
    train = next(m for m in figure.marks if m.key == "unet-DyT_train")
    assert train.look.dash == "dashed"
    assert train.low == ()
    assert any("running mean over augmented batches" in key.text for key in figure.legend)


def test_two_seeds_draw_no_band_and_say_why():
    figure = figures_of(fake.make_analysis(fake.QUICKSTART, seeds=2))["curves-dice"]
    assert all(mark.low == () for mark in figure.marks)
    assert "No band: the interval of two seeds would cover the plot." in figure.caption


def test_losses_of_different_levels_are_never_in_one_plot_area():
    analysis = fake.make_analysis({"loss": ("bce", "dice", "tversky"), "norm": ("batch", "none")})
    labels = Labels(analysis, Style())
    assert axes_of_loss(labels) == {"loss"}
    figures = figures_of(analysis)
    assert not figures["curves-loss"].shares_y
    assert [facet.title for row in figures["curves-loss"].facets for facet in row] == [
        "bce",
        "dice",
        "tversky",
    ]
    assert len({facet.y for row in figures["curves-loss"].facets for facet in row}) == 3
    assert "values of different losses are not comparable" in figures["curves-loss"].caption
    assert [facet.title for row in figures["curves-dice"].facets for facet in row] == ["batch", "none"]


def test_a_patch_axis_that_changes_a_knob_of_the_loss_counts_as_one():
    analysis = fake.make_analysis({"alpha": ("low", "high"), "norm": ("batch", "none")})
    axis = Axis(
        "alpha",
        (Level("low", {"loss.tversky.alpha": 0.3}), Level("high", {"loss.tversky.alpha": 0.7})),
        "low",
    )
    experiment = replace(analysis.experiment, axes=(axis, analysis.experiment.axes[1]))
    assert axes_of_loss(Labels(replace(analysis, experiment=experiment), Style())) == {"alpha"}


def test_the_forest_shows_margin_both_intervals_and_the_last_epoch():
    analysis = fake.make_analysis()
    (facet,) = figures_of(analysis)["effects"].facets[0]
    assert facet.region == (-0.005, 0.005)
    assert facet.verticals == (0.0,)
    assert facet.y.tick_labels[1] == "norm: none − BatchNorm"
    assert facet.right[1].text == "−0.012 [−0.020, −0.004] worse"
    by_key = {mark.key: mark for mark in facet.marks}
    assert by_key["r2"].x == (-0.012,)
    assert by_key["r2"].low == pytest.approx((-0.020,))
    assert by_key["r2_new"].low == pytest.approx((-0.023,))
    assert by_key["r2_last"].x == pytest.approx((-0.014,))
    assert by_key["r2"].look == verdict_look("worse")
    assert by_key["r4"].look.is_hollow
    assert by_key["r4"].name == "exploratory"


def test_other_metrics_stay_out_of_the_forest():
    analysis = fake.make_analysis()
    timed = analysis.effects.head(1).assign(metric="epoch_time_s", difference=9.0)
    figure = figures_of(fake.with_frames(analysis, effects=pd.concat([analysis.effects, timed])))["effects"]
    assert all(9.0 not in mark.x for mark in figure.marks)


def test_outcome_shows_every_seed_and_counts_the_lost_ones():
    figure = figures_of(fake.make_analysis())["outcome"]
    (facet,) = figure.facets[0]
    seeds = [mark for mark in facet.marks if mark.key.endswith("_seeds")]
    assert [len(mark.x) for mark in seeds] == [3, 3, 3, 3, 3, 2]
    assert facet.right[-1].text.endswith("n = 2 (+1 lost)")
    assert "seed 0: 0." in seeds[0].hover[0]


def test_style_orders_and_names_the_levels():
    figures = figures_of(
        fake.make_analysis(),
        labels={"DyT": "Dynamic Tanh"},
        order={"norm": ("DyT", "none")},
        digits=2,
        width_cm=12.0,
    )
    (facet,) = figures["outcome"].facets[0]
    assert facet.y.tick_labels[:3] == ("unet, Dynamic Tanh", "unet, none", "unet, BatchNorm")
    assert facet.right[2].text == "0.91 [0.91, 0.92], n = 3"
    assert figures["outcome"].width_cm == 12.0


def test_a_search_draws_the_best_so_far_and_each_parameter():
    analysis = fake.make_analysis()
    search = Search(
        parameters=(SearchParameter(name="lr", path="optimizer.lr", low=1e-5, high=1e-2, log=True),),
        sampler="tpe",
        sampler_seed=0,
        pruner="median",
        pruner_warmup_epochs=2,
        num_trials=4,
    )
    frame = pd.DataFrame(
        {
            "trial": ["a", "b", "c", "d"],
            "number": [0, 1, 2, 3],
            "search:lr": [1e-5, 1e-3, 1e-4, 1e-2],
            "state": ["complete", "complete", "pruned", "complete"],
            "value": [0.5, 0.8, 0.3, 0.7],
        }
    )
    figures = figures_of(
        fake.with_frames(
            replace(analysis, experiment=replace(analysis.experiment, search=search)), search=frame
        )
    )
    marks = {mark.name: mark for mark in figures["search-history"].marks}
    assert marks["best so far"].y == (0.5, 0.8, 0.8)
    slices = figures["search-slices"]
    assert {mark.name: mark for mark in slices.marks}["pruned"].x == (1e-4,)
    assert slices.facets[0][0].x.is_log


def test_nothing_to_draw_is_no_figure():
    analysis = fake.make_analysis()
    empty = pd.DataFrame()
    gone = {"effects": empty, "curves": empty, "seeds": empty, "interaction_means": empty}
    bare = fake.with_frames(analysis, **gone, cells=analysis.cells.head(1))
    assert figures_of(bare) == {}


def test_the_table_of_a_figure_pads_short_marks():
    table = figures_of(fake.make_analysis())["outcome"].table()
    assert list(table)[:2] == ["unet-BatchNorm_seeds_x", "unet-BatchNorm_seeds_y"]
    assert len(table) == 3
    assert table["unet-BatchNorm_mean_x"].isna().tolist() == [False, True, True]


@pytest.mark.parametrize(
    "levels", [fake.NORM, fake.HOSTILE, fake.QUICKSTART, fake.TWELVE], ids=lambda v: str(list(v))
)
def test_nothing_overlaps_or_leaves_the_figure(levels):
    for figure in figures_of(fake.make_analysis(levels)).values():
        layout = place(figure)
        boxes = [placed.box for placed in layout.facets]
        assert all(box.width > 2.5 for box in boxes)
        for first, second in pairwise(boxes):
            assert second.left >= first.left + first.width or second.top >= first.top + first.height
        assert max(box.top + box.height for box in boxes) < layout.height
        for placed in layout.facets:
            room = layout.width - placed.box.left - placed.box.width - 0.12
            assert all(text_width(note.text) <= room for note in placed.facet.right)
            if placed.facet.y.is_category:
                lines = [line for label in placed.facet.y.tick_labels for line in label.split("\n")]
                assert all(text_width(line) <= figure.left_cm for line in lines)
        assert all(key.left + text_width(key.key.text) < layout.width for key in layout.keys)


def test_dodge_keeps_order_distance_and_middle():
    placed = dodge([0.50, 0.51, 0.52, 0.90], 0.1, 0.0, 1.0)
    assert placed == pytest.approx([0.41, 0.51, 0.61, 0.90])
    assert dodge([0.0, 0.0], 0.1, 0.0, 1.0) == pytest.approx([0.0, 0.1])


def test_linear_ticks_are_round_and_inside():
    scale = linear([0.852, 0.917], "Dice")
    assert scale.ticks == pytest.approx((0.86, 0.88, 0.90, 0.92))
    assert scale.tick_labels == ("0.86", "0.88", "0.90", "0.92")
    assert linear([-0.02, 0.02], "").tick_labels[0] == "−0.02"
    assert linear([1, 3], "Epoch", whole=True).tick_labels == ("1", "2", "3")
    flat = linear([0.5, 0.5], "")
    assert flat.low < 0.5 < flat.high


def test_logarithmic_ticks():
    assert logarithmic([1e-5, 1e-2], "lr").tick_labels == ("1e−5", "1e−4", "0.001", "0.01")
    assert logarithmic([1e-6, 1e-1], "wd").tick_labels == ("1e−6", "1e−4", "0.01")
    assert logarithmic([10, 80], "s").tick_labels == ("10", "20", "50", "100")


def test_slugs_are_ascii_and_unique():
    assert slug("λ & <ü>") == "u"
    assert unique_slugs(["a b", "a-b", "日本"]) == {"a b": "a-b", "a-b": "a-b-2", "日本": "x"}


def test_long_texts_are_cut_in_the_middle_or_wrapped():
    text = "resnet34_unet_with_a_name_that_never_ends, DyT"
    assert shortened("unet", 3) == "unet"
    cut = shortened(text, 3.0)
    assert "…" in cut
    assert text_width(cut) <= 3.0
    assert all(text_width(line) <= 4.5 for line in wrapped(text, 4.5).split("\n"))


def test_cells_that_are_not_beaten_are_filled_as_in_the_table():
    analysis = fake.make_analysis()
    figure = figures_of(analysis)["cost"]
    (facets,) = figure.facets
    for facet, column in zip(facets, ("epoch_time_s", "parameters"), strict=True):
        fronts = dict(zip(analysis.cells["cell"], analysis.cells["front"], strict=True))
        shown = {mark.name: not mark.look.is_hollow for mark in facet.marks}
        assert shown == {cell: column in front.split() for cell, front in fronts.items()}
        assert all(("not beaten" in mark.hover[0]) == (not mark.look.is_hollow) for mark in facet.marks)
    assert [key.text for key in figure.legend][-2:] == ["not beaten", "beaten"]
    assert "Filled: no other cell has as good a mean for as little." in figure.caption
    same = fake.with_frames(analysis, cells=analysis.cells.assign(front="epoch_time_s parameters"))
    assert "beaten" not in [key.text for key in figures_of(same)["cost"].legend]


@pytest.mark.parametrize("width_cm", [16.0, 8.0, 5.0])
def test_tick_labels_do_not_touch_also_across_plots(width_cm):
    for figure in figures_of(fake.make_analysis(fake.TWELVE, epochs=200), width_cm=width_cm).values():
        rows: dict[float, list] = {}
        for placed in place(figure).facets:
            rows.setdefault(placed.box.top, []).append(placed)
            assert placed.facet.x.ticks
        for row in rows.values():
            labels = [
                (placed.box.x(tick, placed.facet.x), text_width(text) / 2)
                for placed in row
                for tick, text in zip(placed.facet.x.ticks, placed.facet.x.tick_labels, strict=True)
            ]
            if figure.shares_y:
                assert all(x + w < y - v for (x, w), (y, v) in pairwise(labels)), figure.name
