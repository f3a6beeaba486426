"""Charts as SVG, light and dark, with a title and a description for who can't see them. Systems differ by colour, and by mark or hatching."""

import math
from html import escape
from statistics import median

COLOURS = """\
  --ground: #ffffff; --ink: #1f2328; --muted: #59636e; --line: #d1d9e0;
  --ringfence: #0969da; --etcd: #bc4c00; --zookeeper: #1a7f37; --bad: #cf222e;"""
COLOURS_DARK = """\
  --ground: #0d1117; --ink: #f0f6fc; --muted: #9198a1; --line: #3d444d;
  --ringfence: #58a6ff; --etcd: #f0883e; --zookeeper: #56d364; --bad: #ff7b72;"""
RULES = """\
.chart { background: var(--ground); font: 13px system-ui, "Segoe UI", "DejaVu Sans", sans-serif; }
.chart text { fill: var(--ink); }
.chart .muted { fill: var(--muted); }
.chart .heading { font-size: 15px; font-weight: 600; }
.chart .grid { stroke: var(--line); stroke-width: 1; }
.chart .bar { stroke-width: 1.5; fill-opacity: 0.85; }
.chart .curve { fill: none; stroke-width: 2.2; stroke-linejoin: round; }
.chart .ringfence { stroke: var(--ringfence); fill: var(--ringfence); }
.chart .etcd { stroke: var(--etcd); fill: var(--etcd); }
.chart .zookeeper { stroke: var(--zookeeper); fill: var(--zookeeper); }
.chart .bar.etcd { fill-opacity: 0.45; }
.chart .bar.zookeeper { fill-opacity: 0.15; }
.chart .curve.ringfence, .chart .curve.etcd, .chart .curve.zookeeper { fill: none; }
.chart .curve.etcd { stroke-dasharray: 7 3; }
.chart .curve.zookeeper { stroke-dasharray: 2 3; }
.chart .middle { stroke-width: 2.5; }
.chart .bad { stroke: var(--bad); stroke-width: 2; fill: none; }"""
STYLE = f":root {{\n{COLOURS}\n}}\n@media (prefers-color-scheme: dark) {{ :root {{\n{COLOURS_DARK}\n}} }}\n{RULES}"


def number(value):
    """For people: three digits, and from ten thousand on as k, M."""
    if abs(value) < 1e4 and value == int(value):
        return str(int(value))
    for size, unit in [(1e9, "G"), (1e6, "M"), (1e3, "k")]:
        if abs(value) >= max(size, 1e4) * 0.9995:
            return f"{float(f'{value / size:.3g}'):g}{unit}"
    return f"{float(f'{value:.3g}'):g}"


class Chart:
    """An SVG under way. `name` makes its ids unique on a page."""

    def __init__(self, name, title, description, width, height):
        self.name, self.title, self.description = name, title, description
        self.width, self.height = width, height
        self.parts = []

    def text(self, x, y, words, anchor="start", kind=""):
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{kind}">{escape(words)}</text>')

    def line(self, x1, y1, x2, y2, kind="grid"):
        self.parts.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>')

    def mark(self, x, y, system, words):
        """A disc, a square, or a triangle."""
        shapes = {
            "ringfence": f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.2"',
            "etcd": f'<rect x="{x - 4:.1f}" y="{y - 4:.1f}" width="8" height="8"',
            "zookeeper": f'<path d="M{x:.1f} {y - 5:.1f}l5 9h-10z"',
        }
        self.parts.append(f'{shapes[system]} class="{system}"><title>{escape(words)}</title>{closing(shapes[system])}')

    def svg(self, alone):
        """`alone`: as a file of its own, with its style."""
        style = f"<style>{STYLE}</style>" if alone else ""
        ground = f'<rect width="{self.width}" height="{self.height}" style="fill: var(--ground)"/>' if alone else ""
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" class="chart" viewBox="0 0 {self.width} {self.height}" width="{self.width}" '
            f'height="{self.height}" role="img" aria-labelledby="{self.name}-title {self.name}-description">'
            f'<title id="{self.name}-title">{escape(self.title)}</title>'
            f'<desc id="{self.name}-description">{escape(self.description)}</desc>{style}{ground}{"".join(self.parts)}</svg>\n'
        )


def closing(shape):
    return f"</{shape[1 : shape.index(' ')]}>"


def legend(chart, y, systems):
    x = 16
    for system, title in systems.items():
        chart.mark(x + 5, y - 4, system, title)
        chart.text(x + 16, y, title)
        x += 34 + 8 * len(title)


BAR, ROW_GAP, LABELS, BARS = 17, 12, 170, 400


def bars(name, title, note, groups, systems, unit=""):
    """Groups of bars, one below the other, each group at a scale of its own. `groups` maps a label to figures by system; None is no result."""
    said = "; ".join(f"{label}: " + ", ".join(f"{systems[one]} {show(value)}" for one, value in of.items()) for label, of in groups.items())
    height = 74 + sum(BAR * len(of) + ROW_GAP for of in groups.values())
    chart = Chart(name, title, f"{note} {said}.", LABELS + BARS + 150, height)
    chart.text(16, 24, title, kind="heading")
    chart.text(16, 44, note, kind="muted")
    legend(chart, 64, {one: words for one, words in systems.items() if any(one in of for of in groups.values())})
    y = 80
    for label, of in groups.items():
        most = max((value for value in of.values() if value is not None), default=0) or 1
        chart.text(LABELS - 10, y + BAR * len(of) / 2 + 4, label, anchor="end")
        for system, value in of.items():
            length = BARS * (value or 0) / most
            if value is not None:
                chart.parts.append(f'<rect x="{LABELS}" y="{y + 2}" width="{max(1, length):.1f}" height="{BAR - 4}" class="bar {system}"/>')
            chart.text(LABELS + length + 8, y + BAR - 5, "no result" if value is None else number(value) + unit)
            y += BAR
        y += ROW_GAP
    return chart


