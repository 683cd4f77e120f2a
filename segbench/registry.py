"""Axes and their variants, read from source text without importing it.

One file `segbench/axes/<axis>/<name>.py` holds one variant: a factory decorated with `@variant`, whose
positional parameters are run-time objects and whose keyword-only parameters are knobs. The signature is the
schema and the only home of a default. Reading it with `ast` (`signature.py`) keeps listing, validating and
planning free of torch; `load` imports. A file may instead hold a preset, a name for a variant with chosen
knobs: `PRESET = {"unet": {"up": "bilinear"}}`, whose docstring is its documentation; a configuration records
the variant that it stands for. A file with neither is a part that variants of its axis share.

A user's own variants are found in `axes/<axis>/<name>.py` beside `experiments/` (see `use_project`) and by
import path (`my_pkg.nets:MyNet`); the latter needs no decorator.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cache
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType
from typing import Any, Final, Protocol, TypeVar, overload

from segbench.errors import ExperimentError, message
from segbench.signature import NO_VARIANT, REQUIRED, Knob, Variant, find_preset, find_variant, read_source

__all__ = [
    "AXES_FOLDER",
    "REQUIRED",
    "Knob",
    "Variant",
    "axes",
    "build",
    "changed_knobs",
    "find",
    "load",
    "marker",
    "read_preset",
    "read_source",
    "use_project",
    "variants",
]

AXES_FOLDER: Final = Path(__file__).parent / "axes"

_project_axes: Path | None = None


def use_project(root: Path | None) -> None:
    """Look for users' variants in `root/axes/` from now on (None: built-ins only)."""
    global _project_axes
    _project_axes = None if root is None else Path(root).resolve() / "axes"
    variants.cache_clear()


_Factory = TypeVar("_Factory", bound=Callable[..., Any])


class Marker(Protocol):
    """The `variant` decorator of an axis, bare or with marks; `marker` says what each is for."""

    @overload
    def __call__(self, function: _Factory, /) -> _Factory: ...
    @overload
    def __call__(
        self,
        *,
        absent: Mapping[str, object] | None = None,
        size_multiple: str | int | None = None,
        places: tuple[str, ...] = (),
        flawed: str | None = None,
    ) -> Callable[[_Factory], _Factory]: ...


def marker(axis: str) -> Marker:
    """Make the `variant` decorator of an axis; it only marks, the registry reads the source.

    It is used bare, or with the values that stand for the absence of knobs added later:
    `@variant(absent={"eps": 1e-5})` leaves `eps` out of the identity where it has that value, so hashes made
    before the knob existed stay valid. A model declares what H and W must be a multiple of, as an expression
    of its knobs: `@variant(size_multiple="2 ** depth")`. A data set names the knobs that say where files are:
    `@variant(places=("images", "masks"))`; they are recorded, but the identity knows the files' contents
    instead. A variant that makes a mistake on purpose, so that its cost can be measured, says which:
    `@variant(flawed="it squashes logits twice")`; it runs only in experiments with `allow_flawed: true`. All
    are literals.
    """

    def variant(
        function: Any = None,
        *,
        absent: Mapping[str, object] | None = None,
        size_multiple: str | int | None = None,
        places: tuple[str, ...] = (),
        flawed: str | None = None,
    ) -> Any:
        if function is None:
            return variant
        function.segbench_axis = axis
        return function

    return variant


def axes() -> tuple[str, ...]:
    """Return the names of all axes that have variants, in alphabetical order."""
    return tuple(sorted(p.name for p in AXES_FOLDER.iterdir() if (p / "__init__.py").is_file()))


@cache
def variants(axis: str) -> Mapping[str, Variant]:
    """Return the variants of an axis by name: the built-in ones, then the project's own.

    Raises:
        ExperimentError: A project's variant has the name of a built-in one, or a file cannot be read.
    """
    if axis not in axes():
        rule = "there is no such axis"
        raise ExperimentError(message("axis", rule, got=axis, known=axes(), see="segbench list"))
    found: dict[str, Variant] = {}
    for origin, file in _files(axis):
        own = find_variant(axis, file, origin=origin)
        if own is not None and own.name in found:
            rule, see = f"a built-in variant of {axis} has this name", "Rename the file and its function"
            raise ExperimentError(message(str(file), rule, got=own.name, see=see))
        if own is not None:
            found[own.name] = own
    return {**found, **_presets(axis, found)}


def find(axis: str, name: str) -> Variant:
    """Return one variant by name or import path.

    Raises:
        ExperimentError: There is none of that name.
    """
    if ":" in name:
        return _imported_variant(axis, name)
    known = variants(axis)
    if name not in known:
        unmarked = None if _project_axes is None else _project_axes / axis / f"{name}.py"
        if unmarked is not None and unmarked.is_file():
            see = f"Put @variant of segbench.axes.{axis} on the factory"
            raise ExperimentError(message(str(unmarked), NO_VARIANT, see=see))
        rule, see = f"there is no {axis} of this name", f"segbench list {axis}"
        raise ExperimentError(message(axis, rule, got=name, known=known, see=see))
    return known[name]


