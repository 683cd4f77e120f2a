"""Starting weights, drawn module by module from a generator of the module's own."""

from segbench.registry import marker

variant = marker("init")