def show(value):
    return "no result" if value is None else number(value)


def marks(name, title, note, rows, row_height=34):
    """A row of marks for each label; `rows` maps it to a system and its figures. From the left edge, which is nought."""
    most = max(max(values) for _, values in rows.values())
    said = "; ".join(f"{label}: middle {number(median(values))}, most {number(max(values))}" for label, (_, values) in rows.items())
    bottom = 64 + row_height * len(rows)
    chart = Chart(name, title, f"{note} {said}.", LABELS + BARS + 190, bottom + 34)
    chart.text(16, 24, title, kind="heading")
    chart.text(16, 44, note, kind="muted")
    ticks = steps(most)
    across = scale(0, ticks[-1], LABELS, LABELS + BARS, False)
    for tick in ticks:
        chart.line(across(tick), 58, across(tick), bottom)
        chart.text(across(tick), bottom + 20, number(tick), anchor="middle", kind="muted")
    for row, (label, (system, values)) in enumerate(rows.items()):
        y = 64 + row_height * (row + 0.5)
        chart.text(LABELS - 12, y + 4, label, anchor="end")
        for value in values:
            chart.mark(across(value), y, system, f"{number(value)}")
        middle = across(median(values))
        chart.line(middle, y - 13, middle, y + 13, kind=f"middle {system}")
        chart.text(LABELS + BARS + 12, y + 4, f"p50 {number(median(values))}, most {number(max(values))}", kind="muted")
    return chart


LEFT, RIGHT, TOP, BOTTOM = 62, 24, 74, 52


def lines(name, title, axis, series, systems, width=470, height=310, logarithmic=True):
    """Figures over sizes. `series` maps a system to pairs of size and figure; a figure of None is no result."""
    sizes = sorted({size for points in series.values() for size, _ in points})
    values = [value for points in series.values() for _, value in points if value is not None]
    said = "; ".join(f"{systems[one]}: " + ", ".join(f"{show(value)} at {number(size)}" for size, value in points) for one, points in series.items())
    chart = Chart(name, title, f"By {axis}. {said}.", width, height)
    chart.text(16, 24, title, kind="heading")
    legend(chart, 46, {one: systems[one] for one in series})
    across = scale(min(sizes), max(sizes), LEFT, width - RIGHT, logarithmic and min(sizes) > 0)
    # From nought, unless the figures lie so far apart that the small ones would lie on the floor.
    far = bool(values) and min(values) > 0 and max(values) / min(values) > 50
    ticks = powers(min(values), max(values)) if far else steps(max(values, default=1))
    if far:
        chart.text(width - RIGHT, 46, "upwards logarithmic", anchor="end", kind="muted")
    up = scale(ticks[0], ticks[-1], height - BOTTOM, TOP, far)
    for tick in ticks:
        chart.line(LEFT, up(tick), width - RIGHT, up(tick))
        chart.text(LEFT - 8, up(tick) + 4, number(tick), anchor="end", kind="muted")
    for size in sizes if logarithmic else steps(max(sizes)):
        chart.text(across(size), height - BOTTOM + 20, number(size), anchor="middle", kind="muted")
    chart.text((LEFT + width - RIGHT) / 2, height - 12, axis + (", logarithmic" if logarithmic else ""), anchor="middle", kind="muted")
    for system, points in series.items():
        draw(chart, points, system, systems[system], across, up, height - BOTTOM)
    return chart


def draw(chart, points, system, title, across, up, floor):
    path, pen = [], "M"
    for size, value in points:
        if value is None:
            x = across(size)
            cross = f"M{x - 4:.1f} {floor - 8:.1f}l8 8m0 -8l-8 8"
            chart.parts.append(f'<path d="{cross}" class="bad"><title>{escape(title)}: no result at {number(size)}</title></path>')
            pen = "M"
            continue
        path.append(f"{pen}{across(size):.1f} {up(value):.1f}")
        pen = "L"
    chart.parts.append(f'<path d="{" ".join(path)}" class="curve {system}"/>')
    if len(points) <= 12:
        for size, value in points:
            if value is not None:
                chart.mark(across(size), up(value), system, f"{title}: {number(value)} at {number(size)}")


def scale(low, high, begin, end, logarithmic):
    """From a figure to a place."""
    of = math.log10 if logarithmic else float
    span = of(high) - of(low) or 1
    return lambda value: begin + (end - begin) * (of(value) - of(low)) / span


def steps(most):
    """Nought and about four round figures up to it, or just above."""
    rough = (most or 1) / 4
    size = 10 ** math.floor(math.log10(rough))
    step = next(size * factor for factor in (1, 2, 2.5, 5, 10) if size * factor >= rough * 0.999)
    return [step * i for i in range(math.ceil(most / step - 1e-9) + 1 if most else 2)]


def powers(least, most):
    """Powers of ten around them."""
    return [10.0**i for i in range(math.floor(math.log10(least)), math.ceil(math.log10(most)) + 1)]
