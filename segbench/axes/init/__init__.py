"""Starting weights, drawn module by module from a generator of the module's own.

Signature: `variant(module, generator, *, knobs) -> None`.

It is called once per module that holds parameters of its own, with a generator made from (seed, "init",
module name), so arms of one seed share the weights that they can share.
"""

from segbench.registry import marker

variant = marker("init")
