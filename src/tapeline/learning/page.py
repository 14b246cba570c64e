"""The page of a run: one HTML file that needs nothing else, for a reader who does not believe us."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from tapeline.learning.figures import pictures, unit_of
from tapeline.learning.record import Outcome
from tapeline.types import venue_of

_NUMBER = re.compile(r"unknown$|[+-]?[0-9][0-9.,e+-]*( \[.*\]| \([0-9]+ pruned\))?$")
"""What stands in a column of numbers."""
_SECONDS = 0.05
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1f2933; margin: 0 auto; max-width: 1120px; padding: 24px; }
h1 { font-size: 24px; margin: 0 0 4px; } h2 { font-size: 20px; margin: 40px 0 8px; border-top: 2px solid #e4e7eb;
padding-top: 16px; } h3 { font-size: 15px; margin: 24px 0 4px; } p { margin: 6px 0; }
.verdict { padding: 12px 16px; border-left: 6px solid #9aa5b1; background: #f5f7fa; margin: 12px 0; }
.verdict.yes { border-color: #009e73; background: #ecf8f4; } .verdict.no { border-color: #d55e00; background: #fdf3ec; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: 13px; margin: 6px 0; }
th, td { text-align: left; padding: 3px 10px; border-bottom: 1px solid #e4e7eb; vertical-align: top; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.ok { color: #00785a; font-weight: 600; } .bad { color: #b34700; font-weight: 600; } .faint { color: #52606d; }
figure { display: inline-block; margin: 12px 12px 0 0; vertical-align: top; max-width: 100%; }
figcaption { font-size: 13px; color: #52606d; } svg { max-width: 100%; height: auto; }
summary { cursor: pointer; color: #52606d; } code, pre { font-size: 12px; }
"""


def page(report: Mapping[str, Any], settings: Mapping[str, Any], outcomes: Mapping[str, Outcome]) -> str:
    """Return the page of a run as HTML.

    Args:
        report: what was found.
        settings: what was asked.
        outcomes: by target, for the pictures.
    """
    title = f"{report['instrument']}, {report['timeframe']} candles, {report['horizon']} ahead"
    parts = [*_head(report, title)]
    for target, outcome in outcomes.items():
        parts.extend(_target(report, target, outcome))
    parts.extend(_tuning(report))
    parts.extend(_costs(outcomes))
    parts.extend(_data(report))
    parts.append(_reproduce(settings))
    head = f'<meta charset="utf-8"><title>{escape(title)}</title><style>{_STYLE}</style>'
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{"".join(parts)}</body></html>\n'


def _head(report: Mapping[str, Any], title: str) -> Iterator[str]:
    mark = "SIMULATED &middot; " if venue_of(report["instrument"]) == "SIM" else ""
    yield f"<h1>{mark}{escape(title)}</h1>"
    span = f"{report['rows']:,} rows from {report['first']} to {report['last']}"
    made = f"run {report['run']}, objective {report['objective']}, seed {report['seed']}"
    yield f'<p class="faint">{escape(span)}; {escape(made)}, {report["tried"]} candidates.</p>'
    for target, found in report["targets"].items():
        kind = "yes" if found["promoted"] else "no"
        verdict = f"{found['champion']} is promoted" if found["promoted"] else f"{found['champion']} stays champion"
        yield f'<div class="verdict {kind}"><b>{target}: {escape(verdict)}.</b> {escape(found["reason"])}<br>'
        yield f'<span class="faint">{escape(found["trading"]["text"])}.</span></div>'
    for target, why in report["not_evaluated"].items():
        yield f'<div class="verdict"><b>{target}: not evaluated.</b> {escape(why)}</div>'
    yield (
        "<p>Every number below is out of sample: each prediction was made by a model that had only seen what was "
        "known by then (walk-forward, purged, with an embargo). Intervals come from a block bootstrap; those of"
        " differences "
        f"are at {100 * report['level_of_differences']:.4g} %: {100 * report['level']:g} %, corrected for everything "
        "that could have been promoted. Positive differences are better.</p>"
    )


