"""Times of a video as people write them: printing and reading."""

import re


TIME = re.compile(r"(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d*)?|\.\d+)", re.ASCII)  # seconds, m:ss.s or h:mm:ss.s


def clock(time_s: float, decimals: int = 1) -> str:
    """Write a time as m:ss or, from one hour on, h:mm:ss.

    Args:
        time_s (`float`): Time in seconds, not negative.
        decimals (`int`, *optional*, defaults to 1): Digits after the decimal point of the seconds.

    Returns:
        `str`: The time, rounded once so that 59.96 is a minute and never 60 seconds.

    Examples:
        >>> clock(17.3), clock(59.96), clock(3723, decimals=0)
        ('0:17.3', '1:00.0', '1:02:03')
    """
    units = 10**decimals
    seconds, fraction = divmod(round(time_s * units), units)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    whole = f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
    return f"{whole}.{fraction:0{decimals}d}" if decimals else whole


def parse_clock(text: str) -> float | None:
    """Read a time as `clock` writes it, or in seconds; `None` if it is none.

    Examples:
        >>> parse_clock("49.5"), parse_clock("1:38.4"), parse_clock("1:02:03"), parse_clock("1:75")
        (49.5, 98.4, 3723.0, None)
    """
    found = TIME.fullmatch(text.strip())
    if found is None:
        return None
    hours, minutes, seconds = found.groups()
    if (minutes and float(seconds) >= 60) or (hours and int(minutes) >= 60):
        return None
    return 3600 * int(hours or 0) + 60 * int(minutes or 0) + float(seconds)
