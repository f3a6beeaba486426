"""One HTML page with everything in it: no script, and nothing that is fetched."""

from html import escape

from . import words
from .charts import STYLE
from .curves import STEADY
from .pictures import of_curve, of_failover, of_workloads

LAYOUT = """\
body { background: var(--ground); color: var(--ink); font: 16px/1.5 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; margin: 0 auto; max-width: 62rem; padding: 1.5rem; }
h1, h2, h3 { line-height: 1.25; }
p { max-width: 48rem; }
table { border-collapse: collapse; font-size: 0.86rem; font-variant-numeric: tabular-nums; }
th, td { border-bottom: 1px solid var(--line); padding: 0.25rem 0.6rem; text-align: right; white-space: nowrap; }
th:first-child, td:first-child, th:nth-child(2), td:nth-child(2) { text-align: left; }
.wide { overflow-x: auto; }
.row { display: flex; flex-wrap: wrap; gap: 1rem; }
svg { height: auto; max-width: 100%; }
.missed { color: var(--bad); font-weight: 600; }
.muted { color: var(--muted); }"""


def html(results):
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Ringfence beside its peers</title>
<style>
{STYLE}
{LAYOUT}
</style>
</head>
<body>
<h1>Ringfence beside its peers</h1>
<p>{escape(words.systems(results))}.</p>
<p>{escape(words.machine(results))}</p>
<p class="muted">{escape(words.method(results))}</p>
{"".join(sections(results))}</body>
</html>
"""


def sections(results):
    yield f"<h2>What is wanted</h2>\n{table(words.TARGET_HEAD, words.target_rows(results))}"
    if results["workloads"]:
        losses = list(words.lost(results))
        yield "<h2>Workloads</h2>\n"
        yield f"<h3>Where a peer is better</h3>\n<ul>{''.join(f'<li>{escape(one)}</li>' for one in losses)}</ul>\n" if losses else ""
        yield "".join(chart.svg(alone=False) for chart in of_workloads(results))
        yield table(words.WORKLOAD_HEAD, words.workload_rows(results))
    waits = of_failover(results)
    if waits:
        yield "<h2>When the leader is lost</h2>\n" + "".join(chart.svg(alone=False) for chart in waits)
    if results["curves"]:
        yield "<h2>Curves</h2>\n"
    for name, curve in results["curves"].items():
        note = f"<p>{escape(words.steady())}</p>\n" if name == STEADY else ""
        charts = "".join(chart.svg(alone=False) for chart in of_curve(name, curve))
        yield f'<h3>{escape(curve["title"])}</h3>\n{note}<div class="row">{charts}</div>\n'


def table(head, rows):
    heads = "".join(f'<th scope="col">{escape(one)}</th>' for one in head)
    body = "".join(f"<tr>{''.join(cell(one) for one in row)}</tr>\n" for row in rows)
    return f'<div class="wide"><table><thead><tr>{heads}</tr></thead>\n<tbody>\n{body}</tbody></table></div>\n'


def cell(words):
    kind = ' class="missed"' if words in ("NOT met", "no result") else ""
    return f"<td{kind}>{escape(words)}</td>"
