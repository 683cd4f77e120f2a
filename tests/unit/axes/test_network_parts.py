"""Parts of networks: what each does to a tensor, and what is refused."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
import torch
from torch import nn

from segbench.axes import model
from segbench.axes.model.blocks import BasicBlock, dropout_2d
from segbench.axes.model.decoder import ConcatThenUp, UpBilinear, UpTransposed
from segbench.axes.model.norms import NormFactory
from segbench.axes.model.skips import AttentionGate, Join, pad_to
from segbench.config.trial import Choice
from segbench.errors import ExperimentError

NO_NORM = NormFactory(lambda channels: nn.Identity())
SIZES = [(33, 47), (40, 64), (35, 19), (64, 65)]


def build(name: str, norm: str = "batch", **knobs: Any) -> nn.Module:
    torch.manual_seed(0)
    return model.build(Choice.of("model", name, **{"width": 4, **knobs}), Choice.of("norm", norm))


def images(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("norm", ["batch", "instance"])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("name", "knobs"),
    [
        ("unet_r4", {}),
        ("unet_r4", {"up": "bilinear"}),
        ("unet", {"fit": "pad", "skips": "attention", "depth": 3}),
        ("resnet34_unet_r4", {"blocks": [1, 1, 1]}),
        ("resnet34_unet_r4", {"blocks": [1, 2], "stride_on": "every_block"}),
        ("resnet34_unet", {"blocks": [1, 1], "fit": "pad"}),
        (
            "resnet34_unet_r0",
            {"blocks": [1, 1], "fit": "pad", "norm_scope": "everywhere", "bottleneck": "double_conv"},
        ),
    ],
)
def test_any_size_with_padding(name: str, knobs: dict[str, Any], size: tuple[int, int], norm: str) -> None:
    network = build(name, norm, **knobs)
    logits = network(images(2, 3, *size))
    assert logits.shape == (2, 1, *size)
    logits.square().mean().backward()
    assert all(torch.isfinite(p.grad).all() for p in network.parameters())


@pytest.mark.parametrize("name", ["unet", "resnet34_unet"])
def test_padding_changes_nothing_where_nothing_is_missing(name: str) -> None:
    with torch.no_grad():
        plain, padded = (build(name, fit=fit).eval()(images(1, 3, 64, 96)) for fit in ("refuse", "pad"))
    assert torch.equal(plain, padded)


def test_images_too_small_to_be_halved() -> None:
    network = build("unet", fit="pad", depth=4)
    with pytest.raises(ValueError, match=r"^images: the model takes sizes from 16, got 15\.$"):
        network(images(1, 3, 32, 15))
    assert network(images(2, 3, 16, 17)).shape == (2, 1, 16, 17)


def test_pad_to_pads_and_crops_centred() -> None:
    small = torch.ones(1, 1, 1, 4)
    found = pad_to(small, torch.empty(1, 7, 4, 2))
    assert found.tolist() == [[[[0, 0], [1, 1], [0, 0], [0, 0]]]]
    assert pad_to(torch.arange(4.0).reshape(1, 1, 1, 4), torch.empty(1, 1, 1, 2)).tolist() == [[[[1, 2]]]]


@pytest.mark.parametrize(("concat", "order"), [("skip_first", [2, 1]), ("up_first", [1, 2])])
def test_whose_channels_come_first(concat: str, order: list[float]) -> None:
    below, skip = torch.full((1, 1, 2, 2), 1.0), torch.full((1, 1, 2, 2), 2.0)
    assert Join(concat=concat)(below, skip)[0, :, 0, 0].tolist() == order


def test_r0_concatenates_the_deeper_map_first_as_it_prints() -> None:
    """Its ResNet-U-Net: cat(x6, x5), cat(x8, x4), cat(x10, x3), cat(x12, x2); its U-Net: the skip first."""
    network = build("resnet34_unet_r0", blocks=[1, 1, 1, 1], width=8)
    joins = []
    for up in network.up:
        up.join.register_forward_hook(lambda module, inputs, output: joins.append((*inputs, output)))
    network(images(2, 3, 64, 64))
    assert [(below.shape[1], skip.shape[1]) for below, skip, _ in joins] == [
        (32, 64),
        (4, 32),
        (4, 16),
        (4, 8),
    ]
    for below, skip, joined in joins:
        assert torch.equal(joined, torch.cat([below, skip], dim=1))
    assert {up.join.concat for up in build("unet_r0").up} == {"skip_first"}


def test_the_order_is_a_permutation_of_inputs() -> None:
    """Both orders are one function, up to an exchange of the first convolution's input channels."""
    networks = [build("unet", depth=1, concat=c) for c in ("skip_first", "up_first")]
    networks[1].load_state_dict(networks[0].state_dict())
    weight = networks[1].up[0].conv.first.conv.weight
    weight.data = torch.cat([weight.data[:, 4:], weight.data[:, :4]], dim=1)
    first, second = (network.eval()(images(1, 3, 8, 8)) for network in networks)
    torch.testing.assert_close(first, second)