def _target(report: Mapping[str, Any], target: str, outcome: Outcome) -> Iterator[str]:
    found = report["targets"][target]
    yield f"<h2>{target}</h2>"
    facts = f"{found['test_rows']:,} test rows in {found['folds']} folds, blocks of {found['block_rows']} rows"
    yield f'<p class="faint">{facts}; the {found["metric"]} decides; best baseline: {escape(found["baseline"])}.</p>'
    if found["gate"]:
        rows = [[_mark(check["passed"]), check["name"], check["text"]] for check in found["gate"]]
        yield "<h3>The gate</h3>" + _table(("", "check", "found"), rows)
    for caption, svg in pictures(outcome):
        yield f"<figure><figcaption>{escape(caption)}</figcaption>{svg}</figure>"
    yield "<h3>All numbers</h3>" + _scores([row for row in report["models"] if row["target"] == target])
    tests = [[row["model"], _number(row["statistic"]), _number(row["p"])] for row in found["diebold_mariano"]]
    yield f"<h3>Diebold-Mariano test of {found['metric']} against {escape(found['baseline'])}</h3>"
    yield _table(("model", "statistic", "p (two-sided)"), tests)
    yield "<h3>Trading</h3>" + _trading(found["trading"])
    if found["coverage"] is not None:
        yield f"<p>{_covered(found)}</p>"
    yield _sweep(report["sweep"].get(target))
    yield _inputs(found)


