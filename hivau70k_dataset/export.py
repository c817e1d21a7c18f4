"""`export`: a folder that `load_dataset` reads and the Hub takes: Parquet per configuration and split, and a card."""

import os
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from modeling_holmes_vau.base.files import check_new_folder, whole_folder
from modeling_holmes_vau.base.progress import Progress

from .builder import CITATION, CONFIGS, HIVAU70k
from .reading import AnnotationFiles, read_annotation_files
from .schema import Instruction, VideoAnnotation
from .stats import compute_statistics, markdown_table
from .videos import FoundVideo, VideoFolder


SHARD_BYTES = 500 * 2**20  # the size the Hub advises for a Parquet file
MOST_VIDEO_BYTES = 2**31 - 2**16  # of one value of a Video column, whose offsets have 32 bits
ROWS_AT_A_TIME = 256
# The configuration of the embedded videos: each file once, named by the `video_file` of the other rows.
VIDEOS = "videos"
VIDEO_FEATURES = datasets.Features({"video_file": datasets.Value("string"), "content": datasets.Video(decode=False)})
RELEASED_SOURCES = {"ucf-crime", "xd-violence"}
OWN_INTRODUCTION = """\
# Video anomaly annotations from {sources}

Annotations at three levels in the schema of [HIVAU-70k](https://arxiv.org/abs/2412.06171): captions of clips;
judgement, description and analysis of events and of whole videos. They are no part of HIVAU-70k.

"""


@dataclass(frozen=True)
class EmbeddedVideos:
    """The files to put into the Parquet files, each once in a split.

    Args:
        names (`dict[str, dict[str, str]]`): By split, the name that rows give to a file they were found at.
        files (`dict[str, dict[str, str]]`): By split, the file of each name.
    """

    names: dict[str, dict[str, str]]
    files: dict[str, dict[str, str]]

    def summary(self) -> str:
        """How many videos of which size."""
        paths = [path for files in self.files.values() for path in files.values()]
        return f"{len(paths)} videos, {sum(map(os.path.getsize, paths)) / 1e6:.1f} MB"


def find_embedded(files: AnnotationFiles, folder: VideoFolder) -> EmbeddedVideos:
    """Which files the rows of all configurations need.

    Raises:
        `ValueError`: If a file is larger than a Parquet value can be.
    """
    embedded, of_real_path = EmbeddedVideos(defaultdict(dict), defaultdict(dict)), {}
    for entry in (*files.annotations, *files.instructions):
        found = folder.find(entry)
        if found is None or found.path in embedded.names[entry.split]:
            continue
        if (size := os.path.getsize(found.path)) > MOST_VIDEO_BYTES:
            raise ValueError(
                f"{found.path}: has {size / 1e9:.1f} GB, and a Parquet file takes at most 2.1 GB a video. Leave "
                "--embed-videos out and publish the files beside the folder."
            )
        name = of_real_path.setdefault((entry.split, os.path.realpath(found.path)), _file_name(entry, found))
        embedded.names[entry.split][found.path] = name
        embedded.files[entry.split].setdefault(name, found.path)
    return embedded


def _file_name(entry: VideoAnnotation | Instruction, found: FoundVideo) -> str:
    """The path of a file in the layout of the release, with its own suffix."""
    path = PurePosixPath(entry.video if found.is_cut else entry.whole_path)
    return str(path.with_suffix(os.path.splitext(found.path)[1]))


