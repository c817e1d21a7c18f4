"""Which installed fonts draw a text, and what is drawn where none does."""

import functools


FONT = "DejaVu Sans"  # comes with matplotlib
FALLBACK_HINTS = ("CJK SC", "PingFang SC", "YaHei", "Hiragino", "Heiti", "WenQuanYi", "CJK", "Arial Unicode")
UNUSABLE_FONTS = ("Last Resort", "LastResort", "Emoji")  # boxes for every character; colour bitmaps


@functools.lru_cache(maxsize=256)
def drawable(string: str, weight: str) -> tuple[str, tuple[str, ...], str]:
    """Find installed fonts for `string`; what no font holds is escaped (`\\u76d1`), never drawn as a box.

    Returns:
        `tuple[str, tuple[str, ...], str]`: What to draw, the font families that hold it together, and their weight:
        the one asked for, unless the normal one needs fewer escapes.
    """
    attempts = [(*cover(string, option), option) for option in dict.fromkeys((weight, "normal"))]
    families, missing, weight = min(attempts, key=lambda attempt: len(attempt[1]))
    escaped = {character: character.encode("unicode_escape").decode("ascii") for character in missing}
    return "".join(escaped.get(character, character) for character in string), tuple(families), weight


def cover(string: str, weight: str) -> tuple[list[str], set[str]]:
    """Collect font families until they hold every character; returns them and the characters that none holds."""
    families, missing = [FONT], set()
    for character in dict.fromkeys(string):
        if not character.isprintable():
            missing.add(character)
        elif not any(holds(family, weight, character) for family in families):
            found = next((family for family in installed(weight) if holds(family, weight, character)), None)
            if found:
                families.append(found)
            else:
                missing.add(character)
    return families, missing


def installed(weight: str) -> list[str]:
    """List font families that have upright faces of this weight, those likely to hold Chinese first."""
    from matplotlib import font_manager

    def preference(family: str) -> tuple[int, str]:
        return next((rank for rank, hint in enumerate(FALLBACK_HINTS) if hint in family), len(FALLBACK_HINTS)), family

    weights = (weight, font_manager.weight_dict[weight])
    faces = [face for face in font_manager.fontManager.ttflist if face.weight in weights and face.style == "normal"]
    return sorted(
        {face.name for face in faces if not any(word in face.name for word in UNUSABLE_FONTS)}, key=preference
    )


def holds(family: str, weight: str, character: str) -> bool:
    from matplotlib import font_manager

    try:
        properties = font_manager.FontProperties(family=[family], weight=weight, style="normal")
        path = font_manager.findfont(properties, fallback_to_default=False)
        return font_manager.get_font(path).get_char_index(ord(character)) != 0
    except (OSError, RuntimeError, ValueError):  # a broken font file is one that holds nothing
        return False
