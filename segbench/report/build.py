"""Writes a report's folder: the same analysis gives the same bytes; only files that changed are touched.

`into` keeps the LaTeX side of a report up to date in a paper's folder.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pandas as pd

from segbench.errors import ResultsError, message
from segbench.records import DECIMALS, written_columns
from segbench.report.analysis import Analysis
from segbench.report.draw.drawn import Drawing, Drawn
from segbench.report.draw.figure import Figure
from segbench.report.draw.pgfplots import draw_pgfplots
from segbench.report.freshness import NUMBERS_FILE, described, recorded
from segbench.report.labels import Labels, create_style, read_style
from segbench.report.pages.content import Content, PanelPicture, make_content
from segbench.report.pages.html import write_html
from segbench.report.pages.latex import Compiled, compile_pdf, write_latex, write_table
from segbench.report.pages.markdown import write_markdown
from segbench.report.pages.number_files import write_numbers, write_numbers_json
from segbench.report.pages.xlsx import XLSX_FILE, is_installed, write_xlsx
from segbench.report.topics.panels import PANELS_FILE, Panels
from segbench.report.topics.replicated import file_name
from segbench.report.topics.walk import DATA_NAMES, FIGURE_NAMES, TABLE_NAMES, make_figures, trace_all
from segbench.store.atomic import write_bytes

_FORMER: Final = ("search",)
"""Names that figures had in reports of earlier versions."""


@dataclass(frozen=True, kw_only=True)
class Written:
    """What a call of `write_report` did."""

    folder: Path
    pages: tuple[Path, ...]
    """The pages that stand, whether or not they changed."""
    changed: tuple[Path, ...]
    warnings: tuple[str, ...]


def write_report(
    analysis: Analysis,
    folder: Path,
    *,
    panels: Panels,
    with_pdf: bool = True,
    with_xlsx: bool = False,
    is_watched: bool = False,
    made_from: Mapping[str, Any] | None = None,
    drawing: Drawing | None = None,
) -> Written:
    """Write `reports/<experiment>/`.

    Args:
        analysis: What the report says.
        folder: Made where missing. `style.yaml` in it is the user's.
        panels: The grid of test images, or why there is none; a grid of an earlier report is then kept.
        with_pdf: Compile `report.pdf` where pdflatex is installed.
        with_xlsx: Write `report.xlsx`; one that is there is kept up to date in any case.
        is_watched: The page loads itself anew while a sweep runs; what LaTeX reads stays as it is.
        made_from: What `freshness.recorded` gave before the results were read; None: as they are now.
        drawing: Of `folder/figures`, where it was begun before.

    Raises:
        ResultsError: `style.yaml` has mistakes, or the disk refuses.
    """
    folder.mkdir(parents=True, exist_ok=True)
    create_style(folder / "style.yaml")
    style = read_style(folder / "style.yaml")
    labels = Labels(analysis, style)
    picture, missing = _picture(folder, panels)
    if made_from is None:
        made_from = recorded(analysis.experiment)
    with Drawing(folder / "figures") if drawing is None else nullcontext(drawing) as drawing:
        figures = []
        for figure in make_figures(analysis, labels):
            drawing.add(figure)
            figures.append(figure)
        content = make_content(analysis, style, figures=figures, panels=picture, panels_missing=missing)
        files = _texts(content, analysis, labels, made_from)
        drawn = drawing.files()
    files["report.html"] = write_html(content, drawn=drawn, is_watched=is_watched).encode()
    files |= _figures(content.figures, drawn)
    if is_watched:
        files = {name: data for name, data in files.items() if not name.endswith(".tex")}
    if picture is not None:
        files[f"figures/{PANELS_FILE}"] = picture.content
        files[f"figures/{_CAPTION_FILE}"] = picture.caption.encode()
    changed = [folder / name for name, data in files.items() if write_changed(folder / name, data)]
    best = file_name(analysis.experiment.name)
    for name in (owned_names() | {best}) - set(files):
        if not (is_watched and name.endswith(".tex")):
            (folder / name).unlink(missing_ok=True)
    shown = ("report.html", "report.md", "report.tex", best)
    pages = [folder / name for name in shown if name in files]
    warnings: list[str] = []
    made = compile_pdf(folder, files) if with_pdf and not is_watched else Compiled()
    warnings += [made.warning] if made.warning else []
    if made.pdf is not None:
        pages.append(folder / "report.pdf")
        changed += [folder / "report.pdf"] if write_changed(folder / "report.pdf", made.pdf) else []
    elif made.is_failure or changed:
        # An older PDF would contradict the other pages.
        (folder / "report.pdf").unlink(missing_ok=True)
    if with_xlsx or (folder / XLSX_FILE).is_file():
        if with_xlsx or is_installed():
            pages.append(folder / XLSX_FILE)
            changed += [folder / XLSX_FILE] if write_changed(folder / XLSX_FILE, write_xlsx(content)) else []
        elif changed:
            (folder / XLSX_FILE).unlink()
            warnings.append(f"{XLSX_FILE} was older than the records and is removed: openpyxl is missing")
    return Written(folder=folder, pages=tuple(pages), changed=tuple(changed), warnings=tuple(warnings))


_CAPTION_FILE: Final = "panels.txt"
"""Caption of the panels: a clone without masks prints it again with the committed picture."""


def _picture(folder: Path, panels: Panels) -> tuple[PanelPicture | None, str | None]:
    if panels.content is not None:
        return (
            PanelPicture(
                file_name=PANELS_FILE,
                content=panels.content,
                caption=panels.caption,
                width_px=panels.width_px,
            ),
            None,
        )
    kept, caption = folder / "figures" / PANELS_FILE, folder / "figures" / _CAPTION_FILE
    if kept.is_file() and caption.is_file():
        from PIL import Image

        with Image.open(kept) as image:
            width = image.width
        return (
            PanelPicture(
                file_name=PANELS_FILE,
                content=kept.read_bytes(),
                caption=caption.read_text(encoding="utf-8"),
                width_px=width,
            ),
            None,
        )
    return None, f"No pictures: {panels.missing}" if panels.missing else None


def _texts(
    content: Content, analysis: Analysis, labels: Labels, made_from: Mapping[str, Any]
) -> dict[str, bytes]:
    made_from = {**made_from, **described(analysis.experiment, labels.style)}
    return {name: text.encode("utf-8") for name, text in _written(content, analysis, labels, made_from)}


def _written(
    content: Content, analysis: Analysis, labels: Labels, made_from: Mapping[str, Any]
) -> Iterator[tuple[str, str]]:
    """Yield files one by one: some are of many megabytes, and none is held as text beside its bytes."""
    name = analysis.experiment.name
    yield "report.md", write_markdown(content)
    yield "report.tex", write_latex(content)
    yield "numbers.tex", write_numbers(analysis, labels)
    traces = trace_all(analysis, labels.style.digits)
    yield NUMBERS_FILE, write_numbers_json(traces, name=name, made_from=made_from)
    for table in content.tables:
        yield f"tables/{table.name}.tex", write_table(table)
    if analysis.best_design:
        yield file_name(name), analysis.best_design
    for field in DATA_NAMES:
        frame: pd.DataFrame | None = getattr(analysis, field)
        if frame is not None and not frame.empty:
            yield f"data/{field}.csv", csv(frame)


def _figures(figures: Sequence[Figure], drawn: Mapping[str, Drawn]) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    for figure in figures:
        files |= {f"figures/{figure.name}.{suffix}": data for suffix, data in drawn[figure.name].items()}
        files[f"figures/{figure.name}.tex"] = draw_pgfplots(figure).encode("utf-8")
        files[f"data/figure-{figure.name}.csv"] = csv(figure.table()).encode("utf-8")
    return files


def csv(frame: pd.DataFrame) -> str:
    """Return a frame as CSV with the records' digits, `nan` for what is missing, lists joined by spaces."""
    columns = [_fields(frame[name]) for name in frame]
    header = written_columns(list(map(str, frame.columns)))
    lines = [",".join(map(_quoted, header)), *map(",".join, zip(*columns, strict=True))]
    return "\n".join(lines) + "\n"


