"""A flame graph from what `perf script` prints: parsed into stacks, folded, drawn as SVG with the widths of functions as their shares of the samples. Pure."""
import collections
import html
import re
import zlib

WIDTH, ROW, TOP = 1200, 16, 40
# What is narrower than this is left out: nobody could read it.
PIXELS_MIN = 0.3
PIXELS_A_LETTER = 6.2
# As `reactor-0  1234  56.789: cpu-clock:`: the thread's name, which may hold anything, its number and the time.
HEAD = re.compile(r'^(.*?)\s+\d+\s+[\d.]+:')
FRAME = re.compile(r'^\s+[0-9a-f]+ (.*) \((.*)\)$')


def frame_name(line):
    """The function of a line as `\t55e0 sluice::Crc32c(std::…)+0x12 (/usr/bin/sluice)`; None when it is no such line."""
    found = FRAME.match(line)
    if not found:
        return None
    name, place = found[1], found[2]
    if name == '[unknown]':
        return f'[{place.rsplit("/", 1)[-1]}]'
    name = re.sub(r'\+0x[0-9a-f]+$', '', name)
    return re.sub(r'\([^()]*(\([^()]*\)[^()]*)*\)( const)?$', '', name) or name


def fold(script):
    """{(command, outermost, …, innermost): samples}. Samples are parted by blank lines, and their frames begin with the innermost."""
    counts = collections.Counter()
    command, frames = None, []
    for line in [*script.splitlines(), '']:
        if not line.strip():
            if command is not None:
                counts[(command, *reversed(frames))] += 1
            command, frames = None, []
        elif line[0] in ' \t' and command is not None:
            name = frame_name(line)
            if name:
                frames.append(name)
        else:
            found = HEAD.match(line)
            command = found[1] if found else None
    return dict(counts)


class Node:
    def __init__(self):
        self.samples, self.children = 0, {}


def tree(folded):
    root = Node()
    for stack, samples in folded.items():
        root.samples += samples
        node = root
        for name in stack:
            node = node.children.setdefault(name, Node())
            node.samples += samples
    return root


def colour(name):
    """Warm, and always the same for a function."""
    code = zlib.crc32(name.encode())
    return f'rgb({205 + code % 50},{90 + (code >> 8) % 110},{(code >> 16) % 60})'


def boxes(root):
    """(name, samples, left, width, depth) of all that is wide enough, the root first."""
    waiting = [('all', root, 0.0, 0)]
    while waiting:
        name, node, left, depth = waiting.pop()
        width = WIDTH * node.samples / root.samples
        if width < PIXELS_MIN:
            continue
        yield name, node.samples, left, width, depth
        for child_name in sorted(node.children):
            child = node.children[child_name]
            waiting.append((child_name, child, left, depth + 1))
            left += WIDTH * child.samples / root.samples


def svg(folded, title):
    root = tree(folded)
    if root.samples == 0:
        raise ValueError('there are no samples: what was profiled was too short')
    drawn = list(boxes(root))
    height = TOP + ROW * (max(depth for *_, depth in drawn) + 1) + 10
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" font-family="monospace" font-size="11">',
             '<rect width="100%" height="100%" fill="white"/>', f'<text x="10" y="20">{html.escape(title)}, {root.samples} samples</text>']
    for name, samples, left, width, depth in drawn:
        y = height - 10 - ROW * (depth + 1)
        told = html.escape(f'{name}: {samples} samples, {100 * samples / root.samples:.1f} %')
        letters = int(width / PIXELS_A_LETTER)
        shown = html.escape(name if len(name) <= letters else name[:max(0, letters - 1)] + '…') if letters >= 3 else ''
        lines.append(f'<g><title>{told}</title><rect x="{left:.1f}" y="{y}" width="{width:.1f}" height="{ROW - 1}" fill="{colour(name)}"/>'
                     f'<text x="{left + 2:.1f}" y="{y + 11}">{shown}</text></g>')
    return '\n'.join([*lines, '</svg>', ''])


def with_callees(folded, wanted, count=25):
    """(share, function) of those that `wanted` says yes to, with all that they call, the largest first. A stack in which one calls itself counts once."""
    totals = collections.Counter()
    for stack, samples in folded.items():
        for name in set(stack[1:]):
            if wanted(name):
                totals[name] += samples
    every = sum(folded.values())
    return [(samples / every, name) for name, samples in totals.most_common(count)]


def hottest(folded, count=25):
    """(share, function) of the innermost frames, the largest first: where the time is spent itself."""
    own = collections.Counter()
    for stack, samples in folded.items():
        own[stack[-1]] += samples
    total = sum(own.values())
    return [(samples / total, name) for name, samples in own.most_common(count)]
