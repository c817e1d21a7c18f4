"""Words of English texts that say something, and whether two of them are forms of one."""

import re


WORD = re.compile(r"[A-Za-z0-9]+(?:['\u2019-][A-Za-z0-9]+)*")
# Articles, pronouns, prepositions, auxiliaries and the like, and what every answer about a video says.
STOP_WORDS = frozenset(
    (
        "a about above after again against all along also although am among an and another any are around as at away "
        "back be because been before behind being below beside between both but by can cannot could did do does doing "
        "done down during each either else for from further had has have having he her here him his how however i if "
        "in into is it its itself may me might more most much must my near next no nor not now of off on once one "
        "only onto or other our out over own per same several she should since so some such than that the their them "
        "then there these they this those through throughout to together toward towards under until up upon us very "
        "was we were what when where whether which while who whole whom whose why will with within without would you "
        "your video scene something "
        "somebody someone anything anybody anyone everything everybody everyone nothing nobody"
    ).split()
)
SHORTEST_STEM = 3
VOWELS = frozenset("aeiouy")


def find_words(text: str) -> list[tuple[int, int, str]]:
    """Start and end of each word of a text, and the word in small letters.

    >>> find_words("A man's car.")
    [(0, 1, 'a'), (2, 7, "man's"), (8, 11, 'car')]
    """
    return [(match.start(), match.end(), match[0].lower().replace("\u2019", "'")) for match in WORD.finditer(text)]


def content_words(text: str) -> list[str]:
    """The words of a text that are no `STOP_WORDS`, in small letters and in order.

    >>> content_words("The man is running to a white van, and the man's bag falls.")
    ['man', 'running', 'white', 'van', 'man', 'bag', 'falls']
    """
    words = (word.removesuffix("'s") for _, _, word in find_words(text))
    return [word for word in words if word not in STOP_WORDS]


def stem(word: str) -> str:
    """What the regular forms of an English word share; irregular ones ("ran", "people") stay apart.

    >>> [stem(word) for word in ("running", "runs", "smoke", "smoking", "carries", "carried", "boxes", "glass")]
    ['run', 'run', 'smok', 'smok', 'carri', 'carri', 'box', 'glass']
    """
    word = word.removesuffix("'s")
    for suffix in ("ing", "edly", "ed", "ly", "es", "s"):
        rest = word.removesuffix(suffix)
        if rest != word and len(rest) >= SHORTEST_STEM - (suffix == "s") and VOWELS & set(rest):
            if suffix != "s" or rest[-1] not in "su":
                word = rest
            break
    if len(word) > SHORTEST_STEM and word[-1] == word[-2] and word[-1] not in "aeiouls":
        word = word[:-1]
    if len(word) > SHORTEST_STEM and word.endswith("e"):
        return word[:-1]
    return word[:-1] + "i" if len(word) > SHORTEST_STEM and word.endswith("y") else word
