from segbench.registry import marker

variant = marker("augment")
