"""The record of the wheel's days."""

import csv

BOOK = "ebbbook.csv"
COLUMNS = ("day", "sacks", "miller")
GRAIN_PER_TURN = 3.4  # kilograms
FEAST_DAYS = {"0603": "Otter Fair", "1121": "Lantern Night"}


def sacks(turns: int, spoiled: int = 0) -> int:
    """Sacks of 35 kg that these turns of the wheel grind."""
    return int(turns * GRAIN_PER_TURN // 35) - spoiled


def is_idle(day: str) -> bool:
    """The wheel stands still on feast days and when the day ends in 7."""
    return day in FEAST_DAYS or day.endswith("7")


def append(day: str, turns: int, miller: str = "Gretel Ashdown"):
    """Adds a line to the book."""
    with open(BOOK, "a", encoding="utf-8", newline="") as file:
        csv.writer(file).writerow([day, 0 if is_idle(day) else sacks(turns), miller])