def test_the_gate_is_the_papers_equation() -> None:
    gate = AttentionGate(4, 6)
    skip, gating = images(2, 4, 8, 6), images(2, 6, 4, 3)
    mapped = torch.einsum("oi,nihw->nohw", gate.skip_map.weight[..., 0, 0], skip[..., ::2, ::2])
    asked = torch.einsum("oi,nihw->nohw", gate.gating_map.weight[..., 0, 0], gating)
    inner = torch.relu(mapped + asked + gate.gating_map.bias[:, None, None])
    coarse = torch.einsum("oi,nihw->nohw", gate.psi.weight[..., 0, 0], inner) + gate.psi.bias
    alpha = nn.functional.interpolate(torch.sigmoid(coarse), scale_factor=2, mode="bilinear")
    torch.testing.assert_close(gate(skip, gating), alpha * skip)
    assert gate.skip_map.out_channels == 2
    assert gate.skip_map.bias is None


def test_a_gate_that_lets_everything_pass_is_a_plain_skip() -> None:
    gated, plain = build("unet", skips="attention"), build("unet")
    plain.load_state_dict(gated.state_dict(), strict=False)
    gates = [up.gate for up in gated.up]
    assert [gate is None for gate in gates] == [False, False, False, True]  # the first level's is plain
    for gate in gates[:3]:
        nn.init.zeros_(gate.psi.weight)
        nn.init.constant_(gate.psi.bias, 50.0)
    with torch.no_grad():
        torch.testing.assert_close(gated.eval()(images(1, 3, 32, 32)), plain.eval()(images(1, 3, 32, 32)))


def test_dropout_drops_whole_channels_of_the_deepest_level() -> None:
    network = build("unet", dropout=0.5, depth=1, width=16)
    seen: list[torch.Tensor] = []
    network.dropout.register_forward_hook(lambda module, inputs, output: seen.extend([*inputs, output]))
    network(images(1, 3, 8, 8))
    before, after = seen
    is_dropped = (after == 0).flatten(2).all(dim=2)
    torch.testing.assert_close(after, torch.where(is_dropped[..., None, None], 0.0, 2 * before))
    assert 4 <= is_dropped.sum() <= 28
    network.eval()(images(1, 3, 8, 8))
    assert torch.equal(seen[2], seen[3])


def test_no_dropout_draws_nothing() -> None:
    layer = dropout_2d(0.0)
    state = torch.get_rng_state()
    assert torch.equal(layer(torch.ones(1, 2, 2, 2)), torch.ones(1, 2, 2, 2))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(("relu", "is_negative"), [("after_sum", False), ("before_sum", True)])
def test_what_follows_the_sum_of_a_block(relu: str, is_negative: bool) -> None:
    torch.manual_seed(0)
    block = BasicBlock(4, 4, NO_NORM, relu=relu)
    x = images(1, 4, 6, 6)
    inner = block.second.conv(block.first(x))
    expected = torch.relu(inner + x) if relu == "after_sum" else torch.relu(inner) + x
    assert torch.equal(block(x), expected)
    assert bool((block(x) < 0).any()) is is_negative


@pytest.mark.parametrize("stage", [UpTransposed, UpBilinear, ConcatThenUp])
def test_stages_double_the_size(stage: type[nn.Module]) -> None:
    side = 4 if stage is ConcatThenUp else 8
    assert stage(6, 4, 5, NO_NORM)(images(1, 6, 4, 4), images(1, 4, side, side)).shape == (1, 5, 8, 8)


def test_where_a_norm_swap_in_double_convolutions_leaves_batch_norm() -> None:
    network = build("resnet34_unet_r0", "none", blocks=[1, 2])
    left = {name for name, module in network.named_modules() if isinstance(module, nn.BatchNorm2d)}
    assert left == {"stem.norm", "stages.1.0.shortcut.norm", "bottleneck.norm"}
    everywhere = build("resnet34_unet_r0", "none", blocks=[1, 2], norm_scope="everywhere")
    assert not [m for m in everywhere.modules() if isinstance(m, nn.BatchNorm2d)]


def test_a_swap_in_double_convolutions_gives_them_alone_a_bias() -> None:
    none = Choice.of("norm", "none", conv_bias=True)
    knobs = {"width": 4, "blocks": [1, 2], "norm_scope": "double_convs"}
    network = model.build(Choice.of("model", "resnet34_unet", **knobs), none)
    biased = {n for n, m in network.named_modules() if isinstance(m, nn.Conv2d) and m.bias is not None}
    inside = [n for n in biased if n.endswith(("first.conv", "second.conv"))]
    assert biased - set(inside) == {"head"}
    assert len(inside) == 2 * 3 + 2 * 2
    assert network.bottleneck.first.conv.bias is None


