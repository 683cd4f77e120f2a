"""`report --check` and `--all`: what is out of date, and the index of every report."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import fake_analysis as fake
import pytest

from segbench.cli import report as cli_all
from segbench.cli.options import Asked
from segbench.errors import ResultsError, StaleReport
from segbench.report import freshness
from segbench.report.build import write_report
from segbench.report.freshness import Said
from segbench.report.labels import Style
from segbench.report.pages.html import Entry, short, verdict_counts, write_index_html, write_index_markdown
from segbench.report.topics.panels import Panels
from segbench.store.layout import ResultsFolder

HASHES = ("0123456789ab", "1123456789ab")


@pytest.fixture
def written(tmp_path):
    """A project with two trials' records and a report made from them."""
    analysis = fake.make_analysis(fake.QUICKSTART, name="quickstart", root=tmp_path)
    folder = ResultsFolder(tmp_path / "results").experiment("quickstart")
    for hash in HASHES:
        trial = folder.trial(hash)
        trial.path.mkdir(parents=True)
        trial.record.write_text(f'{{"hash": "{hash}"}}')
        trial.epochs.write_text("epoch\n1\n")
    write_report(analysis, tmp_path / "reports" / "quickstart", panels=Panels(), with_pdf=False)
    return analysis.experiment, tmp_path / "reports" / "quickstart", folder


def test_a_fresh_report_is_up_to_date(written):
    experiment, report, _ = written
    assert freshness.differences(report, experiment, Style()) == []
    made_from = json.loads((report / "numbers.json").read_text())["made_from"]
    assert sorted(made_from) == ["code", "experiment", "results", "style", "trials"]
    assert sorted(made_from["trials"]) == list(HASHES)


def test_trials_that_are_new_changed_or_gone_are_named(written):
    experiment, report, folder = written
    folder.trial(HASHES[0]).epochs.write_text("epoch\n1\n2\n")
    folder.trial(HASHES[1]).record.rename(folder.root / "elsewhere.json")
    folder.trial(HASHES[1]).epochs.unlink()
    folder.trial(HASHES[1]).path.rmdir()
    new = folder.trial("2123456789ab")
    new.path.mkdir()
    new.record.write_text("{}")
    assert freshness.differences(report, experiment, Style()) == [
        "1 trial is new (2123456789ab)",
        "1 trial is gone (1123456789ab)",
        "1 trial is changed (0123456789ab)",
    ]


def test_what_does_not_enter_a_report_does_not_count(written):
    experiment, report, folder = written
    folder.trial(HASHES[0]).log.write_text("a line\n")
    folder.queue.write_text("{}")
    slurm = replace(experiment, document={**experiment.document, "slurm": {"time": "1h"}})
    assert freshness.differences(report, slurm, Style()) == []


def test_history_experiment_style_and_code_count(written, monkeypatch):
    experiment, report, folder = written
    folder.history.write_text("ended\n")
    changed = replace(experiment, document={"question": "another"})
    monkeypatch.setattr(freshness, "_code_digest", lambda: "other code")
    assert freshness.differences(report, changed, Style(digits=4)) == [
        "index.csv, history.csv or samples.csv changed",
        "the experiment changed",
        "style.yaml changed",
        "segbench's code for reports changed",
    ]


def test_a_report_of_an_older_version_or_none_is_out_of_date(written):
    experiment, report, _ = written
    (report / "numbers.json").write_text('{"format": 1, "made_from": {}}')
    assert freshness.differences(report, experiment, Style()) == [
        "there is no report that says what it was made from"
    ]


