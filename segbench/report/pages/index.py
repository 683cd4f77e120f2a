"""`reports/index.html` and `index.md`: every experiment's question, answer and verdicts on one page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from segbench.records import State
from segbench.report.analysis import Analysis
from segbench.report.numbers import typographic
from segbench.report.pages.html import page_css
from segbench.report.pages.markdown import escape as md_escape

_MOST_CHARACTERS = 440


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One report on the index."""

    name: str
    question: str
    answer: str
    """Its first sentences."""
    verdicts: str
    """Such as `2 supported, 1 unresolved`; empty: nothing was judged."""
    trials: str
    """Such as `18 of 18`."""
    last: str
    """Date of the last trial, from the records; empty: none has ended."""

    @classmethod
    def of(cls, analysis: Analysis) -> Entry:
        """Summarise a report."""
        return cls(
            name=analysis.experiment.name,
            question=analysis.experiment.question,
            answer=typographic(short(analysis.answer)),
            verdicts=verdict_counts(analysis),
            trials=_trials(analysis),
            last=analysis.provenance.get("last trial finished", "")[:10],
        )


def short(text: str) -> str:
    """Return the first sentences of a text, as many as fit in a few lines; at least one."""
    sentences = text.split(". ")
    kept = sentences[0]
    for sentence in sentences[1:]:
        if len(kept) + len(sentence) > _MOST_CHARACTERS:
            return kept + "."
        kept += f". {sentence}"
    return kept


def verdict_counts(analysis: Analysis) -> str:
    """Count the verdicts of the claims, else those of the family."""
    if not analysis.claims.empty:
        words = [str(word) for word in analysis.claims["verdict"]]
    elif not analysis.effects.empty:
        words = [str(v) for v in analysis.effects.loc[analysis.effects["is_family"], "verdict"] if v]
    else:
        words = []
    return ", ".join(f"{number} {word}" for word, number in sorted(Counter(words).items()))


def write_index_markdown(entries: Sequence[Entry]) -> str:
    """Return `index.md`."""
    parts = ["# Reports"]
    for entry in entries:
        facts = ", ".join(filter(None, (f"{entry.trials} trials", entry.last, entry.verdicts)))
        parts += [
            f"## [{md_escape(entry.name)}]({entry.name}/report.md)",
            f"**{md_escape(entry.question)}**",
            md_escape(entry.answer),
            f"<sub>{md_escape(facts)}</sub>",
        ]
    return "\n\n".join(parts) + "\n"


def write_index_html(entries: Sequence[Entry]) -> str:
    """Return `index.html`: one file, offline, like the reports."""
    cards = "\n".join(
        f'<section><h2><a href="{escape(entry.name)}/report.html">{escape(entry.name)}</a></h2>\n'
        f"<p><b>{escape(entry.question)}</b></p>\n"
        f'<p class="answer">{escape(entry.answer)}</p>\n'
        f"<dl>{_facts(entry)}</dl></section>"
        for entry in entries
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="color-scheme" content="light dark">
<title>Reports</title>
<style>
{_css()}</style>
</head>
<body>
<header><h1>Reports</h1></header>
<main>
{cards}
</main>
</body>
</html>
"""


def _css() -> str:
    """Return the style of the pages; without a script the system alone says whether it is dark."""
    dark = "@media screen and (prefers-color-scheme: dark) {"
    css = page_css().replace("@media screen {", dark).replace(':root[data-theme="dark"]', ":root")
    return css + ".answer + dl { margin-top: .7rem; }\n"


def _facts(entry: Entry) -> str:
    facts = {"verdicts": entry.verdicts, "trials": entry.trials, "last trial": entry.last}
    return "".join(f"<dt>{escape(t)}</dt><dd>{escape(text)}</dd>" for t, text in facts.items() if text)


def _trials(analysis: Analysis) -> str:
    measured = analysis.measured
    if measured is None or measured.empty:
        return str(len(analysis.seeds))
    done = int((measured["state"] == State.COMPLETE.value).sum())
    return f"{done:,} of {len(measured):,}"