def test_the_fourth_skip_of_r4_is_cropped_to() -> None:
    network = build("resnet34_unet_r4", blocks=[1, 1, 1, 1])
    shapes = []
    for up in network.up:
        up.register_forward_hook(lambda module, inputs, output: shapes.append(tuple(output.shape[1:])))
    network(images(1, 3, 64, 64))
    assert shapes == [(32, 4, 4), (16, 8, 8), (8, 16, 16), (4, 16, 16)]
    assert len(network.doublings) == 1


def test_modules_keep_the_names_that_weights_are_drawn_by() -> None:
    """A renamed module would start from other weights, and trials on disk would have other numbers."""
    double = ["first.conv", "first.norm", "second.conv", "second.norm"]
    shortcut = ["shortcut.conv", "shortcut.norm"]
    names = {
        "unet": [
            *(f"stem.{part}" for part in double),
            *(f"down.0.{part}" for part in double),
            *(f"up.0.{part}" for part in ["up", *(f"conv.{part}" for part in double)]),
            "head",
        ],
        "resnet34_unet": [
            *("stem.conv", "stem.norm"),
            *(f"stages.0.0.{part}" for part in double),
            *(f"stages.1.0.{part}" for part in [*double, *shortcut]),
            *(f"bottleneck.{part}" for part in double),
            *(f"up.{k}.{part}" for k in (0, 1) for part in ["up", *(f"conv.{part}" for part in double)]),
            *("last_up", "last_norm", "head"),
        ],
    }
    for name, knobs in (("unet", {"depth": 1}), ("resnet34_unet", {"blocks": [1, 1]})):
        modules = build(name, **knobs).named_modules()
        assert [n for n, m in modules if list(m.parameters(recurse=False))] == names[name]


PROBLEMS = {
    "bottleneck": (
        {"decoder": "concat_then_up", "bottleneck": "residual", "stem_skip": "none"},
        "model resnet34_unet: decoder concat_then_up takes the deepest stage as a skip beside the "
        "bottleneck, got 'residual'. Set bottleneck to double_conv or conv.",
    ),
    "stem": (
        {"decoder": "concat_then_up"},
        "model resnet34_unet: decoder concat_then_up has no stage for a skip from the stem, got "
        "'before_pooling'. Set stem_skip to none.",
    ),
    "pooling": (
        {"stem_skip": "after_pooling"},
        "model resnet34_unet: the skip after pooling is half as large as the decoder's map, got "
        "'after_pooling'. Set fit to pad, which crops the map.",
    ),
    "stride": (
        {"stride_on": "every_block"},
        "model resnet34_unet: with a stride on every block the decoder's maps are smaller than the skips, "
        "got 'every_block'. Set fit to pad.",
    ),
    "two": (
        {"decoder": "concat_then_up", "bottleneck": "none"},
        "model resnet34_unet: decoder concat_then_up takes the deepest stage as a skip beside the "
        "bottleneck, got 'none'. Set bottleneck to double_conv or conv.\n"
        "model resnet34_unet: decoder concat_then_up has no stage for a skip from the stem, got "
        "'before_pooling'. Set stem_skip to none.",
    ),
}


@pytest.mark.parametrize("case", PROBLEMS)
def test_parts_that_do_not_fit_together(case: str) -> None:
    knobs, text = PROBLEMS[case]
    with pytest.raises(ExperimentError) as error:
        build("resnet34_unet", **knobs)
    assert str(error.value) == text


CHOICES = {
    "bottleneck": ["double_conv", "conv", "residual", "none"],
    "stem_skip": ["before_pooling", "after_pooling", "none"],
    "decoder": ["up_then_concat", "concat_then_up"],
    "stride_on": ["first_block", "every_block"],
    "fit": ["refuse", "pad"],
    "blocks": [[1], [1, 2]],
}


@pytest.mark.parametrize("up", ["transposed", "bilinear"])
@pytest.mark.parametrize("end", ["transposed_norm", "transposed", "bilinear"])
@pytest.mark.parametrize("decoder_width", ["skip", "halving", "half"])
def test_all_parts_that_fit_together_give_a_map_of_the_images_size(
    up: str, end: str, decoder_width: str
) -> None:
    count = 0
    for values in product(*CHOICES.values()):
        knobs = dict(zip(CHOICES, values, strict=True))
        try:
            network = build(
                "resnet34_unet", "none", width=1, up=up, end=end, decoder_width=decoder_width, **knobs
            )
        except ExperimentError:
            continue
        count += 1
        side = network.size_multiple if network.size_multiple > 1 else 31
        assert network(torch.zeros(1, 3, side, 2 * side)).shape == (1, 1, side, 2 * side), knobs
    assert count == 86
