"""A plot of tests/bench growth as SVG: both axes logarithmic."""
import math

WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 720, 400, 70, 50, 30, 170
SERIES = (("mesh_ms", "wall clock", "#1f77b4"), ("cpu_ms", "processor time, all processes", "#d62728"),
          ("signature_floor_ms", "floor of the signatures", "#2ca02c"))


def svg(rows):
    """rows: those of growth with 10 clusters a sector."""
    rows = [row for row in rows if "error" not in row and row["clusters_per_sector"] == 10]
    values = [row[key] for row in rows for key, _, _ in SERIES if row[key] > 0]
    if not values:
        raise ValueError("nothing was measured that could be plotted")
    low = math.floor(math.log10(min(values)))
    high = max(low + 1, math.ceil(math.log10(max(values))))
    first, last = math.log10(rows[0]["agents"]), math.log10(rows[-1]["agents"])

    def x_of(agents):
        return LEFT + (WIDTH - LEFT - RIGHT) * (math.log10(agents) - first) / max(1e-9, last - first)

    def y_of(ms):
        return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * (math.log10(ms) - low) / (high - low)

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
           f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
           f'<text x="{LEFT}" y="18">One operation to all agents and all acknowledgements back: ms</text>']
    for power in range(low, high + 1):
        y = y_of(10 ** power)
        out += [f'<line x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}" stroke="#ddd"/>',
                f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{10 ** power:g}</text>']
    for row in rows:
        x = x_of(row["agents"])
        out += [f'<line x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{HEIGHT - BOTTOM}" stroke="#eee"/>',
                f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{row["agents"]:,}</text>']
    out.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 10}" text-anchor="middle">agents</text>')
    for key, label, colour in SERIES:
        points = [(x_of(row["agents"]), y_of(row[key])) for row in rows if row[key] > 0]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        out.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        out += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in points]
        out.append(f'<text x="{WIDTH - RIGHT + 8}" y="{points[-1][1] + 4:.1f}" fill="{colour}">{label}</text>')
    return "\n".join(out + ["</svg>", ""])
