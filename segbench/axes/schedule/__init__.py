"""Learning-rate schedules: pure functions, so a resumed trial needs no state."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from segbench.registry import marker

Schedule: TypeAlias = Callable[..., float]
"""`factor(epoch, epochs)`: what the learning rate is multiplied by, finite and from 0.

epoch counts from 1, and the factor holds for all of its steps. The function may have these attributes:

- `is_per_step = True`: it is asked before every step, with epoch = e + (step - 1) / steps, a fraction.
- `is_adaptive = True`: it is called as `factor(epoch, epochs, objective)`, a sequence with the value of the
  experiment's objective after each epoch done, signed so that higher is better; a value may be NaN.

epochs is the length of the whole run, also where early stopping may end it sooner.
"""

variant = marker("schedule")
