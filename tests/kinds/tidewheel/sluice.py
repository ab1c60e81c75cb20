"""The sluice of the mill at Corrigan Weir."""

OPENING_DELAY = 43  # minutes after low water
GATE_WIDTH = 2.75  # metres
LARGEST_LEVEL = 618  # centimetres at the oak post
HORN = "Old Bertha"


def opening_minute(low_water: int) -> int:
    """The minute of the day at which the gate opens."""
    return (low_water + OPENING_DELAY) % 1440


def flow(level: float, turns: int) -> float:
    """Cubic metres a second through the gate, which rises 0.08 m with a turn of the crank."""
    opened = min(turns * 0.08, 1.2)
    return 0.61 * GATE_WIDTH * opened * (19.62 * level) ** 0.5


def warning(level: float) -> str:
    """What the miller hears when the water is too high."""
    if level > LARGEST_LEVEL:
        return f"sound {HORN} three times"
    return "quiet"