def _fields(column: pd.Series) -> list[str]:
    """Return what stands in a column's fields: as `DataFrame.to_csv` writes them, in a third of its time."""
    if column.dtype.kind == "f":
        return list(map(f"%.{DECIMALS}g".__mod__, column.tolist()))
    if column.dtype.kind in "biu":
        return list(map(str, column.tolist()))
    known: dict[str, str] = {}  # names stand in thousands of rows
    return [
        (known.get(value) or known.setdefault(value, _quoted(value))) if type(value) is str else _text(value)
        for value in column.tolist()
    ]


def _text(value: object) -> str:
    if isinstance(value, tuple | list):
        return _quoted(" ".join(f"{v:.{DECIMALS}g}" if isinstance(v, float) else str(v) for v in value))
    return "nan" if value is None or value is pd.NA or value != value else _quoted(str(value))


def _quoted(text: str) -> str:
    if any(character in text for character in ',"\r\n'):
        return '"' + text.replace('"', '""') + '"'
    return text


def owned_names() -> set[str]:
    """Return every file that some report writes; those that this one lacks are of an older one."""
    suffixes = ("png", "svg", "pdf", "tex")
    return {
        *(f"figures/{name}.{suffix}" for name in (*FIGURE_NAMES, *_FORMER) for suffix in suffixes),
        *(f"data/figure-{name}.csv" for name in (*FIGURE_NAMES, *_FORMER)),
        *(f"data/{name}.csv" for name in DATA_NAMES),
        *(f"tables/{name}.tex" for name in TABLE_NAMES),
    }


