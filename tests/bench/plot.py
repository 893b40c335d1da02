# SPDX-License-Identifier: BSD-2-Clause
"""Two panels of curves as an SVG file: requests per second over the depth, and
MiB per second over the size of a request, a line for each image."""

from html import escape
import math

PANEL_WIDTH, PANEL_HEIGHT = 380, 280
LEFT, TOP, GAP, BOTTOM = 70, 50, 90, 90
WIDTH = LEFT + 2 * PANEL_WIDTH + GAP + 20
HEIGHT = TOP + PANEL_HEIGHT + BOTTOM

# Apart in lightness too, so that they survive a grey printer.
STYLES = {
    'raw': ('#000000', '5 4', 'raw file'),
    'fixed': ('#0072b2', '', 'fixed'),
    'dynamic': ('#d55e00', '', 'dynamic'),
    'child': ('#009e73', '', 'differencing'),
}


def _element(name, content='', **attributes):
    text = ''.join(f' {key.replace("_", "-")}="{escape(str(value))}"'
                   for key, value in attributes.items())
    return f'<{name}{text}>{content}</{name}>'


def _text(x, y, content, **attributes):
    return _element('text', escape(content), x=x, y=y, **attributes)


def _line(x1, y1, x2, y2, **attributes):
    return _element('line', x1=x1, y1=y1, x2=x2, y2=y2, **attributes)


def _nice_step(top, count=5):
    """A round number that divides 0..top into about `count` parts."""
    raw = top / count
    unit = 10 ** math.floor(math.log10(raw))
    return next(unit * m for m in (1, 2, 2.5, 5, 10) if unit * m >= raw)


def _size_label(n):
    for unit, size in (('M', 1 << 20), ('k', 1 << 10)):
        if n >= size:
            return f'{n // size}{unit}'
    return str(n)


def _panel(left, title, x_title, curves, x_label):
    """`curves` are (image, [(x, y), ...]); x is logarithmic, y is not."""
    points = [point for _, curve in curves for point in curve]
    if not points:
        return [_text(left, TOP + 20, 'no figures')]
    xs = sorted({x for x, _ in points})
    step = _nice_step(max(y for _, y in points))
    top = step * math.ceil(max(y for _, y in points) / step)
    span = math.log2(xs[-1] / xs[0]) or 1

    def at_x(x):
        return round(left + math.log2(x / xs[0]) / span * PANEL_WIDTH, 1)

    def at_y(y):
        return round(TOP + PANEL_HEIGHT * (1 - y / top), 1)

    parts = [_text(left, TOP - 14, title, font_weight='bold')]
    for i in range(round(top / step) + 1):
        y = at_y(i * step)
        parts.append(_line(left, y, left + PANEL_WIDTH, y, stroke='#ddd'))
        parts.append(_text(left - 8, y + 4, f'{i * step:,.0f}',
                           text_anchor='end'))
    for x in xs:
        parts.append(_text(at_x(x), TOP + PANEL_HEIGHT + 18, x_label(x),
                           text_anchor='middle'))
    parts.append(_text(left + PANEL_WIDTH / 2, TOP + PANEL_HEIGHT + 38,
                       x_title, text_anchor='middle'))
    for image, curve in curves:
        colour, dashes, _ = STYLES[image]
        path = ' '.join(f'{at_x(x)},{at_y(y)}' for x, y in curve)
        parts.append(_element('polyline', points=path, fill='none',
                              stroke=colour, stroke_width=2,
                              stroke_dasharray=dashes or 'none'))
        parts += [_element('circle', cx=at_x(x), cy=at_y(y), r=3, fill=colour)
                  for x, y in curve]
    return parts


def _legend(names):
    parts, x, y = [], LEFT, HEIGHT - 18
    for image in names:
        colour, dashes, label = STYLES[image]
        parts.append(_line(x, y - 4, x + 30, y - 4, stroke=colour,
                           stroke_width=2, stroke_dasharray=dashes or 'none'))
        parts.append(_text(x + 38, y, label))
        x += 140
    return parts


def write(path, curves):
    """`curves`: for each image its name, `by_depth` and `by_block`."""
    parts = [_element('rect', width=WIDTH, height=HEIGHT, fill='white')]
    parts += _panel(LEFT, 'requests/s, 4k random reads', 'depth',
                   [(c['image'], c['by_depth']) for c in curves], str)
    parts += _panel(LEFT + PANEL_WIDTH + GAP,
                    'MiB/s, random reads at depth 16', 'size of a request',
                    [(c['image'], c['by_block']) for c in curves], _size_label)
    parts += _legend([c['image'] for c in curves])
    svg = _element('svg', '\n' + '\n'.join(parts) + '\n',
                   xmlns='http://www.w3.org/2000/svg', width=WIDTH,
                   height=HEIGHT, viewBox=f'0 0 {WIDTH} {HEIGHT}',
                   font_family='sans-serif', font_size=12)
    with open(path, 'w', encoding='utf-8') as f:
        f.write(svg + '\n')
