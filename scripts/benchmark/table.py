"""What is printed."""

from .rounds import FIGURES
from .systems import TITLES
from .targets import judge

COLUMNS = [
    ("ops/s", "ops_per_s", 10, 0), ("p50 ms", "p50_ms", 9, 2), ("p99 ms", "p99_ms", 9, 2), ("max ms", "max_ms", 9, 1),
    ("CPU µs/op", "cpu_us_per_op", 11, 0), ("disk B/op", "disk_bytes_per_op", 11, 0), ("MiB", "resident_mib", 7, 0),
]  # fmt: skip

# Width of a workload's name.
CASE = 26


def ratios(ours, theirs):
    """Of each figure; None where there is nothing to divide by."""
    return {figure: ours[figure] / theirs[figure] if theirs[figure] else None for figure in FIGURES}


def workloads(medians):
    lines = [f"{'':<{CASE}}{'':<11}" + "".join(f"{title:>{width}}" for title, _, width, _ in COLUMNS) + f"{'failed':>8}"]
    for case, systems in medians.items():
        title = case
        for name, figures in systems.items():
            lines.append(f"{title:<{CASE}}{TITLES[name]:<11}" + row(figures))
            title = ""
        ours = systems.get("ringfence", {"failed": ""})
        for name, theirs in systems.items():
            if name != "ringfence" and "failed" not in ours and "failed" not in theirs:
                lines.append(f"{'':<{CASE}}{'ratio':<11}" + ratio_row(ratios(ours, theirs)) + f"  to {TITLES[name]}")
    return "\n".join(lines)


def row(figures):
    if "failed" in figures:
        return f"  no result: {figures['failed']}"
    return "".join(f"{figures[name]:>{width}.{places}f}" for _, name, width, places in COLUMNS) + f"{figures['errors']:>8}"


def ratio_row(ratio):
    cells = ((ratio[name], width) for _, name, width, _ in COLUMNS)
    return "".join(f"{'–':>{width}}" if value is None else f"{value:>{width}.2f}" for value, width in cells)


def targets(results):
    rows = judge(results)
    width = max(len(row.what) for row in rows)
    return "\n".join(f"{row.what:<{width}}  {row.target:<15}{row.measured:>24}  {row.verdict()}" for row in rows)


def curves(all_of):
    lines = []
    for curve in all_of.values():
        lines.append(f"{curve['title']}")
        for name, points in curve["systems"].items():
            for point in points:
                for workload, figures in point.items():
                    if workload != "size":
                        told = row(figures) + ("" if "failed" in figures else f"  {figures['cpu_cores']:.2f} cores")
                        told += f", killed node back in {figures['restart_s']:.2f} s" if "restart_s" in figures else ""
                        lines.append(f"{point['size']:>9} {workload:<10}{TITLES[name]:<11}" + told)
    return "\n".join(lines)
