"""What a variant's source text says about it, read with `ast`: nothing is imported."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from segbench.errors import ExperimentError, message

REQUIRED: Final = "<required>"
"""Stands as `Knob.default` where the knob has none."""

_SECTIONS: Final = ("Args", "Returns", "Yields", "Raises", "Reference", "References")

NO_VARIANT: Final = "no function or class is decorated with @variant"


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
    is_place: bool = False
    """Whether it says where files are: recorded, but no part of the identity, which knows their contents."""

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
    size_multiple: str | None = None
    """For a model: what H and W must be a multiple of, as an expression of knobs; None: not declared."""
    origin: str = "built-in"
    """`built-in`, `project` or `import`."""
    digest: str | None = None
    """SHA-256 of the source, for users' variants; it becomes part of the identity."""
    flawed: str | None = None
    """The mistake that it makes on purpose, in one sentence; such a variant runs only with consent."""
    preset_of: str | None = None
    """The variant that this name stands for, with other defaults; None: it is a variant itself."""

    @property
    def paragraphs(self) -> list[str]:
        """Paragraphs of the docstring between its first sentence and its first section, a line each."""
        found = []
        for paragraph in self.doc.split("\n\n")[1:]:
            if paragraph.split(":")[0] in _SECTIONS:
                break
            found.append(" ".join(paragraph.split()))
        return found

    @property
    def reference(self) -> str:
        """Text of the docstring's section `Reference:`; empty where there is none."""
        return _section(self.doc, "Reference")


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A name for a variant with chosen knobs: a file of an axis's folder that assigns `PRESET`."""

    file: Path
    line: int
    base: str
    """The variant that it stands for."""
    knobs: Mapping[str, Any]
    doc: str
    """Docstring of the file."""

    def over(self, base: Variant) -> Variant:
        """Return the variant that the name stands for: the base, with the chosen knobs as defaults.

        Raises:
            ExperimentError: A knob is none of the base's.
        """
        for name in self.knobs:
            if name not in base.knobs:
                where = f"{self.file}:{self.line}"
                rule = f"the {base.axis} {base.name} has no such knob"
                raise ExperimentError(message(where, rule, got=name, known=base.knobs))
        knobs = {
            name: replace(knob, default=self.knobs.get(name, knob.default))
            for name, knob in base.knobs.items()
        }
        return replace(
            base,
            name=self.file.stem,
            file=self.file,
            line=self.line,
            summary=" ".join(self.doc.split("\n\n")[0].split()),
            doc=self.doc,
            knobs=knobs,
            preset_of=base.name,
        )


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
        ExperimentError: The file does not parse, or holds no such callable, or a declaration is no literal.
    """
    found = find_variant(axis, file, origin=origin, name=name, callable_name=callable_name)
    if found is None:
        rule = f"there is no {callable_name}" if callable_name else NO_VARIANT
        see = (
            "Name the module that defines it"
            if callable_name
            else f"Put @variant of segbench.axes.{axis} on one"
        )
        raise ExperimentError(message(str(file), rule, see=see))
    return found


def find_variant(
    axis: str, file: Path, *, origin: str, name: str | None = None, callable_name: str | None = None
) -> Variant | None:
    """Read the variant in a source file as `read_source` does; None where the file holds none.

    Raises:
        ExperimentError: The file does not parse, or a declaration is no literal.
    """
    source, tree = _parse(file)
    candidates = [
        (node, mark)
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
        for mark in [_variant_mark(node)]
        if (mark is not None if callable_name is None else node.name == callable_name)
    ]
    if not candidates:
        return None
    if len(candidates) > 1:
        second = candidates[1][0]
        rule = "a file holds one variant, but this is the second"
        raise ExperimentError(message(f"{file}:{second.lineno}", rule, got=second.name))
    node, mark = candidates[0]
    absent = _mark_argument(mark, "absent", dict, file) or {}
    places = _mark_argument(mark, "places", tuple, file) or ()
    multiple = _mark_argument(mark, "size_multiple", str | int, file)
    flawed = _mark_argument(mark, "flawed", str, file)
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
            default=REQUIRED
            if default is None
            else _literal(default, where, f"the default of knob {argument.arg}"),
            help=helps.get(argument.arg, ""),
            absent=absent.get(argument.arg, REQUIRED),
            is_place=argument.arg in places,
        )
    for argument_name, named in (("absent", absent), ("places", places)):
        unknown = [knob for knob in named if knob not in knobs]
        if unknown:
            where = f"{file}:{node.lineno}"
            rule = f"{argument_name}= names no knob"
            raise ExperimentError(message(where, rule, got=unknown[0], known=knobs))
    return Variant(
        axis=axis,
        name=name or file.stem,
        file=file,
        line=node.lineno,
        callable=node.name,
        summary=" ".join(doc.split("\n\n")[0].split()),
        doc=doc,
        runtime=runtime,
        knobs=knobs,
        size_multiple=None if multiple is None else str(multiple),
        flawed=flawed,
        origin=origin,
        digest=None if origin == "built-in" else hashlib.sha256(source).hexdigest(),
    )


def read_class(file: Path, name: str) -> tuple[str, tuple[str, ...], dict[str, Knob]] | None:
    """Read a class of another package: its summary, its bases and the parameters of its `__init__`.

    A parameter whose default is no literal is left out.

    Raises:
        ExperimentError: The file does not parse.
    """
    _, tree = _parse(file)
    node = next((n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == name), None)
    signature = None if node is None else _signature_node(node)
    if node is None or signature is None:
        return None
    doc = ast.get_docstring(node) or ""
    helps = _argument_helps(doc)
    positional = [*signature.args.posonlyargs, *signature.args.args][1:]
    defaults: list[ast.expr | None] = list(signature.args.defaults)
    missing: list[ast.expr | None] = [None] * (len(positional) - len(defaults))
    pairs = zip(
        [*positional, *signature.args.kwonlyargs],
        [*missing, *defaults, *signature.args.kw_defaults],
        strict=True,
    )
    knobs = {}
    for argument, default in pairs:
        annotation = ast.unparse(argument.annotation) if argument.annotation else "Any"
        try:
            value = REQUIRED if default is None else ast.literal_eval(default)
        except ValueError:
            continue
        text = " ".join(helps.get(argument.arg, "").split("\n\n")[0].split())
        knobs[argument.arg] = Knob(name=argument.arg, annotation=annotation, default=value, help=text)
    bases = tuple(ast.unparse(base) for base in node.bases)
    return " ".join(doc.split("\n\n")[0].split()), bases, knobs


def find_preset(file: Path) -> Preset | None:
    """Read `PRESET = {variant: {knob: value}}` of a source file; None where there is none.

    Raises:
        ExperimentError: The file does not parse, or the value is no literal of that form.
    """
    _, tree = _parse(file)
    for node in tree.body:
        targets = [node.target] if isinstance(node, ast.AnnAssign) else getattr(node, "targets", [])
        if not any(isinstance(target, ast.Name) and target.id == "PRESET" for target in targets):
            continue
        where = f"{file}:{node.lineno}"
        written = node.value  # type: ignore[attr-defined]
        value: Any = None if written is None else _literal(written, where, "PRESET")
        if not _is_preset(value):
            raise ExperimentError(message(where, "PRESET must be {variant: {knob: value}}", got=value))
        ((base, knobs),) = value.items()
        return Preset(file=file, line=node.lineno, base=base, knobs=knobs, doc=ast.get_docstring(tree) or "")
    return None


def _is_preset(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and len(value) == 1
        and all(isinstance(base, str) and isinstance(knobs, dict) for base, knobs in value.items())
        and all(isinstance(name, str) for knobs in value.values() for name in knobs)
    )


def _parse(file: Path) -> tuple[bytes, ast.Module]:
    try:
        source = file.read_bytes()
        return source, ast.parse(source)
    except OSError as error:
        raise ExperimentError(message(str(file), f"the file cannot be read: {error.strerror}")) from error
    except SyntaxError as error:
        raise ExperimentError(
            message(f"{file}:{error.lineno}", f"the file is not valid Python: {error.msg}")
        ) from error
    except ValueError as error:  # null bytes
        raise ExperimentError(message(str(file), f"the file is not valid Python: {error}")) from error


def _variant_mark(node: ast.FunctionDef | ast.ClassDef) -> ast.expr | None:
    """Return the `@variant` decorator, called or bare."""
    for decorator in node.decorator_list:
        target = decorator.func if isinstance(decorator, ast.Call) else decorator
        if (getattr(target, "id", None) or getattr(target, "attr", None)) == "variant":
            return decorator
    return None


def _mark_argument(mark: ast.expr | None, name: str, kind: Any, file: Path) -> Any:
    if not isinstance(mark, ast.Call):
        return None
    for keyword in mark.keywords:
        if keyword.arg == name:
            where = f"{file}:{keyword.lineno}"
            value = _literal(keyword.value, where, f"{name}= of @variant")
            if not isinstance(value, kind):
                raise ExperimentError(message(where, f"{name}= of @variant has the wrong type", got=value))
            return value
    return None


def _signature_node(node: ast.FunctionDef | ast.ClassDef) -> ast.FunctionDef | None:
    if isinstance(node, ast.FunctionDef):
        return node
    return next((n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"), None)


def _literal(node: ast.expr, where: str, what: str) -> Any:
    try:
        return ast.literal_eval(node)
    except ValueError as error:
        raise ExperimentError(message(where, f"{what} must be a literal", got=ast.unparse(node))) from error


def _section(doc: str, title: str) -> str:
    """Return the text of a section of a Google-style docstring, on one line."""
    lines = doc.splitlines()
    if f"{title}:" not in lines:  # on the line of its title: `Reference: text`
        start = next((k for k, line in enumerate(lines) if line.startswith(f"{title}: ")), None)
        if start is None:
            return ""
        inside = [lines[start].removeprefix(f"{title}:"), *lines[start + 1 :]]
        end = next((k for k, line in enumerate(inside) if not line.strip()), len(inside))
        return " ".join(" ".join(inside[:end]).split())
    start = lines.index(f"{title}:") + 1
    inside = []
    for line in lines[start:]:
        if line.strip() and not line.startswith(" "):
            break
        inside.append(line)
    return " ".join(" ".join(inside).split())


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
