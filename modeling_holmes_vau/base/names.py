"""Names of files and folders to write that are made of names somebody else chose."""

import hashlib
import os
import unicodedata


MOST_BYTES = 255  # of a name, on every common file system
FOLDER_BYTES = 200  # leaves room for a number, and for suffixes


def shorten(name: str, most_bytes: int) -> str:
    """The first letters of a name that take up at most so many bytes as UTF-8.

    >>> shorten("naïve", 3)
    'na'
    """
    return os.fsencode(name)[:most_bytes].decode("utf-8", "ignore") if len(os.fsencode(name)) > most_bytes else name


def safe_name(name: str) -> str:
    """A name for a folder inside another, for a name of any kind.

    It is never empty, hidden, `.` or `..`, holds no separators or control characters, and does not end in what other
    file systems drop. Two names may become one.

    >>> [safe_name(name) for name in ("street", "..", ".a. ", "a/b")]
    ['street', 'video', 'a', 'a_b']
    """
    letters = ("_" if letter in "/\\" or unicodedata.category(letter) in ("Cc", "Cs") else letter for letter in name)
    return shorten("".join(letters).strip(". "), FOLDER_BYTES).rstrip(". ") or "video"


def fitting_name(stem: str, suffix: str) -> str:
    """`stem + suffix`; of one too long for a file system the end of the stem gives way to a digest of it.

    >>> fitting_name("street", ".npz"), len(fitting_name("x" * 255, ".npz"))
    ('street.npz', 255)
    """
    if len(os.fsencode(stem + suffix)) <= MOST_BYTES:
        return stem + suffix
    ending = f"-{hashlib.sha256(os.fsencode(stem)).hexdigest()[:16]}{suffix}"
    return shorten(stem, MOST_BYTES - len(os.fsencode(ending))) + ending


def folded(name: str) -> str:
    """Equal for names that are one where case, or the way accents are written, makes no difference.

    >>> folded("A") == folded("a"), folded("a") == folded("b")
    (True, False)
    """
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", name).casefold())
