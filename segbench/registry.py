"""Axes, variants and knobs, read from source text without importing it.

One file `segbench/axes/<axis>/<name>.py` holds one variant: a factory decorated with `@variant`, whose positional
parameters are run-time objects and whose keyword-only parameters are knobs. The signature is the schema and the
only home of a default. Reading it with `ast` keeps listing, validating and planning free of torch; `load` imports.

A user's own variants are found in `axes/<axis>/<name>.py` beside `experiments/` (see `use_project`) and by import
path (`my_pkg.nets:MyNet`); the latter needs no decorator.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

from segbench.errors import ExperimentError, message

AXES_FOLDER: Final = Path(__file__).parent / "axes"

REQUIRED: Final = "<required>"
"""Stands as `Knob.default` where the knob has none."""

_project_axes: Path | None = None


def use_project(root: Path | None) -> None:
    """Look for users' variants in `root/axes/` from now on (None: built-ins only)."""
    global _project_axes
    _project_axes = None if root is None else Path(root).resolve() / "axes"
    variants.cache_clear()


def marker(axis: str) -> Callable[..., Any]:
    """Make the `variant` decorator of an axis; it only marks, the registry reads the source.

    It is used bare, or with the values that stand for the absence of knobs added later:
    `@variant(absent={"eps": 1e-5})` leaves `eps` out of the identity where it has that value, so hashes made
    before the knob existed stay valid.
    """

    def variant(function: Any = None, *, absent: Mapping[str, object] | None = None) -> Any:
        if function is None:
            return lambda f: variant(f, absent=absent)
        function.segbench_axis = axis
        return function

    return variant


@dataclass(frozen=True, kw_only=True)
class Knob:
    """One keyword-only parameter of a variant."""

    name: str
    annotation: str
    """Source text of the type, such as `int` or `Literal["transposed", "bilinear"]`."""
    default: Any = REQUIRED
    help: str = ""
    absent: Any = REQUIRED
    """The value that is left out of the identity; REQUIRED: none."""

    @property
    def is_required(self) -> bool:
        return self.default is REQUIRED


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A named implementation on an axis."""

    axis: str
    name: str
    file: Path
    line: int
    callable: str
    """Name of the function or class in the file."""
    summary: str
    """First sentence of the docstring."""
    doc: str
    runtime: tuple[str, ...]
    """Names of the positional parameters."""
    knobs: Mapping[str, Knob] = field(default_factory=dict)
    origin: str = "built-in"
    """`built-in`, `project` or `import`."""
    digest: str | None = None
    """SHA-256 of the source, for users' variants; it becomes part of the identity."""


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
        raise ExperimentError(
            message("axis", "there is no such axis", got=axis, known=axes(), see="segbench list")
        )
    found = {v.name: v for v in _folder_variants(axis, AXES_FOLDER / axis, origin="built-in")}
    if _project_axes is not None and (_project_axes / axis).is_dir():
        for own in _folder_variants(axis, _project_axes / axis, origin="project"):
            if own.name in found:
                raise ExperimentError(
                    message(
                        str(own.file),
                        f"a built-in variant of {axis} has this name",
                        got=own.name,
                        see="Rename the file and its function",
                    )
                )
            found[own.name] = own
    return found


def find(axis: str, name: str) -> Variant:
    """Return one variant by name or import path.

    Raises:
        ExperimentError: There is none of that name.
    """
    if ":" in name:
        return _imported_variant(axis, name)
    known = variants(axis)
    if name not in known:
        raise ExperimentError(
            message(
                axis, f"there is no {axis} of this name", got=name, known=known, see=f"segbench list {axis}"
            )
        )
    return known[name]


def load(variant: Variant) -> Callable[..., Any]:
    """Import a variant's factory."""
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


