"""Whether the images of a batch may go through a network in parts, and a full device for tests.

Where nothing in a network, its loss or its mixing looks at a batch as a whole, the gradient of the batch is
the weighted sum of its parts' gradients, whatever the parts: memory is saved, and nothing but rounding
changes.
"""

from __future__ import annotations

import os
from typing import Final

import torch
from torch import nn

from segbench.engine.numerics import seeded

TEST_VARIABLE: Final = "SEGBENCH_TEST_OOM"
"""For tests without a GPU: training on more images at a time than this number says runs out of memory."""

_TOLERANCE: Final = 1e-3
"""Of the largest logit. Other batch sizes round differently; what sees the batch moves logits by far more."""


def effect_of_batch(model: nn.Module, images: torch.Tensor) -> str | None:
    """Say why a network in training must see a batch as a whole, or return None where it need not.

    It runs in training mode with and without its neighbours for each image, drawing from equal seeds; its
    buffers and its mode are put back.

    Args:
        model: The network.
        images: (N,C,H,W) with N of at least 2, on its device.
    """
    if any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in model.modules()):
        return "batch norm sees the whole batch"
    was_training = model.training
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    model.train()
    try:
        with torch.no_grad():
            with seeded(0, images.device):
                drawn = _random_state(images.device)
                together = model(images).float()
                draws = not torch.equal(_random_state(images.device), drawn)
            keeps = any(not torch.equal(buffer, before[name]) for name, buffer in model.named_buffers())
            with seeded(0, images.device):
                apart = torch.cat([model(image[None]).float() for image in images])
    except (ValueError, TypeError) as error:
        return f"the network does not take one image alone ({error})"
    finally:
        for name, buffer in model.named_buffers():
            buffer.copy_(before[name])
        model.train(was_training)
    if keeps:
        return "the network keeps statistics of batches"
    if draws:
        return "the network draws at random in training (dropout)"
    if (together - apart).abs().max() > _TOLERANCE * together.abs().max():
        return "what the network says of an image depends on its batch"
    return None


def _random_state(device: torch.device) -> torch.Tensor:
    return torch.cuda.get_rng_state(device) if device.type == "cuda" else torch.get_rng_state()


def heed_test(num_images: int) -> None:
    """Run out of memory where a test asks for it (`SEGBENCH_TEST_OOM`).

    Raises:
        torch.OutOfMemoryError: More images than the test's number.
    """
    limit = os.environ.get(TEST_VARIABLE)
    if limit and num_images > int(limit):
        raise torch.OutOfMemoryError(f"out of memory by {TEST_VARIABLE}={limit}, {num_images} images")
