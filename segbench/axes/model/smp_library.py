"""What stands between segmentation_models.pytorch and us; imported where a network is built."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from segbench.axes.model.adoption import take_norm
from segbench.axes.model.blocks import check_size
from segbench.axes.model.pretrained import check_channels, mark_pretrained
from segbench.errors import ExperimentError, message

if TYPE_CHECKING:
    from segbench.axes.model.norms import NormFactory

_WHERE = "model.smp"


def library_network(
    arch: str, encoder: str, weights: str, in_channels: int, out_channels: int, norm: NormFactory
) -> nn.Module:
    """Build what `smp` describes.

    Raises:
        ExperimentError: As `smp` says.
    """
    library = _import()
    if weights != "none":
        check_channels(f"{_WHERE}.weights", in_channels)
    _check_encoder(library, encoder, weights)
    with warnings.catch_warnings():
        # `timm-` names are deprecated by the library, and timm speaks of what it maps them to.
        warnings.simplefilter("ignore")
        network = _create(library, arch, encoder, weights, in_channels, out_channels)
    if weights != "none":
        mark_pretrained(network.encoder)
    take_norm(network, norm)
    return LogitsOfSize(network, least=128 if arch == "pan" else 1)


class LogitsOfSize(nn.Module):
    """A network of the library, which refuses sizes as ours do."""

    def __init__(self, network: nn.Module, *, least: int) -> None:
        super().__init__()
        self.least = least
        self.encoder = network.encoder
        self.decoder = network.decoder
        self.head = network.segmentation_head
        divides = network.requires_divisible_input_shape
        self.size_multiple = int(network.encoder.output_stride) if divides else 1

    def forward(self, images: Tensor) -> Tensor:
        check_size(images, self.size_multiple, self.least)
        return self.head(self.decoder(self.encoder(images)))


def _import() -> Any:
    try:
        import segmentation_models_pytorch as library
    except ImportError as error:
        rule = f"segmentation_models.pytorch cannot be imported ({error})"
        raise ExperimentError(message(_WHERE, rule, see="pip install 'segbench[smp]'")) from error
    return library


def _check_encoder(library: Any, encoder: str, weights: str) -> None:
    known = library.encoders.encoders
    if encoder.startswith("tu-"):
        if weights not in ("none", "imagenet"):
            rule = "timm's encoders have one set of weights each"
            raise ExperimentError(message(f"{_WHERE}.weights", rule, got=weights, known=("none", "imagenet")))
        return
    if encoder not in known:
        see = "Names of timm's encoders begin with tu-"
        rule = "there is no encoder of this name"
        raise ExperimentError(message(f"{_WHERE}.encoder", rule, got=encoder, known=known, see=see))
    sets = ("none", *known[encoder]["pretrained_settings"])
    if weights not in sets:
        rule = f"{encoder} has no such weights"
        raise ExperimentError(message(f"{_WHERE}.weights", rule, got=weights, known=sets))


def _create(
    library: Any, arch: str, encoder: str, weights: str, in_channels: int, out_channels: int
) -> nn.Module:
    name = None if weights == "none" else True if encoder.startswith("tu-") else weights
    try:
        network: nn.Module = library.create_model(
            arch, encoder_name=encoder, encoder_weights=name, in_channels=in_channels, classes=out_channels
        )
    except OSError as error:
        raise ExperimentError(_no_file(library, encoder, weights, error)) from error
    # What the library raises where an architecture does not take an encoder depends on the pair.
    except (KeyError, ValueError, RuntimeError, NotImplementedError, TypeError) as error:
        rule = f"the library builds no {arch} on {encoder} ({' '.join(str(error).split())})"
        raise ExperimentError(message(_WHERE, rule, see="Take another encoder, such as resnet34")) from error
    return network


def _no_file(library: Any, encoder: str, weights: str, error: OSError) -> str:
    from huggingface_hub.constants import HF_HUB_CACHE

    reason = " ".join(str(error).split())
    settings = library.encoders.encoders.get(encoder, {}).get("pretrained_settings", {}).get(weights, {})
    what = f"model.safetensors of {settings['repo_id']}" if settings else f"the weights of {encoder}"
    rule = f"{what} is not in {HF_HUB_CACHE} and could not be downloaded ({reason})"
    see = "Build the network once where there is a network, and copy that folder; HF_HUB_CACHE moves it"
    return message(f"{_WHERE}.weights", rule, see=see)
