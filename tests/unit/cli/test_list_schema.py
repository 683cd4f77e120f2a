from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from command_line import HEAVY, heavy_imports
from typer.testing import CliRunner

import segbench
from segbench import registry
from segbench.cli.app import app
from segbench.config.resolve import resolve_choice
from segbench.errors import ExperimentError
from segbench.quantities import METRICS

ROOT = Path(segbench.__file__).parents[1]


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "experiments").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    yield tmp_path
    registry.use_project(None)


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_list_shows_every_axis_and_its_variants() -> None:
    lines = run("list").splitlines()
    assert "norm       batch, dyt, group, instance, layer, none" in lines
    names = [line.split()[0] for line in lines if line and not line.startswith(" ")]
    assert names[: len(registry.axes())] == list(registry.axes())


def test_list_json_has_every_axis_and_variant() -> None:
    found = json.loads(run("list", "--json"))
    assert found["norm"] == ["batch", "dyt", "group", "instance", "layer", "none"]
    assert tuple(found) == registry.axes()


def test_list_of_an_axis_shows_summaries() -> None:
    rows = dict(line.split(maxsplit=1) for line in run("list", "norm").splitlines() if line[0] != " ")
    assert rows["group"].startswith(registry.find("norm", "group").summary[:40])
    assert [each["name"] for each in json.loads(run("list", "norm", "--json"))] == sorted(rows)


def test_list_of_a_variant_shows_knobs_and_documentation() -> None:
    found = run("list", "model", "unet")
    assert "width: int, Ge(1) = 64" in found
    assert "Channels of the first level." in found
    expression = "1 if fit == 'pad' else 2 ** depth"
    assert f"Height and width must be a multiple of {expression} (by default 16)." in found
    assert "Ronneberger et al., 2015" in found
    written = json.loads(run("list", "model", "unet", "--json"))
    assert written["knobs"][0] == {
        "name": "width",
        "type": "Annotated[int, Ge(1)]",
        "is_required": False,
        "default": 64,
        "help": "Channels of the first level.",
    }
    assert written["doc"].startswith("U-Net")


def test_list_shows_what_a_loss_is() -> None:
    rows = " ".join(run("list", "loss").split())
    assert "jaccard Soft Jaccard (IoU) loss of logits: 1 - (TP + smooth) / (TP + FP + FN + smooth)." in rows
    found = run("list", "loss", "dice")
    assert "Knobs ({name: value} sets the term's weight):\n  per_image: bool = false" in found
    assert "Flawed on purpose: its threshold lets no gradient through" in run("list", "loss", "hard_dice")


def test_list_shows_what_a_preset_stands_for() -> None:
    rows = " ".join(run("list", "model").split())
    assert "no dropout. (unet at its defaults)" in rows
    assert "(unet with concat, dropout)" in rows
    found = run("list", "model", "unet_r1")
    assert found.startswith(
        "model: unet_r1\n\nA preset, which stands for\n\n"
        "  model:\n    unet: {concat: up_first, dropout: 0.1}\n\nKnobs"
    )
    assert "dropout: float, Interval(ge=0, lt=1) = 0.1" in found
    assert "which stands for\n\n  model: unet\n\n" in run("list", "model", "unet_r0")


def test_what_list_shows_of_a_preset_is_the_same_configuration() -> None:
    for axis in ("model", "augment"):
        for preset in registry.variants(axis).values():
            if preset.preset_of is None:
                continue
            text = run("list", axis, preset.name).split("which stands for\n\n")[1].split("\n\n")[0]
            spec = yaml.safe_load(text)[axis]
            assert resolve_choice(axis, spec) == resolve_choice(axis, preset.name), preset.name


def test_list_json_says_what_a_preset_changes() -> None:
    preset = json.loads(run("list", "model", "unet_r1", "--json"))
    assert (preset["preset_of"], preset["changed"]) == ("unet", {"concat": "up_first", "dropout": 0.1})
    defaults = {knob["name"]: knob["default"] for knob in preset["knobs"]}
    assert (defaults["concat"], defaults["width"]) == ("up_first", 64)
    base = json.loads(run("list", "model", "unet", "--json"))
    assert (base["preset_of"], base["changed"]) == (None, {})


def test_list_shows_a_projects_own_preset(project: Path) -> None:
    (project / "axes" / "model").mkdir(parents=True)
    file = project / "axes" / "model" / "narrow.py"
    file.write_text("'Narrow.'\nPRESET = {'unet': {'width': 4}}\n")
    assert "Narrow. (unet with width; project)" in run("list", "model")
    assert run("list", "model", "narrow").startswith(f"model: narrow (project: {file})\n\nA preset, which")


def test_list_of_a_variant_without_knobs() -> None:
    assert "It has no knobs." in run("list", "mix", "none")


