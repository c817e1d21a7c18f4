"""Checkpoints and files that are not on this machine: they come into the Hub's cache, or a folder beside it."""

import hashlib
import http.client
import os
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from huggingface_hub import cached_assets_path, constants, hf_hub_download, is_offline_mode, snapshot_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import logging

from ..base.commands import first_line
from ..base.errors import write_problem
from ..base.progress import Progress
from .folder import CheckpointError


# A file in a repository, as its page (blob) or its download (resolve) is addressed.
HUB_FILE = re.compile(
    r"https?://(?P<host>[^/]+)/(?:(?P<kind>dataset|space)s/)?(?P<repo>[^/]+/[^/]+)/(?:resolve|blob|raw)"
    r"/(?P<revision>[^/]+)/(?P<file>[^?#]+)"
)
HUB_HOSTS = ("huggingface.co", "hf.co")
TIMEOUT_S = 30
CHUNK_BYTES = 2**20


@contextmanager
def quiet() -> Iterator[None]:
    """Without the warnings of the Hub's library, such as that no file matched: what matters is told as an error."""
    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(before)


def is_url(source: str) -> bool:
    """Whether `source` is an address on the web."""
    return source.startswith(("http://", "https://"))


def fetch_folder(name: str, label: str, patterns: Sequence[str]) -> Path:
    """
    The folder, in the Hub's cache, of the files of a repository that match `patterns`; what is missing is downloaded.

    Args:
        name (`str`): Name of the repository.
        label (`str`): What a message calls it, as `--model NAME`.
        patterns (`Sequence[str]`): Names of files, with wildcards.

    Raises:
        [`CheckpointError`]: one line, if it cannot be had.
    """
    try:
        with quiet():
            return Path(snapshot_download(name, allow_patterns=list(patterns)))
    except Exception as error:  # of the HTTP library too, which differs from version to version
        raise CheckpointError(f"{label}: no such folder; {why_not(error, name)}") from error


def fetch_file(source: str, label: str) -> Path:
    """
    A file: a path as it is; an address on the Hub from its cache; any other address from a file where it is kept.

    Args:
        source (`str`): Path or address.
        label (`str`): What a message calls it, as `--scorer FILE`.

    Raises:
        [`CheckpointError`]: one line, if it cannot be had.
    """
    if not is_url(source):
        if not os.path.isfile(source):
            raise CheckpointError(f"{label}: no such file; expected a file or an address on the web")
        return Path(source)
    found = HUB_FILE.match(source)
    if found is None or found["host"] not in (*HUB_HOSTS, urllib.parse.urlsplit(constants.ENDPOINT).netloc):
        return download(source, label)
    file, revision = urllib.parse.unquote(found["file"]), urllib.parse.unquote(found["revision"])
    try:
        with quiet():
            return Path(hf_hub_download(found["repo"], file, revision=revision, repo_type=found["kind"]))
    except Exception as error:  # as above
        raise CheckpointError(f"{label}: {why_not(error, found['repo'])}") from error


def why_not(error: Exception, repo: str) -> str:
    """Why the Hub gave nothing, and what to do."""
    if problem := write_problem(error):
        return problem
    if isinstance(error, GatedRepoError):
        return f"gated on the Hub: ask for access at {constants.ENDPOINT}/{repo}, then log in with `hf auth login`"
    if isinstance(error, RepositoryNotFoundError):
        return f"the Hub has no repository {repo}, or a private one, for which to log in with `hf auth login`"
    if isinstance(error, RevisionNotFoundError):
        return f"the repository {repo} has no such revision"
    if isinstance(error, HFValidationError):
        return f"{repo!r} can be no repository of the Hub either"
    if is_offline_mode():
        return f"the Hub's cache has not all of {repo}, and HF_HUB_OFFLINE=1 keeps it from being downloaded"
    if isinstance(error, EntryNotFoundError) and not isinstance(error, LocalEntryNotFoundError):
        return f"the repository {repo} has no such file"
    # What the Hub's library says of an unreachable server is long, and the reason is another error.
    reason = error.__cause__ if isinstance(error, LocalEntryNotFoundError) and error.__cause__ else error
    return f"the Hub's cache has not all of {repo}, and {constants.ENDPOINT} cannot be asked: {first_line(reason)}"


# ---- elsewhere on the web -------------------------------------------------------------------------------------------


def download(url: str, label: str) -> Path:
    """
    The file at an address, downloaded once and kept beside the Hub's cache. It takes its name when it is whole.

    Raises:
        [`CheckpointError`]: one line, if it cannot be had.
    """
    folder = cached_assets_path("holmes-vau", "downloads", hashlib.sha256(url.encode()).hexdigest()[:16])
    path = folder / (urllib.parse.unquote(Path(urllib.parse.urlsplit(url).path).name) or "file")
    if path.is_file():
        return path
    if is_offline_mode():
        raise CheckpointError(f"{label}: not downloaded before; HF_HUB_OFFLINE=1 keeps it from being downloaded")
    partial = folder / f".{os.getpid()}.partial"
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as reply, partial.open("wb") as file:
            _copy(reply, file, path.name, label)
        os.replace(partial, path)
    except CheckpointError:
        raise
    except urllib.error.HTTPError as error:
        raise CheckpointError(f"{label}: the server answers {error.code} {error.reason}") from error
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise CheckpointError(f"{label}: cannot be downloaded: {write_problem(error) or first_line(error)}") from error
    finally:
        partial.unlink(missing_ok=True)
    return path


def _copy(reply, file, name: str, label: str) -> None:
    """Copy a reply into a file; a page for people, or a reply that ends early, is refused."""
    if reply.headers.get_content_type() == "text/html":
        raise CheckpointError(f"{label}: a web page, not a file: pass the address of the download (raw)")
    length = reply.headers["Content-Length"]
    total, done = int(length) if length else None, 0
    with Progress(total=total, unit="B", unit_scale=True, desc=name) as bar:
        while chunk := reply.read(CHUNK_BYTES):
            file.write(chunk)
            done += len(chunk)
            bar.update(len(chunk))
    if total is not None and done < total:
        raise CheckpointError(f"{label}: the download broke off after {done} of {total} bytes: try again")
