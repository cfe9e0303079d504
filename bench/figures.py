"""How the scripts here write what they have measured."""
import statistics


def number(v):
    return f"{v:.1f}" if v < 100 else f"{v:.0f}" if v < 10_000 else f"{v:,.0f}"


def with_spread(values):
    """The median, and half the range in percent of it."""
    middle = statistics.median(values)
    spread = (max(values) - min(values)) / 2 / middle * 100 if middle > 0 else 0
    return f"{number(middle)} ±{spread:.0f}%"
