"""The contract of a network."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from segbench import registry
from segbench.axes.model import assemble
from segbench.axes.model.pretrained import is_pretrained
from segbench.contract import Broken, Subject
from segbench.contract.tensors import (
    expect_close,
    expect_every_parameter_reached,
    expect_finite,
    expect_finite_gradients,
    expect_round_trip,
    expect_same,
    expect_shape,
    normal,
    seeded,
)
from segbench.sizes import declared_multiple


def declares_its_size_multiple(subject: Subject) -> None:
    """What @variant(size_multiple=...) declares is what the network has as `size_multiple`."""
    declared = declared_multiple(subject.variant, subject.knobs)
    got = getattr(_network(subject), "size_multiple", 1)
    if declared is not None and got != declared:
        raise Broken(f"the decorator says {declared}, the network says {got}")
    if declared is None and got != 1:
        raise Broken(f"the network says {got}: declare it with @variant(size_multiple=...)")


def emits_a_map_of_logits(subject: Subject) -> None:
    """(N, C, H, W) images give (N, 1, H, W) finite logits, also at batch 1 and non-square.

    Without norm in training, with batch norm in evaluation: a network that averages an image to a 1x1 map
    cannot train on one image with batch norm, which is its design and no slip (guard SB107 tells whoever asks
    for that).
    """
    network = _network(subject)
    for batch, height, width in _shapes(network):
        logits = network(normal(batch, 3, height, width))
        expect_shape(logits, (batch, 1, height, width), f"logits of {batch} images of {height}x{width}")
        expect_finite(logits, f"logits of {batch} images of {height}x{width}")
    side = _side(network)
    logits = _logits(_network(subject, norm="batch").eval(), normal(1, 3, side, side))
    expect_shape(logits, (1, 1, side, side), "logits of 1 image with batch norm in evaluation")
    for in_channels, out_channels in ((1, 1), (3, 2)):
        network = _network(subject, in_channels=in_channels, out_channels=out_channels)
        logits = network(normal(2, in_channels, side, side))
        what = f"logits for {in_channels} channels in and {out_channels} out"
        expect_shape(logits, (2, out_channels, side, side), what)


def reaches_every_parameter(subject: Subject) -> None:
    """The gradient of the output reaches every parameter."""
    network = _network(subject)
    expect_every_parameter_reached(network, normal(2, 3, _side(network), _side(network)))


def is_repeatable_in_evaluation(subject: Subject) -> None:
    """In evaluation equal images give equal logits, and nothing in the network changes."""
    network = _network(subject)
    images = normal(2, 3, _side(network), _side(network))
    network.eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    first, second = _logits(network, images), _logits(network, images)
    expect_same(first, second, "the same images twice (are parameters made inside forward?)")
    after = network.state_dict()
    if before.keys() != after.keys():
        new = ", ".join(sorted(before.keys() ^ after.keys()))
        raise Broken(f"forward made or removed parameters: {new}")
    for name, value in before.items():
        expect_same(value, after[name], f"{name} after a forward pass in evaluation")


def treats_images_alone(subject: Subject) -> None:
    """In evaluation an image's logits do not depend on the others of its batch."""
    network = _network(subject).eval()
    images = normal(2, 3, _side(network), _side(network))
    images[1] *= 5
    expect_close(_logits(network, images)[:1], _logits(network, images[:1]), "an image alone and in a batch")


def emits_logits_not_probabilities(subject: Subject) -> None:
    """The output is unbounded: it can be pushed below 0 and above 1, so no sigmoid ends the network."""
    for sign, name in ((1, "below 0"), (-1, "above 1")):
        if not any(_leaves_bounds(subject, sign, lr) for lr in _PUSHES):
            raise Broken(f"training could not push the mean output {name}: does a sigmoid end the network?")


def saves_and_loads(subject: Subject) -> None:
    """The state can be saved, loaded into a fresh network, and gives bit-identical logits there."""
    first, second = _network(subject, seed=0), _network(subject, seed=1)
    images = normal(2, 3, _side(first), _side(first))
    first(images)  # moves running statistics
    expect_round_trip(first, second, "state")
    expect_same(_logits(first.eval(), images), _logits(second.eval(), images), "logits after loading")


def runs_in_bf16(subject: Subject) -> None:
    """Under bf16 autocast logits and gradients are finite."""
    network = _network(subject, norm="batch")
    images = normal(2, 3, _side(network), _side(network))
    with torch.autocast("cpu", torch.bfloat16):
        logits = network(images)
    expect_finite(logits, "logits in bf16")
    logits.float().square().mean().backward()
    expect_finite_gradients(network)


def runs_in_channels_last(subject: Subject) -> None:
    """The memory format channels_last changes nothing but rounding."""
    network = _network(subject).eval()
    images = normal(2, 3, _side(network), _side(network))
    plain = _logits(network, images)
    network.to(memory_format=torch.channels_last)
    expect_close(plain, _logits(network, images.to(memory_format=torch.channels_last)), "channels_last")


