"""Optimisers. Weight decay applies to every parameter, biases and normalisation layers too.

Signature: `variant(parameters, *, lr, weight_decay, knobs) -> torch.optim.Optimizer`.
"""

from segbench.registry import marker

variant = marker("optimizer")
