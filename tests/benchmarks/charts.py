"""Charts as SVG, which read well on light and on dark pages."""

import math
from collections.abc import Mapping, Sequence
from html import escape
from itertools import cycle

WIDTH, HEIGHT = 720, 300
LEFT, RIGHT, TOP, BOTTOM = 60, 20, 20, 50
COLOURS = ("#1f77b4", "#d1742f")
TEXT = 'font-family="sans-serif" font-size="13" fill="#808080"'


def line_chart(points: Sequence[tuple[float, float]], x_label: str, y_label: str) -> str:
    """A curve; both axes are logarithmic, so that what grows in proportion is a straight line."""
    left, right = math.log10(points[0][0]), math.log10(points[-1][0])
    values = [max(y, 0.1) for _, y in points]
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    high = max(high, low + 1)

    def place(x: float, y: float) -> tuple[float, float]:
        across = LEFT + (math.log10(x) - left) / (right - left) * (WIDTH - LEFT - RIGHT)
        up = HEIGHT - BOTTOM - (math.log10(max(y, 0.1)) - low) / (high - low) * (HEIGHT - TOP - BOTTOM)
        return across, up

    drawn = []
    for power in range(low, high + 1):
        _, up = place(points[0][0], 10**power)
        drawn.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{up:.0f}" y2="{up:.0f}" stroke="#80808040"/>')
        drawn.append(f'<text x="{LEFT - 8}" y="{up + 4:.0f}" text-anchor="end" {TEXT}>{10**power:g}</text>')
    path = " ".join(f"{across:.1f},{up:.1f}" for across, up in (place(x, y) for x, y in points))
    drawn.append(f'<polyline points="{path}" fill="none" stroke="{COLOURS[0]}" stroke-width="2.5"/>')
    for x, y in points:
        across, up = place(x, y)
        drawn.append(f'<circle cx="{across:.1f}" cy="{up:.1f}" r="4" fill="{COLOURS[0]}"/>')
        drawn.append(f'<text x="{across:.0f}" y="{up - 10:.0f}" text-anchor="middle" {TEXT}>{y:.3g}</text>')
        drawn.append(f'<text x="{across:.0f}" y="{HEIGHT - 28}" text-anchor="middle" {TEXT}>{x:g}</text>')
    drawn.append(f'<text x="{WIDTH / 2:.0f}" y="{HEIGHT - 8}" text-anchor="middle" {TEXT}>{escape(x_label)}</text>')
    return _svg(drawn, HEIGHT, f"{y_label}, by {x_label}")


def bar_chart(shares: Mapping[str, Mapping[str, float]], label: str) -> str:
    """Bars of numbers between 0 and about 1, several for each name."""
    names = 270
    drawn = []
    y = TOP
    asks = list(next(iter(shares.values())))
    for ask, colour in zip(asks, cycle(COLOURS), strict=False):
        x = names + asks.index(ask) * 130
        drawn.append(f'<rect x="{x}" y="{y}" width="12" height="12" fill="{colour}"/>')
        drawn.append(f'<text x="{x + 18}" y="{y + 11}" {TEXT}>{escape(ask)}</text>')
    y += 28
    for name, found in shares.items():
        drawn.append(f'<text x="{names - 10}" y="{y + 19}" text-anchor="end" {TEXT}>{escape(name)}</text>')
        for (_, share), colour in zip(found.items(), cycle(COLOURS), strict=False):
            width = min(share, 1.15) * (WIDTH - names - 70)
            drawn.append(f'<rect x="{names}" y="{y}" width="{width:.0f}" height="13" fill="{colour}"/>')
            drawn.append(f'<text x="{names + width + 6:.0f}" y="{y + 11}" {TEXT}>{share:.2f}</text>')
            y += 15
        y += 12
    return _svg(drawn, y + 8, label)


def _svg(drawn: Sequence[str], height: int, title: str) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">'
    return "\n".join([head, f"<title>{escape(title)}</title>", *drawn, "</svg>", ""])
