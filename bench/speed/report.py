"""What a run found, as lines of a table and as JSON. Pure."""
import dataclasses
import statistics

from speed import ratios
from speed.bars import BARS, CURVE_FROM, CURVE_LIMIT, CURVE_SYSTEM, CURVE_TO

# (figure, head, how it is written), in the order of the columns.
COLUMNS = (('cpu', 'CPU-s/GB', '.2f'), ('throughput', 'MB/s', '.0f'), ('p50', 'p50 ms', '.2f'), ('p99', 'p99 ms', '.2f'),
           ('acknowledged_p50', 'ack p50', '.2f'),
           ('acknowledged_p99', 'ack p99', '.2f'), ('missing', 'missing', '.0f'), ('old_mb_s', 'old MB/s', '.0f'), ('start', 'start s', '.3f'),
           ('idle_cpu', 'idle cores', '.4f'), ('idle_rss', 'idle MiB', '.0f'), ('loaded_rss', 'loaded MiB', '.0f'), ('kib_a_connection', 'KiB/conn', '.1f'),
           ('created', 'created s', '.2f'), ('written_again', 'again s', '.2f'), ('rss', 'RSS MiB', '.0f'), ('disk', 'disk MiB', '.0f'))
COMPARED = tuple(name for name, _, _ in COLUMNS if name not in ('missing', 'old_mb_s', 'kib_a_connection', 'disk'))
BASES = ('kafka', 'floor')


def medians(rounds, system):
    names = {name for each in rounds for name in each.get(system, {})}
    found = {name: ratios.figures_of(rounds, system, name) for name in names}
    return {name: statistics.median(values) for name, values in found.items() if values}


def systems_of(rounds):
    return list(dict.fromkeys(system for each in rounds for system in each))


def scenario_lines(scenario, rounds):
    """A head, then a line for each system: medians, and below them the ratios to Kafka and to the bare server with their spread."""
    names = systems_of(rounds)
    shown = [column for column in COLUMNS if any(column[0] in medians(rounds, name) for name in names if name != 'dsync')]
    yield f'{scenario.name}: {scenario.about} ({len(rounds)} rounds)'
    yield f'  {"":12}' + ''.join(f'{head:>19}' for _, head, _ in shown)
    for name in sorted(names):
        figures = medians(rounds, name)
        yield f'  {name:12}' + ''.join(f'{format(figures[key], how) if key in figures else "":>19}' for key, _, how in shown)
        for base in BASES:
            if name in (base, 'kafka', 'floor', 'dsync') or base not in names:
                continue
            cells = [ratio_cell(ratios.ratio(rounds, name, base, key)) if key in COMPARED else '' for key, _, _ in shown]
            yield f'    / {base:8}' + ''.join(f'{cell:>19}' for cell in cells)


def ratio_cell(found):
    return f'{found.median:.2f} ({found.least:.2f}-{found.most:.2f})' if found else ''


def verdicts(results):
    return [ratios.judge(bar, results[bar.scenario]) for bar in BARS if bar.scenario in results]


def verdict_line(verdict):
    bar = verdict.bar
    what = f'{bar.scenario}, {bar.system}: {bar.figure}' + (f' / {bar.against}' if bar.against else '')
    if verdict.reached is None:
        return f'  not measured  {what}'
    bound = 'at most' if bar.figure in ratios.LESS_IS_BETTER else 'at least'
    return f'  {"reached" if verdict.reached else "MISSED":12}  {what} {verdict.value:.3f}, bar {bound} {verdict.limit:.3f}'


def curve_point(name, rounds):
    costs = ' '.join(f'{system} {medians(rounds, system).get("cpu", 0):.2f}' for system in systems_of(rounds) if system != 'dsync')
    return f'{name.removeprefix("curve-")} {costs}'


def curve(results):
    """The cost of a GB at each point of the curve, and how the far corner compares with its beginning."""
    points = {name: rounds for name, rounds in results.items() if name.startswith('curve-')}
    if not points:
        return []
    lines = ['cost curve, CPU-s/GB: ' + ', '.join(map(curve_point, points, points.values()))]
    if CURVE_FROM in points and CURVE_TO in points:
        ends = [statistics.median(ratios.figures_of(points[name], CURVE_SYSTEM, 'cpu')) for name in (CURVE_FROM, CURVE_TO)]
        growth = ends[1] / ends[0]
        told = 'reached' if growth <= CURVE_LIMIT else 'MISSED'
        lines.append(f'  {told:12}  {CURVE_TO} / {CURVE_FROM}, {CURVE_SYSTEM}: {growth:.2f}, bar at most {CURVE_LIMIT}')
    return lines


def text(scenarios, results, machine, settings, smoke=False):
    """Of a smoke run without the bars: its figures say that everything runs, and nothing else."""
    lines = ['SMOKE: sizes at which no figure means anything'] if smoke else []
    lines += ['machine: ' + ', '.join(f'{key} {value}' for key, value in machine.items()),
              'settings: ' + ', '.join(f'{key} {value}' for key, value in settings.items()), '']
    for scenario in scenarios:
        if results.get(scenario.name):
            lines += [*scenario_lines(scenario, results[scenario.name]), '']
    found = [] if smoke else verdicts(results)
    if found:
        lines += ['bars (medians of the ratios within the rounds):', *map(verdict_line, found)]
    return '\n'.join(lines + ([] if smoke else curve(results))) + '\n'


def as_json(scenarios, results, machine, settings):
    """What json.dump takes: each round's figures as they were, so that anything else can be worked out of it."""
    return {
        'machine': machine, 'settings': settings,
        'scenarios': {each.name: {**dataclasses.asdict(each), 'rounds': results[each.name]} for each in scenarios if each.name in results},
        'bars': [{**dataclasses.asdict(verdict.bar), 'value': verdict.value, 'limit': verdict.limit, 'reached': verdict.reached}
                 for verdict in verdicts(results)],
    }