def test_check_raises_with_its_own_exit_code_and_writes_nothing(written, monkeypatch, capsys, tmp_path):
    experiment, _, folder = written
    monkeypatch.setattr("segbench.config.load.load_experiment", lambda *args, **kwargs: experiment)
    monkeypatch.chdir(tmp_path)
    asked = Asked(experiment="quickstart", scale="small")
    cli_all.check_report(asked)
    assert capsys.readouterr().out == "reports/quickstart: up to date\n"
    stamps = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    folder.trial(HASHES[0]).epochs.write_text("epoch\n1\n2\n")
    stamps.pop(folder.trial(HASHES[0]).epochs)
    with pytest.raises(StaleReport) as error:
        cli_all.check_report(asked)
    assert error.value.exit_code == 5
    assert str(error.value) == (
        "reports/quickstart: out of date: 1 trial is changed (0123456789ab). "
        "Run: segbench report quickstart --scale small."
    )
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps


def reported(analysis, made):
    said = Said("", made.warnings, made.pages, asdict(Entry.of(analysis)))
    return cli_all.Reported(folder=made.folder, said=said, changed=made.changed)


def test_all_writes_every_report_and_an_index_and_goes_on_after_an_error(tmp_path, monkeypatch, capsys):
    for name in ("a", "b", "broken", "c_smoke"):
        (tmp_path / "results" / name / "trials").mkdir(parents=True)
    (tmp_path / "experiments").mkdir()
    monkeypatch.chdir(tmp_path)
    asked_of = []

    def write(asked, *, with_pdf, with_xlsx):
        asked_of.append(asked.experiment)
        if asked.experiment == "broken":
            raise ResultsError("broken: no trial of this experiment has ended.")
        analysis = fake.make_analysis(fake.QUICKSTART, name=asked.experiment, root=tmp_path)
        folder = tmp_path / "reports" / asked.experiment
        return reported(analysis, write_report(analysis, folder, panels=Panels(), with_pdf=with_pdf))

    monkeypatch.setattr(cli_all, "report_one", write)
    with pytest.raises(ResultsError, match="broken"):
        cli_all.report_all(tmp_path, with_pdf=False)
    assert asked_of == ["a", "b", "broken"]
    page = (tmp_path / "reports" / "index.html").read_text()
    assert 'href="a/report.html"' in page
    assert 'href="b/report.html"' in page
    assert "broken" not in page
    text = (tmp_path / "reports" / "index.md").read_text()
    assert "## [a](a/report.md)" in text
    (tmp_path / "results" / "broken" / "trials").rmdir()
    capsys.readouterr()
    cli_all.report_all(tmp_path, with_pdf=False)
    assert "reports/index.html (unchanged)" in capsys.readouterr().out


def test_all_takes_what_was_swept_where_the_name_fits_no_trial(tmp_path, monkeypatch):
    record = tmp_path / "results" / "a" / "experiment.yaml"
    (record.parent / "trials").mkdir(parents=True)
    record.write_text("question: x\n")
    asked_of = []

    def write(asked, *, with_pdf, with_xlsx):
        asked_of.append(asked.experiment)
        if asked.experiment == "a":
            raise ResultsError("no trial of this experiment has ended.")
        analysis = fake.make_analysis(fake.QUICKSTART, name="a", root=tmp_path)
        folder = tmp_path / "reports" / "a"
        return reported(analysis, write_report(analysis, folder, panels=Panels(), with_pdf=with_pdf))

    monkeypatch.setattr(cli_all, "report_one", write)
    cli_all.report_all(tmp_path, with_pdf=False)
    assert asked_of == ["a", str(record)]


def test_an_entry_counts_verdicts_and_escapes():
    analysis = fake.make_analysis(fake.HOSTILE, name="h")
    assert verdict_counts(analysis) == "1 not judged, 1 supported, 1 unresolved"
    entry = replace(Entry.of(analysis), question="<b>Is it & so?</b>")
    page = write_index_html([entry])
    assert "&lt;b&gt;Is it &amp; so?&lt;/b&gt;" in page
    assert "<b>Is it" not in page
    assert "\\<b\\>Is it \\& so?" in write_index_markdown([entry])


def test_the_short_answer_ends_at_a_sentence():
    text = "One is 0.5 here. " + "Two " * 140 + ". Three."
    assert short(text) == "One is 0.5 here."
    assert short("Only one. And two.") == "Only one. And two."
