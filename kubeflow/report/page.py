"""The result of a run as one HTML file, which the user interfaces show in a sandboxed frame.

Everything is inside the file: it loads nothing and runs no script. Text is escaped, because a corpus may contain HTML.
"""

import base64
from collections.abc import Iterable, Mapping, Sequence
from html import escape

from components.command_line import counted
from components.evaluate import summary
from kubeflow.report.result import Result

_DOCUMENTS = 50  # rows: the frame holds the complete page in memory
_CHARACTERS = 2000  # of a value: a name or a message may be long
_STYLE = """
:root { color-scheme: light dark; --text: #1f2328; --faint: #59636e; --page: #fff; --line: #d1d9e0; --good: #1a7f37;
  --bad: #cf222e; }
@media (prefers-color-scheme: dark) { :root { --text: #e6edf3; --faint: #9198a1; --page: #0d1117; --line: #3d444d;
  --good: #3fb950; --bad: #f85149; } }
body { margin: 0 auto; max-width: 60rem; padding: 1rem; background: var(--page); color: var(--text);
  font: 14px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.4rem; margin: 0; } h2 { font-size: 1.1rem; margin: 1.5rem 0 .5rem; }
.good { color: var(--good); } .bad { color: var(--bad); } .faint { color: var(--faint); margin: .25rem 0; }
table { border-collapse: collapse; } th, td { padding: .2rem .8rem .2rem 0; text-align: left; vertical-align: top;
  border-bottom: 1px solid var(--line); font-weight: normal; }
th { color: var(--faint); white-space: nowrap; } .number { text-align: right; font-variant-numeric: tabular-nums; }
img { background: #fff; border-radius: 6px; max-width: 100%; }
pre { border: 1px solid var(--line); border-radius: 6px; margin: 0; padding: .8rem; white-space: pre-wrap; }
"""


def render(result: Result) -> str:
    """Return the page. Example: tests/kubeflow/report/test_page.py."""
    figures = result.figures
    rows = [
        ("corpus", result.corpus),
        *summary.rows(figures, result.threshold, result.blessed, (), result.missing_baseline, result.eval_text),
        ("out of vocabulary", f"{figures.out_of_vocabulary_rate:.3%} of the eval text"),
        *([("drift", result.drift)] if result.drift else []),
        ("version", result.version or "not pushed"),
    ]
    hardest = sorted(figures.by_document.items(), key=lambda item: -item[1])
    documents = [(name, f"{value:.3f}") for name, value in hardest[:_DOCUMENTS]]
    rest = f"Left out: {counted(len(hardest) - _DOCUMENTS, 'document')} with lower perplexity."
    splits = [(split.name, *(f"{count:,}" for count in split[1:])) for split in result.splits]
    parts = [
        f"<h1>{_text(result.model)}</h1>",
        _verdict(result),
        "<h2>Evaluation</h2>",
        _table((), rows),
        *_curve(result.learning_curve),
        "<h2>Samples</h2>",
        *_samples(result.samples),
        *(("<h2>Documents</h2>", _table(("document", "perplexity"), documents)) if len(documents) > 1 else ()),
        *((f'<p class="faint">{rest}</p>',) if len(hardest) > _DOCUMENTS else ()),
        "<h2>Data</h2>",
        _table(("split", "documents", "passages", "characters"), splits),
    ]
    head = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
        "style-src 'unsafe-inline'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_text(result.model)}</title>\n<style>{_STYLE}</style>\n</head>\n"
    )
    return head + "<body>\n" + "\n".join(parts) + "\n</body>\n</html>\n"


def _verdict(result: Result) -> str:
    if result.version:
        return f'<p class="good">Blessed; version {_text(result.version)}</p>'
    reasons = "".join(f"<li>{_text(reason)}</li>" for reason in result.reasons)
    return f'<p class="bad">{"Blessed, but not pushed" if result.blessed else "Not blessed"}</p>\n<ul>{reasons}</ul>'


def _curve(image: bytes) -> Iterable[str]:
    yield "<h2>Learning curve</h2>"
    if image:
        data = base64.b64encode(image).decode()
        yield f'<img alt="Loss of training and evaluation by step" src="data:image/png;base64,{data}">'
    else:
        yield '<p class="faint">The training wrote no events.</p>'


def _samples(samples: Mapping[float, str]) -> Iterable[str]:
    for temperature, text in samples.items():
        yield f'<p class="faint">From the start of a line or document, temperature {temperature:g}</p>'
        yield f"<pre>{_text(text)}</pre>"
    if not samples:
        yield '<p class="faint">None: training.measured_chars is 0.</p>'


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table. With a header, all columns but the first are numbers; without, the first names the second."""
    lines = []
    if header:
        lines.append("".join(f"<th{_align(column)}>{_text(name)}</th>" for column, name in enumerate(header)))
    for row in rows:
        cells = [f"<td{_align(column) if header else ''}>{_text(value)}</td>" for column, value in enumerate(row)]
        if not header:
            cells[0] = f"<th>{_text(row[0])}</th>"
        lines.append("".join(cells))
    return "<table>\n" + "\n".join(f"<tr>{line}</tr>" for line in lines) + "\n</table>"


def _align(column: int) -> str:
    return ' class="number"' if column else ""


def _text(value: str) -> str:
    shown = value if len(value) <= _CHARACTERS else value[:_CHARACTERS] + " ..."
    return escape(shown)
