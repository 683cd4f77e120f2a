"""What an ablation can vary: one folder per axis, one file per variant.

A variant is a factory. Its positional parameters are run-time objects, its keyword-only parameters are
knobs; the signature is the schema and the only home of a default. `signature.py` reads it from the source,
`registry.py` finds it, `segbench.contract` says what it must do, and each axis's `__init__` says what it
takes and returns. A file with `PRESET = {variant: {knob: value}}` gives a name to a variant with other
defaults; configurations record the variant. Files whose names start with `_`, and files with neither, hold
what the variants of one axis share. Axes do not import each other.
"""