def _scores(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the deciding metric's rows, and those of all others to be unfolded."""
    shown = [
        [_named(row["metric"]), row["model"], _between(row, ""), row["baseline"], _between(row, "difference")]
        for row in rows
    ]
    first = _named(rows[0]["metric"])
    head = ("metric", "model", "value", "best baseline", "difference")
    deciding, others = ([row for row in shown if (row[0] == first) == wanted] for wanted in (True, False))
    told = (
        f"<details><summary>{len({row[0] for row in others})} other metrics</summary>{_table(head, others)}</details>"
    )
    return _table(head, deciding) + (told if others else "")


def _named(metric: str) -> str:
    unit = unit_of(metric)[1]
    return f"{metric} ({unit})" if unit else metric


def _between(row: Mapping[str, Any], name: str) -> str:
    low, high = (f"{name}_low", f"{name}_high") if name else ("low", "high")
    scale = unit_of(row["metric"])[0]
    if row[name or "value"] is None:
        return "unknown"
    value, least, most = (_number(row[key], scale) for key in (name or "value", low, high))
    return f"{value} [{least}, {most}]"


def _trading(earned: Mapping[str, Any]) -> str:
    bp = {name: _number(earned[name], 1e4) for name in ("gross", "net", "cost")}
    low, high = (_number(end) for end in earned["sharpe_interval"])
    fall = [_number(end, 100) for end in (earned["drawdown"], *earned["drawdown_interval"])]
    rows = [
        ["trades", f"{earned['trades']:,} ({earned['turnover']:.3g} turnovers of the capital a day)"],
        ["earned per trade", f"{bp['gross']} bp before costs, {bp['net']} bp after ({bp['cost']} bp a round trip)"],
        ["Sharpe ratio after costs, annualised", f"{_number(earned['sharpe'])} [{low}, {high}]"],
        [
            "deflated Sharpe ratio",
            f"{_number(earned['deflated_sharpe'])} (chance of a true edge, {earned['tries']} tries)",
        ],
        ["drawdown, of earnings that are summed", f"{fall[0]} % [{fall[1]}, {fall[2]}]"],
    ]
    return _table((f"following {earned['model']}", ""), rows)


def _covered(found: Mapping[str, Any]) -> str:
    low, high = (_number(end, 100) for end in found["coverage_interval"])
    width = _number(found["width"], 1e4)
    share = f"{100 * found['coverage']:.1f} % [{low}, {high}]"
    return f"{share} of outcomes were inside the {found['coverage_asked']:.0%} intervals, {width} bp wide on average."


def _sweep(swept: Mapping[str, Any] | None) -> str:
    if swept is None:
        return ""
    rows = [
        [
            str(place),
            row["model"],
            "yes" if row["served"] else "cannot be served",
            f"{row['most_rows']:,}",
            _between(row, ""),
            _between(row, "difference"),
        ]
        for place, row in enumerate(swept["ranking"], 1)
    ]
    failed = "".join(f"<li>{escape(name)}: {escape(why)}</li>" for name, why in swept["failed"].items())
    told = (
        f"<details><summary>{len(swept['failed'])} did not end</summary><ul>{failed}</ul></details>" if failed else ""
    )
    metric = _named(swept["ranking"][0]["metric"]) if rows else "value"
    head = ("", "model", "can be promoted", "rows of the last fold", metric, "difference to the best baseline")
    note = "Ordinary models that take long learn from the newest rows only, at most as many as stand here."
    table = f'<p class="faint">{note}</p>{_table(head, rows)}{told}'
    return f"<h3>Sweep: {swept['tried']} ordinary models</h3>{table}"


def _inputs(found: Mapping[str, Any]) -> str:
    if not found["importance"]:
        return ""
    unit = found["importance"][0]["unit"]
    scale = unit_of(found["metric"])[0]
    rows = [
        [
            one["column"],
            "{} [{}, {}]".format(*(_number(one[key], scale) for key in ("loss", "loss_low", "loss_high"))),
            _number(one["added"]),
        ]
        for one in found["importance"]
    ]
    lost = f"{_named(found['metric'])} lost in random order"
    table = _table(("input", lost, f"mean size of what it adds ({unit})"), rows)
    table = f"<details><summary>{len(rows)} inputs</summary>{table}</details>"
    note = "What an input adds: SHAP values of boosted trees, weight times value of linear models."
    return f'<h3>Inputs of {escape(found["candidate"] or found["champion"])}</h3><p class="faint">{note}</p>{table}'


def _tuning(report: Mapping[str, Any]) -> Iterator[str]:
    if report["tuning"]:
        rows = [
            [
                one["target"],
                one["model"],
                f"{one['rows']:,}",
                f"{one['trials']} ({one['pruned']} pruned)",
                _number(one["loss"]),
                ", ".join(f"{name} {value:.3g}" for name, value in one["chosen"].items()),
            ]
            for one in report["tuning"]
        ]
        head = ("target", "model", "rows learnt from", "trials", "loss inside", "chosen")
        yield '<h2>Tuning</h2><p class="faint">One search per fit, inside its training rows only.</p>' + _table(
            head, rows
        )


def _costs(outcomes: Mapping[str, Outcome]) -> Iterator[str]:
    rows = [
        [target, model, f"{seconds:.1f}"]
        for target, outcome in outcomes.items()
        for model, seconds in outcome.costs.items()
        if seconds >= _SECONDS
    ]
    total = sum(seconds for outcome in outcomes.values() for seconds in outcome.costs.values())
    if total:
        note = f"All fits of the walk-forward together: {total:.0f} s of processor time."
        yield f'<h2>What it cost</h2><p class="faint">{note}</p><details><summary>by model</summary>'
        yield _table(("target", "model", "seconds of a processor, all folds"), rows) + "</details>"


def _data(report: Mapping[str, Any]) -> Iterator[str]:
    yield "<h2>Data</h2>"
    left = "; ".join(f"{count:,} {reason}" for reason, count in report["excluded"].items())
    yield f"<p>{report['rows']:,} rows learnt from and tested on; left out: {escape(left) or 'none'}.</p>"
    if report["data_checks"] is not None:
        rows = [[_mark(one["passed"]), one["name"], one["found"], one["rule"]] for one in report["data_checks"]]
        yield "<h3>Checks</h3>" + _table(("", "check", "found", "rule"), rows)
    if report["leak_check"] is not None:
        leaks = report["leak_check"]
        told = "<br>".join(map(escape, leaks)) if leaks else "no input changes when the future is cut off or changed"
        mark = f'<span class="{"bad" if leaks else "ok"}">{_mark(not leaks)}</span>'
        yield f"<p>{mark} leaks: {told}.</p>"
    names = ("unknown", "mean", "deviation", "least", "q05", "median", "q95", "most", "distinct")
    rows = [[row["column"], row["shape"] or "", *(_number(row[name]) for name in names)] for row in report["profile"]]
    note = "Shape: how often values come from the 1 % to the 99 % quantile, by the root of the count. "
    last = "The last row is the outcome."
    table = f'<p class="faint">{note}{last}</p>{_table(("column", "shape", *names), rows)}'
    yield f"<h3>Profile of the inputs</h3><details><summary>{len(rows) - 1} inputs</summary>{table}</details>"


def _reproduce(settings: Mapping[str, Any]) -> str:
    text = escape(json.dumps(settings, indent=1))
    return (
        f"<h2>To repeat it</h2><details><summary>all settings, versions and hashes</summary><pre>{text}</pre></details>"
    )


def _mark(passed: bool) -> str:
    return "ok" if passed else "NO"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    numbers = [all(_NUMBER.match(row[column]) for row in rows) for column in range(len(head))]
    lines = [_line("th", head, numbers), *(_line("td", row, numbers) for row in rows)]
    return f'<div class="wide"><table>{"".join(lines)}</table></div>'


def _line(tag: str, texts: Sequence[str], numbers: Sequence[bool]) -> str:
    marks = {"ok": " class=ok", "NO": " class=bad"}
    cells = zip(texts, numbers, strict=True)
    made = [f"<{tag}{' class=n' if number else marks.get(text, '')}>{escape(text)}</{tag}>" for text, number in cells]
    return f"<tr>{''.join(made)}</tr>"


def _number(value: float | None, scale: float = 1.0) -> str:
    return "unknown" if value is None else f"{scale * value:.4g}"
