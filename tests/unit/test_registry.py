"""Variants are found, read and loaded; what is wrong with a user's file is said."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from messages import said

from segbench import registry
from segbench.errors import ExperimentError

BUILT_IN = [
    pytest.param(variant, id=f"{axis}-{variant.name}")
    for axis in registry.axes()
    for variant in registry.variants(axis).values()
]

NET = '''"""A network."""

from torch import nn

from segbench.axes.model import variant


@variant
def {name}(in_channels, out_channels, norm, *, width: int = 8, rate: float = 0.5):
    """Do next to nothing.

    Args:
        width: Channels,
            in one line.
        rate: A number.
    """
    return nn.Conv2d(in_channels, out_channels, 1)
'''


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "axes" / "model").mkdir(parents=True)
    path, modules = sys.path.copy(), set(sys.modules)
    registry.use_project(tmp_path)
    yield tmp_path
    registry.use_project(None)
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


def write(project: Path, name: str, text: str | None = None) -> Path:
    file = project / "axes" / "model" / f"{name}.py"
    file.write_text(NET.format(name=name) if text is None else text)
    registry.use_project(project)
    return file


@pytest.mark.parametrize("variant", BUILT_IN)
def test_reading_the_source_equals_inspecting_it(variant: registry.Variant) -> None:
    parameters = inspect.signature(registry.load(variant)).parameters.values()
    knobs = {p.name: p for p in parameters if p.kind is p.KEYWORD_ONLY}
    preset = importlib.import_module(f"segbench.axes.{variant.axis}.{variant.name}")
    chosen = {} if variant.preset_of is None else preset.PRESET[variant.preset_of]
    assert list(variant.knobs) == list(knobs)
    assert set(chosen) <= set(knobs)
    for name, knob in variant.knobs.items():
        default = chosen.get(name, knobs[name].default)
        assert knob.default == (registry.REQUIRED if default is inspect.Parameter.empty else default)
        assert type(knob.default) is type(default) or knob.is_required
    runtime = [p.name for p in parameters if p.kind is not p.KEYWORD_ONLY]
    assert list(variant.runtime) == runtime


@pytest.mark.parametrize("variant", BUILT_IN)
def test_a_built_in_variant_is_named_as_its_file_and_function(variant: registry.Variant) -> None:
    assert variant.name == variant.file.stem
    assert variant.callable == (variant.preset_of or variant.name)
    assert variant.origin == "built-in"
    assert variant.digest is None
    assert registry.load(variant).segbench_axis == variant.axis  # type: ignore[attr-defined]


@pytest.mark.parametrize("variant", BUILT_IN)
def test_a_built_in_variant_is_documented(variant: registry.Variant) -> None:
    assert variant.summary.endswith(".")
    assert all(knob.help for knob in variant.knobs.values())
    assert all(knob.annotation != "Any" for knob in variant.knobs.values())


def test_listing_imports_no_torch() -> None:
    code = (
        "import sys; from segbench import registry, sizes; "
        "[registry.variants(axis) for axis in registry.axes()]; sizes.size_multiple('unet', {}); "
        "print([m for m in ('torch', 'numpy', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_axes() -> None:
    assert set(registry.axes()) == {
        "augment", "dataset", "init", "input", "loss", "mix", "model", "norm", "optimizer", "schedule",
        "split",
    }  # fmt: skip


def test_presets_stand_for_variants() -> None:
    for axis in registry.axes():
        for preset in registry.variants(axis).values():
            if preset.preset_of is not None:
                base = registry.find(axis, preset.preset_of)
                assert base.preset_of is None
                assert registry.load(preset) is registry.load(base)
                assert (preset.flawed, preset.size_multiple) == (base.flawed, base.size_multiple)


def test_what_a_preset_changes() -> None:
    assert registry.changed_knobs(registry.find("model", "unet_r1")) == {"concat": "up_first", "dropout": 0.1}
    assert registry.changed_knobs(registry.find("model", "unet_r0")) == {}
    assert registry.changed_knobs(registry.find("model", "unet")) == {}


def test_shared_parts_are_no_variants() -> None:
    assert "blocks" not in registry.variants("model")
    assert (registry.AXES_FOLDER / "model" / "blocks.py").is_file()


def test_a_variant_of_the_project(project: Path) -> None:
    file = write(project, "tiny")
    variant = registry.find("model", "tiny")
    assert variant.origin == "project"
    assert variant.summary == "Do next to nothing."
    assert variant.runtime == ("in_channels", "out_channels", "norm")
    width, rate = variant.knobs.values()
    assert (width.name, width.annotation, width.default, width.help) == (
        "width",
        "int",
        8,
        "Channels, in one line.",
    )
    assert (rate.name, rate.annotation, rate.default) == ("rate", "float", 0.5)
    assert variant.digest == hashlib.sha256(file.read_bytes()).hexdigest()
    assert registry.build("model", "tiny", 3, 1, None).out_channels == 1


def test_a_changed_file_is_read_and_loaded_anew(project: Path) -> None:
    write(project, "tiny")
    before = registry.find("model", "tiny")
    assert registry.load(before)(3, 1, None).kernel_size == (1, 1)
    write(project, "tiny", NET.format(name="tiny").replace("out_channels, 1)", "out_channels, 3)"))
    after = registry.find("model", "tiny")
    assert after.digest != before.digest
    assert registry.load(after)(3, 1, None).kernel_size == (3, 3)


def test_without_a_project_its_variants_are_unknown(project: Path) -> None:
    write(project, "tiny")
    registry.use_project(None)
    assert "tiny" not in registry.variants("model")


def test_a_project_file_without_a_variant_is_a_shared_part(project: Path) -> None:
    write(project, "parts", "SIZE = 3\n")
    write(project, "tiny")
    assert "tiny" in registry.variants("model")
    assert "parts" not in registry.variants("model")


def test_a_variant_by_import_path(project: Path) -> None:
    package = project / "my_own_nets"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "nets.py").write_text(
        "from torch import nn\n\n"
        "class MyNet(nn.Conv2d):\n"
        '    """My network."""\n'
        "    def __init__(self, in_channels, out_channels, norm, *, width: int = 4):\n"
        "        super().__init__(in_channels, out_channels, 1)\n"
        "        self.width = width\n"
    )
    importlib.invalidate_caches()
    variant = registry.find("model", "my_own_nets.nets:MyNet")
    assert variant.origin == "import"
    assert variant.name == "my_own_nets.nets:MyNet"
    assert variant.runtime == ("in_channels", "out_channels", "norm")
    assert {k: v.default for k, v in variant.knobs.items()} == {"width": 4}
    assert variant.digest == hashlib.sha256((package / "nets.py").read_bytes()).hexdigest()
    assert registry.build("model", "my_own_nets.nets:MyNet", 3, 1, None, width=6).width == 6

    with pytest.raises(ExperimentError) as error:
        registry.find("model", "my_own_nets.nets:YourNet")
    expected = f"{package / 'nets.py'}: there is no YourNet. Name the module that defines it."
    assert said(error.value) == expected


@pytest.mark.parametrize("path", ["no_such_package.nets:Net", "no_such_module:Net", "math:sin", ".:x"])
def test_an_import_path_that_leads_nowhere(path: str) -> None:
    with pytest.raises(ExperimentError) as error:
        registry.find("model", path)
    assert said(error.value) == (
        f"model: there is no Python module of this import path, got {path.partition(':')[0]!r}. "
        "Write package.module:Name; the package must be installed or stand beside experiments/."
    )


def test_an_unknown_variant() -> None:
    with pytest.raises(ExperimentError) as error:
        registry.find("schedule", "cosin")
    assert said(error.value) == (
        "schedule: there is no schedule of this name, got 'cosin'. Did you mean 'cosine'?"
        " segbench list schedule."
    )


def test_an_unknown_axis() -> None:
    with pytest.raises(ExperimentError) as error:
        registry.variants("modle")
    assert str(error.value).startswith("axis: there is no such axis, got 'modle'. Did you mean 'model'?")


def test_a_name_that_is_taken(project: Path) -> None:
    file = write(project, "unet")
    with pytest.raises(ExperimentError) as error:
        registry.variants("model")
    assert said(error.value) == (
        f"{file}: a built-in variant of model has this name, got 'unet'. Rename the file and its function."
    )


def test_asking_for_a_file_that_holds_no_variant(project: Path) -> None:
    file = write(project, "tiny", NET.format(name="tiny").replace("@variant\n", ""))
    with pytest.raises(ExperimentError) as error:
        registry.find("model", "tiny")
    assert said(error.value) == (
        f"{file}: no function or class is decorated with @variant. "
        "Put @variant of segbench.axes.model on the factory."
    )


def test_a_factory_that_raises_while_it_is_imported(project: Path) -> None:
    write(project, "tiny", NET.format(name="tiny") + "\nraise RuntimeError('on import')\n")
    variant = registry.find("model", "tiny")
    for _ in range(2):  # a half-loaded module must not stay behind
        with pytest.raises(RuntimeError, match="on import"):
            registry.load(variant)


def test_a_preset_of_the_project(project: Path) -> None:
    preset = write(project, "narrow", '"""Narrow.\n\nMore."""\n\nPRESET = {"unet": {"width": 4}}\n')
    found = registry.find("model", "narrow")
    base = registry.find("model", "unet")
    assert (found.name, found.preset_of, found.origin, found.digest) == ("narrow", "unet", "project", None)
    assert (found.file, found.line, found.summary, found.doc) == (preset, 5, "Narrow.", "Narrow.\n\nMore.")
    assert found.knobs["width"].default == 4
    assert {**found.knobs, "width": base.knobs["width"]} == base.knobs
    assert registry.load(found) is registry.load(base)
    assert registry.read_preset("model", preset) == found
    with pytest.raises(ExperimentError, match=r"blocks\.py: nothing is assigned to PRESET\.$"):
        registry.read_preset("model", registry.AXES_FOLDER / "model" / "blocks.py")
    registry.use_project(None)
    assert "narrow" not in registry.variants("model")


def test_a_preset_of_a_variant_of_the_project_has_its_digest(project: Path) -> None:
    file = write(project, "tiny")
    write(project, "tinier", '"""Tinier."""\nPRESET = {"tiny": {"width": 2}}\n')
    preset = registry.find("model", "tinier")
    assert preset.digest == hashlib.sha256(file.read_bytes()).hexdigest()
    assert registry.build("model", "tinier", 3, 1, None).out_channels == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            'PRESET = {"unte": {}}\n',
            "there is no model of this name to be a preset of, got 'unte'. Did you mean 'unet'?",
        ),
        (
            'PRESET = {"unet_r1": {"width": 4}}\n',
            "there is no model of this name to be a preset of, got 'unet_r1'. Did you mean 'unet'?",
        ),
        (
            'PRESET = {"unet": {"widht": 4}}\n',
            "the model unet has no such knob, got 'widht'. Did you mean 'width'?",
        ),
    ],
)
def test_a_preset_of_what_is_not_there(project: Path, text: str, expected: str) -> None:
    file = write(project, "own", f'"""Own."""\n\n{text}')
    with pytest.raises(ExperimentError) as error:
        registry.variants("model")
    assert str(error.value).startswith(f"{file}:3: {expected}")


@pytest.mark.parametrize(("name", "what"), [("unet", "variant"), ("unet_r1", "preset")])
@pytest.mark.parametrize("text", [NET, '"""Mine."""\nPRESET = {{"unet": {{"width": 4}}}}\n'])
def test_a_name_that_a_built_in_one_has(project: Path, name: str, what: str, text: str) -> None:
    file = write(project, name, text.format(name=name))
    with pytest.raises(ExperimentError) as error:
        registry.variants("model")
    assert str(error.value).startswith(f"{file}: a built-in {what} of model has this name, got '{name}'.")
