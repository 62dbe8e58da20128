"""The page as HTML. It loads nothing and runs no script; texts are escaped, because a corpus may contain HTML."""

import math
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from pathlib import Path

from components.command_line import counted, visible
from components.evaluate import summary
from components.evaluate.hardest import Passage
from components.ingest.documents import END
from components.models.training import Training
from pipeline.page import charts
from pipeline.page.contents import PUSHED, SERVED, Contents

_DOCUMENTS, _CHIPS, _MOST_CHIPS = 20, 40, 1000  # shown of long lists
_CHARACTERS = 2000  # of a value: a name or a message may be long
_SHADES = (0.9, 0.5, 0.2, 0.05, 0.01)  # probabilities below which a character has the next class, as in the playground
_KEY = ("&gt;90%", "50–90%", "20–50%", "5–20%", "1–5%", "&lt;1%")
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"  # also of a user interface that shows it in a frame


def render(contents: Contents) -> str:
    """Return the page. Example: tests/pipeline/page/test_html.py."""
    title, style = text(contents.model), Path(__file__).with_name("style.css").read_text(encoding="utf-8")
    sections = {
        "Evaluation": _evaluation(contents),
        "Learning curve": _curve(contents),
        "Samples": _samples(contents.samples),
        "Perplexity by document": _documents(contents),
        "Hardest passages": _hardest(contents.hardest),
        "Data": _data(contents),
        "Vocabulary": _vocabulary(contents.training),
        "Components": _steps(contents),
        "From the text to the version": _lineage(contents),
    }
    body = [f"<h1>{title}</h1>", *_verdict(contents)]
    for heading, parts in sections.items():
        if shown := list(parts):
            body += [f"<h2>{heading}</h2>", *shown]
    head = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}: {text(contents.decision)}</title>\n<style>\n{style}</style>\n</head>\n"
    )
    return head + "<body>\n" + "\n".join(body) + "\n</body>\n</html>\n"


def text(value: str) -> str:
    """Return a text that the browser shows as it is: escaped, without control characters, not too long."""
    return escape(visible(value if len(value) <= _CHARACTERS else value[:_CHARACTERS] + " ..."))


def _verdict(contents: Contents) -> Iterator[str]:
    good = contents.decision in (PUSHED, SERVED)
    version = f"version {text(contents.version)} " if contents.version else ""
    blessed = "Blessed; " if good else ""
    decision = f"{blessed}{version}{text(contents.decision)}"
    yield f'<p class="verdict {"good" if good else "bad"}">{decision[:1].upper()}{decision[1:]}</p>'
    if contents.reasons:
        yield f"<ul>{''.join(f'<li>{text(reason)}</li>' for reason in contents.reasons)}</ul>"
    seconds = sum(step.seconds for step in contents.steps)
    facts = [contents.corpus, contents.when, f"{_duration(seconds)} in its components" if contents.steps else ""]
    yield f'<p class="faint">{text(" · ".join(filter(None, facts)))}</p>'


def _evaluation(contents: Contents) -> Iterator[str]:
    figures = contents.figures
    if figures is None:
        return
    texts = contents.missing_baseline, contents.eval_text
    rows = summary.rows(figures, contents.threshold, contents.decision in (PUSHED, SERVED), (), *texts)
    unknown = ("out of vocabulary", f"{figures.out_of_vocabulary_rate:.3%} of the eval text")
    yield _table((), [*(row for row in rows if row[0] != "blessed"), unknown])
    if (measured := figures.generalization) and len(measured.longest_copy) > summary.SHOWN:
        yield f"<details><summary>The longest copy</summary><pre>{text(measured.longest_copy)}</pre></details>"
    baseline = figures.baseline_perplexity
    if baseline is not None:
        change = figures.perplexity / baseline - 1
        name = f"version {contents.baseline}, the last blessed model" if contents.baseline else "the last blessed model"
        compared = f"{abs(change):.1%} {'above' if change > 0 else 'below'}" if abs(change) >= 0.0005 else "The same as"
        yield f"<p>{compared} the perplexity of {text(name)}.</p>"


def _curve(contents: Contents) -> Iterator[str]:
    curves = contents.curves
    if curves is None:
        return
    reference = contents.figures.reference_perplexity if contents.figures else math.inf
    threshold = reference if contents.threshold is None else contents.threshold
    if len([value for _, value in (*curves.train, *curves.evaluation) if math.isfinite(value)]) < 2:
        yield '<p class="faint">Fewer than two finite losses were recorded.</p>'
        return
    yield charts.learning_curve(curves, threshold)
    key = (f'<span><i class="{kind}"></i>{what}</span>' for kind, what in charts.legend(threshold))
    yield f'<p class="key faint">{"".join(key)}</p>'


def _samples(samples: Mapping[float, str]) -> Iterator[str]:
    for temperature, sample in samples.items():
        yield f'<p class="faint">Temperature {temperature:g}</p>'
        yield f"<pre>{text(sample.replace(END, chr(10)))}</pre>"


def _documents(contents: Contents) -> Iterator[str]:
    figures = contents.figures
    if figures is None or len(figures.by_document) < 2:
        return
    before = figures.baseline_by_document
    hardest = sorted(figures.by_document.items(), key=lambda item: -item[1])
    rows = [
        (name, f"{value:.3f}", *([f"{before[name]:.3f}" if name in before else "-"] if before else []))
        for name, value in hardest[:_DOCUMENTS]
    ]
    yield _table(("document", "perplexity", *(["last blessed"] if before else [])), rows)
    if (left_out := len(hardest) - _DOCUMENTS) > 0:
        yield f'<p class="faint">Left out: {counted(left_out, "document")} with lower perplexity.</p>'