def compiles(subject: Subject) -> None:
    """torch.compile takes it in training: equal logits and gradients (traced by dynamo and aot_eager)."""
    plain, compiled = (_network(subject, norm="batch") for _ in range(2))
    images = normal(2, 3, _side(plain), _side(plain))
    with seeded():
        expected = plain(images)
    expected.square().mean().backward()
    torch.compiler.reset()
    try:
        with seeded():
            logits = torch.compile(compiled, backend="aot_eager")(images)
        logits.square().mean().backward()
    finally:
        torch.compiler.reset()
    expect_close(expected, logits, "logits of the compiled network")
    for name, parameter in plain.named_parameters():
        gradient = compiled.get_parameter(name).grad
        if parameter.grad is None or gradient is None:
            if parameter.grad is not gradient:
                raise Broken(f"{name} has a gradient in only one of the plain and the compiled network")
        else:
            expect_close(parameter.grad, gradient, f"the gradient of {name} in the compiled network")


def exports(subject: Subject) -> None:
    """torch.export takes it in evaluation: the program gives equal logits for a batch of any size."""
    network = _network(subject, norm="batch").eval()
    images = normal(2, 3, _side(network), _side(network))
    shapes = ({0: torch.export.Dim("batch")},)
    program = torch.export.export(network, (images,), dynamic_shapes=shapes).module()
    for batch in (images, images[:1]):
        what = f"logits of {len(batch)} images of the exported network"
        expect_close(_logits(network, batch), _logits(program, batch), what)


def shares_weights_across_norms(subject: Subject) -> None:
    """Exchanging the norm renames no other parameter, so arms share the weights they can share."""
    plain = {name: p.shape for name, p in _network(subject, norm="none").named_parameters()}
    normed = {name: p.shape for name, p in _network(subject, norm="batch").named_parameters()}
    for name, shape in plain.items():
        if normed.get(name) != shape:
            got = "is missing" if name not in normed else f"has the shape {tuple(normed[name])}"
            raise Broken(f"{name} {tuple(shape)} without norm {got} with batch norm")


def is_drawn_by_init(subject: Subject) -> None:
    """Starting weights come from `init` alone: modules with random parameters have reset_parameters().

    Those of modules whose `is_pretrained` is True are the same in every network.
    """
    first, second = (_network(subject, seed=seed) for seed in (0, 1))
    init = registry.load(registry.find("init", "default"))
    for network in (first, second):
        for module in network.modules():
            if list(module.parameters(recurse=False)) and not is_pretrained(module):
                init(module, torch.Generator().manual_seed(0))
    for name, value in first.named_parameters():
        if not torch.equal(value, second.get_parameter(name)):
            raise Broken(f"{name} keeps what the constructor drew: give its module a reset_parameters()")


def _network(
    subject: Subject, *, norm: str = "none", in_channels: int = 3, out_channels: int = 1, seed: int = 0
) -> nn.Module:
    norm_variant = registry.find("norm", norm)
    norm_knobs = {k.name: k.default for k in norm_variant.knobs.values()}
    with seeded(seed):
        return assemble(subject.variant, subject.knobs, norm_variant, norm_knobs, in_channels, out_channels)


_PUSHES = (0.03, 0.001)
"""Learning rates that are tried in turn: the first is quick, a deep network without norm needs the second."""


def _leaves_bounds(subject: Subject, sign: int, lr: float) -> bool:
    """Whether 60 steps of Adam bring the mean output below 0 (sign 1) or above 1 (sign -1)."""
    network = _network(subject)
    images = normal(2, 3, _side(network), _side(network))
    optimizer = torch.optim.Adam(network.parameters(), lr=lr)
    for _ in range(60):
        mean = network(images).mean()
        if (sign > 0 and mean < 0) or (sign < 0 and mean > 1):
            return True
        optimizer.zero_grad()
        (sign * mean).backward()
        optimizer.step()
    return False


def _side(network: nn.Module) -> int:
    """Return a small side that leaves maps of 2x2 at the deepest level (at stride 32 for any size).

    A network that needs a larger one says so as `least`.
    """
    multiple = _size_multiple(network)
    wanted = max(64 if multiple == 1 else max(2 * multiple, 32), getattr(network, "least", 1))
    return -(-wanted // multiple) * multiple


def _size_multiple(network: nn.Module) -> int:
    multiple: int = network.size_multiple  # type: ignore[assignment]  # a plain attribute of every model
    return multiple


def _shapes(network: nn.Module) -> list[tuple[int, int, int]]:
    side, multiple = _side(network), _size_multiple(network)
    return [(1, side, side), (2, side, side + multiple), (2, side + multiple, side)]


def _logits(network: nn.Module, images: Tensor) -> Tensor:
    with torch.no_grad():
        return network(images)  # type: ignore[no-any-return]
