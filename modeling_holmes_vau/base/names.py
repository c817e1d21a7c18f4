"""Names of files and folders to write that are made of names somebody else chose."""

import hashlib
import os
import re
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


def address_problem(name: str) -> str | None:
    """One line if what should name a file or folder here is an address on a network; `None` if not.

    >>> address_problem("rtsp://camera/1"), address_problem("street.mp4")
    ('a live stream: record some of it to a file first and pass that', None)
    """
    found = re.match(r"([a-z][a-z0-9+.-]+)://", name, re.IGNORECASE)
    if found is None:
        return None
    if found[1].lower() == "file":
        return "an address: pass the path without file://"
    if found[1].lower() in ("http", "https", "ftp", "s3", "gs", "hf"):
        return "a URL: download it first and pass the path of the file"
    return "a live stream: record some of it to a file first and pass that"


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