def write_changed(path: Path, content: bytes) -> bool:
    """Write a file unless it stands with this content; return whether it was written.

    Raises:
        ResultsError: The disk refuses.
    """
    if path.is_file() and path.read_bytes() == content:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, content)
    return True


MANIFEST: Final = "segbench-files.json"
"""In the folder: which files were put there, with their digests."""

_PARTS: Final = (".tex", ".pdf", ".png", ".csv")


@dataclass(frozen=True)
class Placed:
    """What a call of `write_into` did."""

    changed: tuple[Path, ...]
    removed: tuple[Path, ...]
    kept: tuple[Path, ...]
    """No longer part of the report, but edited since: left where they are."""


def write_into(report: Path, target: Path, *, name: str) -> Placed:
    """Copy tables, figures (`.tex`, `.pdf`, `.png`), data and `numbers.tex` of a report.

    Only what differs is written. A file that an earlier call put there and that the report no longer has is
    removed, unless it was edited; no other file is touched.

    Args:
        report: `reports/<experiment>/`, just written.
        target: Made where missing.
        name: The experiment's; a folder holds one experiment.

    Raises:
        ResultsError: The folder holds another experiment's files, or files of these names that segbench did
            not write; then nothing is written.
    """
    files = {file: (report / file).read_bytes() for file in _files(report)}
    before = _read_manifest(target / MANIFEST, name)
    strange = [f for f in files if f not in before and _differs(target / f, files[f])]
    if strange:
        rule = f"there are files that segbench did not write: {', '.join(strange[:5])}"
        raise ResultsError(message(str(target), rule, see="Give --into a folder of its own"))
    gone = [target / file for file in before if file not in files and (target / file).is_file()]
    edited = [path for path in gone if _sha(path) != before[path.relative_to(target).as_posix()]]
    removed = [path for path in gone if path not in edited]
    for path in removed:
        path.unlink()
    changed = []
    for file, content in files.items():
        path = target / file
        if path.is_file() and path.read_bytes() == content:
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, content)
        changed.append(path)
    digests = {file: hashlib.sha256(content).hexdigest() for file, content in files.items()}
    text = json.dumps({"experiment": name, "files": digests}, indent=1, ensure_ascii=False) + "\n"
    if _differs(target / MANIFEST, text.encode(), if_missing=True):
        write_bytes(target / MANIFEST, text.encode())
    return Placed(tuple(changed), tuple(removed), tuple(edited))


def _files(report: Path) -> list[str]:
    wanted = {file for file in owned_names() if file.endswith(_PARTS)} | {"numbers.tex"}
    pictures = {f"figures/{path.name}" for path in (report / "figures").glob("panels.*")} - {
        "figures/panels.txt"
    }
    return sorted(file for file in wanted | pictures if (report / file).is_file())


def _read_manifest(path: Path, name: str) -> Mapping[str, str]:
    if not path.is_file():
        return {}
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
        experiment, files = read["experiment"], dict(read["files"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        rule = "the list of files that segbench wrote here cannot be read"
        raise ResultsError(message(str(path), rule, see="Delete it and the files")) from error
    if experiment != name:
        rule = "this folder holds the files of another experiment"
        see = "Give each experiment a folder of its own"
        raise ResultsError(message(str(path.parent), rule, got=experiment, see=see))
    return {str(file): str(digest) for file, digest in files.items() if ".." not in Path(file).parts}


def _differs(path: Path, content: bytes, *, if_missing: bool = False) -> bool:
    return path.read_bytes() != content if path.is_file() else if_missing


def _sha(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