def test_list_shows_a_projects_own_variant(project: Path) -> None:
    (project / "axes" / "norm").mkdir(parents=True)
    (project / "axes" / "norm" / "mine.py").write_text(
        "from segbench.axes.norm import variant\n@variant\n"
        "def mine(channels, *, a: int):\n    '''My own.'''\n"
    )
    assert "My own. (project)" in run("list", "norm")
    assert "a: int required" in run("list", "norm", "mine")


def test_list_of_experiments(project: Path) -> None:
    assert run("list", "experiments") == (
        f"There is no experiment in {project / 'experiments'}; `segbench init` makes one.\n"
    )
    (project / "experiments" / "a.yaml").write_text("question: Does it?\nscales: {small: {}}\n")
    (project / "experiments" / "b.yaml").write_text("question: [\n")
    assert run("list", "experiments").splitlines()[0] == "a  Does it? (--scale small)"
    written = json.loads(run("list", "experiments", "--json"))
    assert written[0] == {"name": "a", "folder": ".", "question": "Does it?", "scales": ["small"]}
    assert written[1]["question"].startswith("cannot be read: ")


def test_list_of_what_is_not_there() -> None:
    with pytest.raises(ExperimentError, match="list: there is no such axis, got 'nrom'"):
        run("list", "nrom")
    with pytest.raises(ExperimentError, match="norm: there is no norm of this name, got 'bach'"):
        run("list", "norm", "bach")


def test_schema_is_printed_or_written(project: Path) -> None:
    printed = json.loads(run("schema"))
    assert printed["title"] == "segbench experiment"
    assert run("schema", "--out", "s.json") == "Wrote s.json\n"
    assert json.loads((project / "s.json").read_text()) == printed


@pytest.mark.parametrize(
    "command",
    [
        *("--help", "schema"),
        *("list", "list norm", "list model unet", "list experiments"),
    ],
)
def test_neither_needs_torch(project: Path, command: str) -> None:
    found, done = heavy_imports(project, *command.split(), among={*HEAVY, "numpy"})
    assert (found, done.returncode) == (set(), 0), done.stderr


def test_the_page_of_all_variants() -> None:
    page = run("list", "--markdown")
    assert page.startswith("# Axes and their variants\n")
    for axis in registry.axes():
        assert f"\n## {axis}\n" in page
        for name in registry.variants(axis):
            assert f"\n### `{name}`\n" in page
    assert "| `groups` | `8` | `int, Ge(1)` | Channels are split into this many groups. |" in page
    assert "Reference: Wu & He, 2018, arXiv:1803.08494; there 32 groups" in page
    assert "Height and width must be a multiple of `1 if fit == 'pad' else 2 ** depth`." in page
    assert (
        "| `batch_size` | `8` | `int`, more than 0 | Images in a batch; `accumulate` batches make a step. |"
        in page
    )
    assert "\n## Metrics\n" in page
    assert "\n### `hd95_px`\n\nTest, per image, 0 to the image's diagonal, lower is better.\n" in page


def test_the_committed_page_is_current() -> None:
    committed = Path(__file__).parents[3] / "docs" / "axes.md"
    assert run("list", "--markdown") == committed.read_text(encoding="utf-8"), "make axes"


def test_list_of_an_axis_shows_knobs_and_citation() -> None:
    found = " ".join(run("list", "norm").split())
    assert "[groups=8, eps=1e-05] Wu & He, 2018, arXiv:1803.08494" in found
    assert "[per_channel=true, start=1.0]" in found


def test_list_of_experiments_in_folders(project: Path) -> None:
    folder = project / "experiments" / "studies"
    folder.mkdir(parents=True)
    (folder / "deep.yaml").write_text("question: How deep?\n")
    found = run("list", "experiments")
    assert "\nstudies/\ndeep  How deep?" in found


def test_metrics_a_line_each_and_one_in_full() -> None:
    shown = CliRunner().invoke(app, ["list", "metrics"]).output
    assert [line.split()[0] for line in shown.splitlines() if line[0] != " "] == list(METRICS)
    assert "to the image's diagonal, lower is better]" in " ".join(shown.split())
    one = CliRunner().invoke(app, ["list", "metrics", "hd95_px"]).output
    assert one.startswith(
        "hd95_px: test, per image, 0 to the image's diagonal, lower is better\n\n95th percentile"
    )
    assert "Both masks empty: 0; one of them: the image's diagonal." in one
    found = json.loads(CliRunner().invoke(app, ["list", "metrics", "--json"]).output)
    lower = {each["name"] for each in found if each["is_lower_better"]}
    assert lower >= {"hd95_px", "assd_px"}
    assert "dice" not in lower


def test_an_unknown_metric_is_refused_with_the_nearest() -> None:
    done = CliRunner().invoke(app, ["list", "metrics", "hd95"])
    assert isinstance(done.exception, ExperimentError)
    assert str(done.exception).startswith(
        "list metrics: there is no such metric, got 'hd95'. Did you mean 'hd95_px'?"
    )


def test_listing_metrics_imports_no_torch(project: Path) -> None:
    found, done = heavy_imports(project, "list", "metrics")
    assert (found, done.returncode) == (set(), 0), done.stderr
