"""The ratios to Apache Kafka as an SVG: a row for each scenario, mode and figure, a dot at the median, a line over the spread, and the bar where there is one.
The axis is logarithmic, so that twice and half are as far from 1. Pure."""
import html
import math

from speed import ratios
from speed.bars import BARS

FIGURES = (('cpu', 'CPU per GB'), ('throughput', 'throughput'), ('p50', 'p50'), ('p99', 'p99'), ('start', 'start'), ('idle_rss', 'idle memory'),
           ('loaded_rss', 'memory after load'), ('created', 'created'), ('written_again', 'written again'))
MODES = ('fsync', 'replicated')
COLOURS = {'fsync': '#b5541c', 'replicated': '#1f5fa8'}
LOW, HIGH = 0.02, 16.0
LEFT, WIDTH, ROW, TOP = 330, 560, 18, 46
TICKS = (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)


def x_of(value):
    share = (math.log(min(max(value, LOW), HIGH)) - math.log(LOW)) / (math.log(HIGH) - math.log(LOW))
    return LEFT + share * WIDTH


def rows(results):
    """(label, mode, spread, limit or None) in the order in which they are drawn."""
    limits = {(bar.scenario, bar.system, bar.figure): bar.limit for bar in BARS if bar.against == 'kafka'}
    for name, rounds in results.items():
        for figure, word in FIGURES:
            for mode in MODES:
                found = ratios.ratio(rounds, mode, 'kafka', figure)
                if found:
                    yield f'{name}, {mode}: {word}', mode, found, limits.get((name, mode, figure))


def draw_row(y, label, mode, found, limit):
    colour = COLOURS[mode]
    yield f'<text x="{LEFT - 8}" y="{y + 4}" text-anchor="end">{html.escape(label)}</text>'
    yield f'<line x1="{x_of(found.least):.1f}" x2="{x_of(found.most):.1f}" y1="{y}" y2="{y}" stroke="{colour}" stroke-width="2"/>'
    told = f'{found.median:.3f} ({found.least:.3f} to {found.most:.3f})'
    yield f'<circle cx="{x_of(found.median):.1f}" cy="{y}" r="4" fill="{colour}"><title>{told}</title></circle>'
    if limit is not None:
        at = x_of(limit)
        yield f'<path d="M{at:.1f} {y - 7}v14" stroke="#222" stroke-width="2"><title>bar {limit:.3f}</title></path>'


def svg(results, caption):
    drawn = list(rows(results))
    height = TOP + ROW * len(drawn) + 30
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + 30}" height="{height}" font-family="sans-serif" font-size="11">',
             '<rect width="100%" height="100%" fill="white"/>',
             f'<text x="10" y="18" font-size="13">Sluice / Apache Kafka: {html.escape(caption)}</text>']
    for tick in TICKS:
        weight = 1.5 if tick == 1 else 0.4
        lines.append(f'<line x1="{x_of(tick):.1f}" x2="{x_of(tick):.1f}" y1="{TOP - 10}" y2="{height - 24}" stroke="#666" stroke-width="{weight}"/>')
        lines.append(f'<text x="{x_of(tick):.1f}" y="{height - 10}" text-anchor="middle">{tick}</text>')
    for number, row in enumerate(drawn):
        lines += draw_row(TOP + ROW * number, *row)
    return '\n'.join([*lines, '</svg>', ''])