def read_preset(axis: str, file: Path) -> Variant:
    """Return the preset in a source file that need not stand in an axis's folder.

    Raises:
        ExperimentError: The file does not parse, or `PRESET` is not of its form or names what is not there.
    """
    bases = {name: v for name, v in variants(axis).items() if v.preset_of is None}
    found = _preset(axis, file, bases, "project")
    if found is None:
        raise ExperimentError(message(str(file), "nothing is assigned to PRESET"))
    return found


def changed_knobs(preset: Variant) -> dict[str, Any]:
    """Return the knobs whose defaults in a preset are not those of the variant it stands for."""
    base = find(preset.axis, preset.preset_of or preset.name).knobs
    return {k.name: k.default for k in preset.knobs.values() if k.default != base[k.name].default}


def load(variant: Variant) -> Callable[..., Any]:
    """Import a variant's factory; a preset's is that of the variant it stands for."""
    if variant.preset_of is not None:
        return load(find(variant.axis, variant.preset_of))
    if variant.origin == "built-in":
        module = importlib.import_module(f"segbench.axes.{variant.axis}.{variant.file.stem}")
    elif variant.origin == "project":
        module = _module_from_file(variant)
    else:
        module = importlib.import_module(variant.name.partition(":")[0])
    factory = module
    for part in variant.callable.split("."):
        factory = getattr(factory, part)
    return factory  # type: ignore[return-value]


def build(axis: str, name: str, *runtime: Any, **knobs: Any) -> Any:
    """Call the factory of a variant with run-time objects and knobs."""
    return load(find(axis, name))(*runtime, **knobs)


def _files(axis: str) -> Iterator[tuple[str, Path]]:
    """Yield `built-in` or `project` and each source file of an axis, those of segbench first."""
    folders = {"built-in": AXES_FOLDER / axis}
    if _project_axes is not None:
        folders["project"] = _project_axes / axis
    for origin, folder in folders.items():
        for file in sorted(folder.glob("[!_]*.py")):
            yield origin, file


def _presets(axis: str, variants: Mapping[str, Variant]) -> dict[str, Variant]:
    """Return the presets of an axis by name, the built-in ones first."""
    found: dict[str, Variant] = {}
    for origin, file in _files(axis):
        taken = variants.get(file.stem) or found.get(file.stem)
        preset = None if taken is not None and taken.file == file else _preset(axis, file, variants, origin)
        if preset is None:
            continue
        if taken is not None:
            own, built_in = (preset, taken) if taken.origin == "built-in" else (taken, preset)
            what = "variant" if built_in.preset_of is None else "preset"
            rule = f"a built-in {what} of {axis} has this name"
            raise ExperimentError(message(str(own.file), rule, got=file.stem, see="Rename the file"))
        found[file.stem] = preset
    return found


def _preset(axis: str, file: Path, variants: Mapping[str, Variant], origin: str) -> Variant | None:
    preset = find_preset(file)
    if preset is None:
        return None
    if preset.base not in variants:
        where = f"{preset.file}:{preset.line}"
        rule = f"there is no {axis} of this name to be a preset of"
        raise ExperimentError(message(where, rule, got=preset.base, known=variants))
    base = variants[preset.base]
    return replace(preset.over(base), origin=origin, digest=base.digest)


def _imported_variant(axis: str, path: str) -> Variant:
    module_name, _, callable_name = path.partition(":")
    beside = str(Path.cwd() if _project_axes is None else _project_axes.parent)
    if beside not in sys.path:  # as `python -m` would: a package beside experiments/ needs no install
        sys.path.insert(0, beside)
    try:
        spec = importlib.util.find_spec(module_name)
    except (ImportError, ValueError):
        spec = None
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        rule = "there is no Python module of this import path"
        see = "Write package.module:Name; the package must be installed or stand beside experiments/"
        raise ExperimentError(message(axis, rule, got=module_name, see=see))
    return read_source(axis, Path(spec.origin), origin="import", name=path, callable_name=callable_name)


def _check_unchanged(variant: Variant) -> None:
    """Return if a variant's file is still the one whose digest is known: that one counts in identities."""
    if find_variant(variant.axis, variant.file, origin=variant.origin) != variant:
        rule = "the file was edited while this process was running"
        raise ExperimentError(message(str(variant.file), rule, see="Run the same command again"))


class _FromSource(SourceFileLoader):
    """Compiles the file itself: compiled code is known by second and size, an edit may leave both."""

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self.get_data(self.path), self.path)


def _module_from_file(variant: Variant) -> Any:
    name = f"_segbench_project_{variant.axis}_{variant.file.stem}_{(variant.digest or '')[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    loader = _FromSource(name, str(variant.file))
    spec = importlib.util.spec_from_file_location(name, variant.file, loader=loader)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
        _check_unchanged(variant)
    except BaseException:
        del sys.modules[name]
        raise
    return module