def export(
    annotations: str | os.PathLike,
    output: str | os.PathLike,
    videos: str | os.PathLike | None = None,
    embed_videos: bool = False,
    progress: bool = False,
    shard_bytes: int = SHARD_BYTES,
) -> tuple[Path, list[str]]:
    """Write the Hub-ready folder; it appears whole or not at all.

    Args:
        annotations (`str` or `os.PathLike`): Folder of the annotation files.
        output (`str` or `os.PathLike`): New or empty folder.
        videos (`str` or `os.PathLike`, *optional*): Folder of the videos. The rows get a column `video_file`, a
            `Video` that names the file on this machine, null where it is missing; the missing are listed in the card.
        embed_videos (`bool`, *optional*, defaults to `False`): Put the content of the files into Parquet files, so
            that the folder needs nothing else: a configuration `videos` holds each file once, by the name that is
            the `video_file` of the rows.
        progress (`bool`, *optional*, defaults to `False`): Show progress bars, and say what will be embedded before
            anything is written.
        shard_bytes (`int`, *optional*, defaults to 500 MiB): Beyond this a Parquet file is followed by another.

    Returns:
        `tuple[Path, list[str]]`: The folder, and the released paths of the videos that are missing.

    Raises:
        `AnnotationError`: If an annotation can't be read.
        `ValueError`: If the output is there already, videos are to be embedded and none are given, or one of them is
            too large for it.
    """
    if embed_videos and videos is None:
        raise ValueError("There are no videos to embed. Pass the folder of the videos too.")
    video_root = None if videos is None else os.path.abspath(videos)
    check_new_folder(Path(output))
    embedded, said = None, []
    if video_root is not None:
        videos_there = VideoFolder(video_root)
        said += [f"note: {note}" for note in videos_there.notes]
    if embed_videos:
        embedded = find_embedded(read_annotation_files(annotations), videos_there)
        said.append(f"will embed {embedded.summary()}")
    for line in said if progress else ():
        Progress.write(line, file=sys.stderr)
    layout: dict[str, list[str]] = {}
    missing: dict[str, None] = {}
    with whole_folder(Path(output)) as folder, tempfile.TemporaryDirectory() as cache:
        for name in CONFIGS:
            builder = HIVAU70k(config_name=name, data_dir=str(annotations), video_root=video_root, cache_dir=cache)
            if not any(True for split in builder.files.splits for _ in builder.entries(split)):
                continue  # a folder of instructions alone has no detection rows
            builder.download_and_prepare()
            missing.update(dict.fromkeys(builder.missing_videos))
            tables = builder.as_dataset()
            layout[name] = list(tables)
            for split, table in tables.items():
                table = _with_video_column(table, video_root, embedded and embedded.names[split])
                count = -(-len(table) // ROWS_AT_A_TIME)
                shown = Progress(_batches(table), f"{name} {split}", count, unit="batch", disable=not progress)
                _write_shards(shown, table.features, folder / name, split, shard_bytes)
        for split, files in embedded.files.items() if embedded else ():
            layout.setdefault(VIDEOS, []).append(split)
            shown = Progress(files.items(), f"{VIDEOS} {split}", unit="video", disable=not progress)
            _write_shards(_video_rows(shown), VIDEO_FEATURES, folder / VIDEOS, split, shard_bytes)
        (folder / "README.md").write_text(
            _card(builder, layout, None if video_root is None else list(missing)), encoding="utf-8"
        )
    return Path(output), list(missing)


def _with_video_column(
    table: datasets.Dataset, video_root: str | None, names: dict[str, str] | None
) -> datasets.Dataset:
    if "video_path" not in table.column_names:
        return table
    if video_root is None:
        return table.remove_columns([name for name in ("video_path", "is_cut") if name in table.column_names])
    if names is not None:
        column = [path and names[path] for path in table["video_path"]]
        return table.remove_columns("video_path").add_column("video_file", column, feature=datasets.Value("string"))
    return table.rename_column("video_path", "video_file").cast_column("video_file", datasets.Video(decode=False))


def _batches(table: datasets.Dataset) -> Iterator[pa.Table]:
    yield from table.with_format("arrow").iter(batch_size=ROWS_AT_A_TIME)


def _video_rows(files: Iterable[tuple[str, str]]) -> Iterator[pa.Table]:
    for name, path in files:
        content = {"bytes": Path(path).read_bytes(), "path": os.path.basename(name)}
        yield pa.table({"video_file": [name], "content": [content]}, VIDEO_FEATURES.arrow_schema)


def _write_shards(
    tables: Iterable[pa.Table], features: datasets.Features, folder: Path, split: str, shard_bytes: int
) -> None:
    """Write `{split}-00000-of-0000N.parquet`, each of about `shard_bytes`."""
    folder.mkdir(exist_ok=True)
    schema = features.arrow_schema
    parts: list[Path] = []
    writer, written = None, 0
    for table in tables:
        if writer is None or written > shard_bytes:
            if writer is not None:
                writer.close()
            parts.append(folder / f"{split}-part{len(parts)}")
            writer, written = pq.ParquetWriter(parts[-1], schema), 0
        writer.write_table(table.cast(schema))
        written += table.nbytes
    writer.close()
    for index, part in enumerate(parts):
        part.rename(folder / f"{split}-{index:05d}-of-{len(parts):05d}.parquet")


def _card(builder: HIVAU70k, layout: dict[str, list[str]], missing: list[str] | None) -> str:
    rows = len(builder.files.instructions)
    sources = sorted({entry.source for entry in (*builder.files.annotations, *builder.files.instructions)})
    released = RELEASED_SOURCES.issuperset(sources)
    front = {
        "pretty_name": "HIVAU-70k" if released else f"Video anomaly annotations from {', '.join(sources)}",
        **({"license": "mit"} if released else {}),
        "language": ["en"],
        "task_categories": ["video-text-to-text", "video-classification"],
        "tags": ["video-anomaly-detection", "video-anomaly-understanding", "video"],
        "size_categories": ["n<1K" if rows < 1000 else "1K<n<10K" if rows < 10_000 else "10K<n<100K"],
        "configs": [
            {
                "config_name": name,
                **({"default": True} if name == builder.DEFAULT_CONFIG_NAME else {}),
                "data_files": [{"split": split, "path": f"{name}/{split}-*.parquet"} for split in splits],
            }
            for name, splits in layout.items()
        ],
    }
    text = (Path(__file__).parent / "README.md").read_text(encoding="utf-8")
    if not released:  # of the card of HIVAU-70k, only what the columns mean holds for other data
        columns = text[text.index("## Configurations") : text.index("## Known blemishes")]
        text = OWN_INTRODUCTION.format(sources=", ".join(sources)) + columns.rstrip() + "\n"
    pieces = [
        f"---\n{yaml.safe_dump(front, sort_keys=False, allow_unicode=True)}---\n",
        text,
        f"## Statistics of this copy\n\n{markdown_table(compute_statistics(builder.files))}\n",
    ]
    if missing is not None:
        pieces.append(_missing(missing))
    pieces.append(f"## Citation\n\n```bibtex\n{CITATION}```\n")
    return "\n".join(pieces)


def _missing(names: list[str]) -> str:
    if not names:
        return "## Videos\n\nEvery video is there.\n"
    lines = "\n".join(f"- `{name}`" for name in names)
    return f"## Videos\n\n{len(names)} videos are missing; `video_file` is null in their rows:\n\n{lines}\n"