def _hardest(passages: Sequence[Passage]) -> Iterator[str]:
    if not passages:
        return
    key = "".join(f'<span class="p{shade}">{name}</span>' for shade, name in enumerate(_KEY))
    yield f'<p class="key faint">Probability of each character: {key}</p>'
    for one in passages:
        where = f"{one.document}, character {one.position:,}: perplexity {math.exp(min(one.mean, 100)):.2f}"
        yield f'<p class="faint">{text(where)}</p>'
        yield f"<pre>{_shaded(one)}</pre>"


def _shaded(passage: Passage) -> str:
    parts, last = list[str](), -1
    for character, nats in zip(passage.text, passage.nats):
        shade = sum(math.exp(-nats) < bound for bound in _SHADES)
        if shade != last:
            parts.append(f'{"</span>" if parts else ""}<span class="p{shade}">')
        parts.append(escape("␃" if character == END else visible(character)))
        last = shade
    return "".join(parts) + ("</span>" if parts else "")


def _data(contents: Contents) -> Iterator[str]:
    if contents.splits:
        rows = [(split.name, *(f"{count:,}" for count in split[1:])) for split in contents.splits]
        yield _table(("split", "documents", "passages", "characters"), rows)
    if contents.anomalies:
        yield f"<ul>{''.join(f'<li>{text(one)}</li>' for one in contents.anomalies)}</ul>"
    elif contents.anomalies is not None:
        yield '<p class="faint">No anomalies: all records match the schema.</p>'
    if contents.drift:
        yield f"<p>Drift: {text(contents.drift)}</p>"


def _vocabulary(trained: Training | None) -> Iterator[str]:
    if trained is None or not trained.frequencies:
        return
    total = sum(trained.frequencies.values()) + trained.unknown
    chips = [
        f"<li><b>{escape(_named(character))}</b> <span>{count / max(1, total):.2%}</span></li>"
        for character, count in trained.frequencies.items()
    ]
    yield f"<p>{counted(len(chips), 'character')}, with their share of the train split.</p>"
    yield f'<ul class="characters">{"".join(chips[:_CHIPS])}</ul>'
    if len(chips) > _CHIPS:
        rest = chips[_CHIPS:_MOST_CHIPS]
        yield f"<details><summary>{len(rest):,} rarer ones</summary>"
        yield f'<ul class="characters">{"".join(rest)}</ul></details>'
    if trained.unknown:
        yield f'<p class="faint">{trained.unknown / total:.3%} are characters that the vocabulary leaves out.</p>'


def _named(character: str) -> str:
    names = {"\n": "line feed", " ": "space", "\t": "tab", END: "end of document"}
    printable = unicodedata.category(character)[0] not in "CZM"
    return names.get(character) or (character if printable else f"U+{ord(character):04X}")


def _steps(contents: Contents) -> Iterator[str]:
    if contents.steps:
        rows = [(step.name, f"{step.seconds:.1f} s", step.how) for step in contents.steps]
        cached = sum(step.how == "cached" for step in contents.steps)
        yield _table(("component", "time", ""), rows)
        yield f'<p class="faint">{cached} of {len(rows)} from the cache.</p>'
    if trained := contents.training:
        steps = f"{trained.steps:,} steps in " if trained.steps else "ended after "
        cost = f"Training: {steps}{_duration(trained.seconds)}, {trained.cpu_seconds:,.0f} CPU-seconds"
        yield f"<p>{text(f'{cost}; {trained.hardware}' if trained.hardware else cost)}.</p>"


def _lineage(contents: Contents) -> Iterator[str]:
    trained, figures = contents.training, contents.figures
    sizes = [f"{split.name}: {split.characters:,} characters" for split in contents.splits]
    ids = [f"{len(trained.frequencies):,} characters"] if trained and trained.frequencies else []
    network = [f"{trained.network}, {trained.steps:,} steps"] if trained and trained.steps else []
    done = {step.name for step in contents.steps if step.how in ("executed", "cached")}
    measured = [f"perplexity {figures.perplexity:.3f}"] if figures else []
    if figures and contents.baseline:
        measured.append(f"compared with version {contents.baseline}")
    boxes = [
        ("Text", [contents.corpus], True),
        ("Records", sizes, bool(sizes)),
        ("Vocabulary", ids, bool(ids) or "Transform" in done),
        ("Training", network, bool(network)),
        ("Evaluation", measured, bool(measured)),
    ]
    version = f"Version {contents.version}" if contents.version else "No version"
    boxes.append((version, [contents.decision], bool(contents.version)))
    yield charts.lineage(boxes)


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table. With a header, the second and later columns are numbers; without, the first names the second."""
    lines = []
    if header:
        lines.append("".join(f"<th{_align(column)}>{text(name)}</th>" for column, name in enumerate(header)))
    for row in rows:
        cells = [f"<td{_align(column) if header else ''}>{text(value)}</td>" for column, value in enumerate(row)]
        if not header:
            cells[0] = f"<th>{text(row[0])}</th>"
        lines.append("".join(cells))
    return "<table>\n" + "\n".join(f"<tr>{line}</tr>" for line in lines) + "\n</table>"


def _align(column: int) -> str:
    return ' class="number"' if column else ""


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d} minutes" if minutes else f"{seconds:.1f} s"