def read_source(
    axis: str, file: Path, *, origin: str, name: str | None = None, callable_name: str | None = None
) -> Variant:
    """Read the variant in a source file without importing it.

    Args:
        axis: The axis it belongs to.
        file: The Python file.
        origin: `built-in`, `project` or `import`.
        name: The variant's name; None takes the file's stem.
        callable_name: The function or class; None takes the one decorated with `@variant`.

    Raises:
        ExperimentError: The file does not parse, or holds no such callable.
    """
    name = name or file.stem
    source = file.read_bytes()
    try:
        tree = ast.parse(source)
    except SyntaxError as error:
        raise ExperimentError(
            message(f"{file}:{error.lineno}", f"the file is not valid Python: {error.msg}")
        ) from error
    node, absent = _find_callable(tree, callable_name)
    if node is None:
        rule = (
            f"there is no {callable_name}"
            if callable_name
            else "no function or class is decorated with @variant"
        )
        raise ExperimentError(
            message(str(file), rule, see=f"segbench check {file} shows what a variant needs")
        )
    signature = _signature_node(node)
    doc = ast.get_docstring(node) or ""
    helps = _argument_helps(doc)
    arguments = signature.args if signature is not None else ast.arguments([], [], None, [], [], None, [])
    runtime = tuple(a.arg for a in [*arguments.posonlyargs, *arguments.args] if a.arg not in ("self", "cls"))
    knobs = {}
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        where = f"{file}:{argument.lineno}"
        knobs[argument.arg] = Knob(
            name=argument.arg,
            annotation=ast.unparse(argument.annotation) if argument.annotation else "Any",
            default=REQUIRED if default is None else _literal(default, where, argument.arg),
            help=helps.get(argument.arg, ""),
            absent=absent.get(argument.arg, REQUIRED),
        )
    return Variant(
        axis=axis,
        name=name,
        file=file,
        line=node.lineno,
        callable=node.name,
        summary=" ".join(doc.split("\n\n")[0].split()),
        doc=doc,
        runtime=runtime,
        knobs=knobs,
        origin=origin,
        digest=None if origin == "built-in" else hashlib.sha256(source).hexdigest(),
    )


def _folder_variants(axis: str, folder: Path, *, origin: str) -> list[Variant]:
    files = sorted(p for p in folder.glob("*.py") if not p.name.startswith("_"))
    return [read_source(axis, file, origin=origin) for file in files]


def _imported_variant(axis: str, path: str) -> Variant:
    module_name, _, callable_name = path.partition(":")
    if (
        str(Path.cwd()) not in sys.path
    ):  # as `python -m` would: a package beside experiments/ needs no install
        sys.path.insert(0, str(Path.cwd()))
    try:
        spec = importlib.util.find_spec(module_name)
    except (ImportError, ValueError):
        spec = None
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        raise ExperimentError(
            message(
                axis,
                "there is no Python module of this import path",
                got=module_name,
                see="Write package.module:Name; the package must be installed or stand beside experiments/",
            )
        )
    return read_source(axis, Path(spec.origin), origin="import", name=path, callable_name=callable_name)


def _module_from_file(variant: Variant) -> Any:
    name = f"_segbench_project_{variant.axis}_{variant.file.stem}_{(variant.digest or '')[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, variant.file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _find_callable(
    tree: ast.Module, name: str | None
) -> tuple[ast.FunctionDef | ast.ClassDef | None, dict[str, Any]]:
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef | ast.ClassDef):
            continue
        if name is not None and node.name == name:
            return node, {}
        for decorator in node.decorator_list:
            call = decorator if isinstance(decorator, ast.Call) else None
            target = call.func if call else decorator
            if name is None and (getattr(target, "id", None) or getattr(target, "attr", None)) == "variant":
                absent = {k.arg: k.value for k in call.keywords}.get("absent") if call else None
                return node, ast.literal_eval(absent) if absent is not None else {}
    return None, {}


def _signature_node(node: ast.FunctionDef | ast.ClassDef) -> ast.FunctionDef | None:
    if isinstance(node, ast.FunctionDef):
        return node
    return next((n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"), None)


def _literal(node: ast.expr, where: str, knob: str) -> Any:
    try:
        return ast.literal_eval(node)
    except ValueError as error:
        raise ExperimentError(
            message(where, f"the default of knob {knob} must be a literal", got=ast.unparse(node))
        ) from error


def _argument_helps(doc: str) -> dict[str, str]:
    """Read the `Args:` section of a Google-style docstring: name -> text."""
    helps: dict[str, str] = {}
    in_section, current = False, None
    for line in doc.splitlines():
        if line.strip() == "Args:":
            in_section = True
            continue
        if not in_section:
            continue
        indent = len(line) - len(line.lstrip())
        if line.strip() and indent == 0:
            break
        if indent == 4 and ":" in line:
            current, _, text = line.strip().partition(":")
            helps[current] = text.strip()
        elif current and line.strip():
            helps[current] += " " + line.strip()
    return helps
