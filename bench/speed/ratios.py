"""Medians and spreads, and what they say of a bar. Pure.

A round gives each system one set of figures, as {'cpu': …, 'throughput': …}. What counts is the ratio of two systems within one round: what the machine
does to one round, it does to both."""
import dataclasses
import statistics

# Of which figures less is better; of the others more is.
LESS_IS_BETTER = {'cpu', 'p50', 'p99', 'acknowledged_p50', 'acknowledged_p99', 'rss', 'disk', 'start', 'idle_cpu', 'idle_rss', 'loaded_rss', 'created',
                  'written_again'}


@dataclasses.dataclass(frozen=True)
class Spread:
    """Of the ratios of several rounds, or of one system's figures."""
    median: float
    least: float
    most: float
    rounds: int


def spread(values):
    """None of no values: a figure that a system does not have."""
    values = [value for value in values if value is not None]
    return Spread(statistics.median(values), min(values), max(values), len(values)) if values else None


def figures_of(rounds, system, name):
    """That figure of each round that has it."""
    return [each[system][name] for each in rounds if each.get(system, {}).get(name) is not None]


def ratio(rounds, system, other, name):
    """The spread of system / other over the rounds in which both have the figure."""
    pairs = [(each.get(system, {}).get(name), each.get(other, {}).get(name)) for each in rounds]
    return spread([ours / theirs for ours, theirs in pairs if ours is not None and theirs])


@dataclasses.dataclass(frozen=True)
class Bar:
    """`limit` is of the ratio to `against`, or of the figure itself when that is None. `or_disk`: enough is also that share of what the disk alone did in
    the same run, if that is less."""
    scenario: str
    system: str
    figure: str
    limit: float
    against: str | None = 'kafka'
    or_disk: float | None = None


@dataclasses.dataclass(frozen=True)
class Verdict:
    bar: Bar
    value: float | None
    limit: float
    reached: bool | None  # None when it was not measured


def judge(bar, rounds):
    """The bar against the rounds of its scenario."""
    found = ratio(rounds, bar.system, bar.against, bar.figure) if bar.against else spread(figures_of(rounds, bar.system, bar.figure))
    if found is None:
        return Verdict(bar, None, bar.limit, None)
    limit = bar.limit
    if bar.or_disk is not None:
        disk = ratio(rounds, 'dsync', bar.against, bar.figure)
        limit = min(limit, bar.or_disk * disk.median) if disk else limit
    reached = found.median <= limit if bar.figure in LESS_IS_BETTER else found.median >= limit
    return Verdict(bar, found.median, limit, reached)


def still_improving(values, share):
    """Whether the last of several figures of which less is better is better than all before it by that share; true of one or none."""
    return len(values) < 2 or values[-1] < min(values[:-1]) * (1 - share)
