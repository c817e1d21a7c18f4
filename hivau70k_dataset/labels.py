"""The anomaly classes of the benchmark, in names of videos and in words."""

import re

from modeling_holmes_vau.judgement_holmes_vau import CLASSES, Judgement, canonical_class, parse_judgement


__all__ = ["CLASSES", "XD_CODES", "Judgement", "canonical_class", "classes_of_name", "parse_judgement"]

# XD-Violence writes the classes of a video into its file name: "..._label_B2-B6-0", "..._label_A" when normal.
XD_CODES = {
    "A": None,
    "B1": "Fighting",
    "B2": "Shooting",
    "B4": "Riot",
    "B5": "Abuse",
    "B6": "RoadAccidents",
    "G": "Explosion",
}


def classes_of_name(video: str) -> tuple[str, ...] | None:
    """The classes the benchmarks write into a video's name; empty when normal, `None` when the name tells nothing.

    Args:
        video (`str`): Name without folder and extension.

    Example:

    >>> from hivau70k_dataset.labels import classes_of_name
    >>> classes_of_name("Arson016_x264"), classes_of_name("v=3Wm__#1_label_B2-B6-0"), classes_of_name("camera7")
    (('Arson',), ('Shooting', 'RoadAccidents'), None)
    """
    if (xd := re.search(r"_label_((?:A|B\d|G|0)(?:-(?:A|B\d|G|0))*)$", video)) is not None:
        codes = [code for code in xd[1].split("-") if code != "0"]
        if all(code in XD_CODES for code in codes):
            return tuple(name for code in codes if (name := XD_CODES[code]) is not None)
    if re.match(r"(?:Testing_|Training_)?Normal_", video):
        return ()
    if (ucf := re.match(r"([A-Za-z]+)\d+_", video)) and ucf[1] in CLASSES:
        return (ucf[1],)
    return None
