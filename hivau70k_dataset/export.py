"""`export`: a folder that `load_dataset` reads and the Hub takes: Parquet per configuration and split, and a card."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from tqdm import tqdm

from modeling_holmes_vau.files_holmes_vau import whole_folder

from .builder import CITATION, CONFIGS, HIVAU70k
from .stats import compute_statistics, markdown_table


SHARD_BYTES = 500 * 2**20  # the size the Hub advises for a Parquet file
ROWS_AT_A_TIME = 256
RELEASED_SOURCES = {"ucf-crime", "xd-violence"}
OWN_INTRODUCTION = """\
# Video anomaly annotations from {sources}

Annotations at three levels in the schema of [HIVAU-70k](https://arxiv.org/abs/2412.06171): captions of clips;
judgement, description and analysis of events and of whole videos. They are no part of HIVAU-70k.

"""


def export(
    annotations: str | os.PathLike,
    output: str | os.PathLike,
    videos: str | os.PathLike | None = None,
    embed_videos: bool = False,
    progress: bool = False,
) -> tuple[Path, list[str]]:
    """Write the Hub-ready folder; it appears whole or not at all.

    Args:
        annotations (`str` or `os.PathLike`): Folder of the annotation files.
        output (`str` or `os.PathLike`): New or empty folder.
        videos (`str` or `os.PathLike`, *optional*): Folder of the videos. The rows get a `Video` column that names the
            file, null where it is missing; the missing are listed in the card.
        embed_videos (`bool`, *optional*, defaults to `False`): Put the content of the files into the Parquet files, so
            that the folder needs nothing else. A whole video is repeated in each of its rows.
        progress (`bool`, *optional*, defaults to `False`): Show a progress bar.

    Returns:
        `tuple[Path, list[str]]`: The folder, and the released paths of the videos that are missing.

    Raises:
        `AnnotationError`: If an annotation can't be read.
        `ValueError`: If the output is there already, or videos are to be embedded and none are given.
    """
    if embed_videos and videos is None:
        raise ValueError("There are no videos to embed. Pass the folder of the videos too.")
    video_root = None if videos is None else os.path.abspath(videos)
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
                shown = tqdm(total=len(table), desc=f"{name} {split}", unit="row", disable=not progress)
                with shown:
                    _write_shards(_with_video_column(table, video_root), folder / name, split, embed_videos, shown)
        (folder / "README.md").write_text(
            _card(builder, layout, None if video_root is None else list(missing)), encoding="utf-8"
        )
    return Path(output), list(missing)


def _with_video_column(table: datasets.Dataset, video_root: str | None) -> datasets.Dataset:
    if "video_path" not in table.column_names:
        return table
    if video_root is None:
        return table.remove_columns([name for name in ("video_path", "is_cut") if name in table.column_names])
    return table.rename_column("video_path", "video_file").cast_column("video_file", datasets.Video(decode=False))


def _write_shards(table: datasets.Dataset, folder: Path, split: str, embed: bool, shown: tqdm) -> None:
    """Write `{split}-00000-of-0000N.parquet`, each at most about 500 MB."""
    folder.mkdir(exist_ok=True)
    schema = table.features.arrow_schema
    embed = embed and "video_file" in table.column_names
    parts: list[Path] = []
    writer, written = None, 0
    for batch in _batches(table, 1 if embed else ROWS_AT_A_TIME):
        if embed:
            batch = _embed(batch)
        if writer is None or written > SHARD_BYTES:
            if writer is not None:
                writer.close()
            parts.append(folder / f"{split}-part{len(parts)}")
            writer, written = pq.ParquetWriter(parts[-1], schema), 0
        writer.write_table(batch.cast(schema))
        written += batch.nbytes
        shown.update(len(batch))
    writer.close()
    for index, part in enumerate(parts):
        part.rename(folder / f"{split}-{index:05d}-of-{len(parts):05d}.parquet")


def _batches(table: datasets.Dataset, rows: int) -> Iterator[pa.Table]:
    yield from table.with_format("arrow").iter(batch_size=rows)


def _embed(batch: pa.Table) -> pa.Table:
    column = [
        entry and {"bytes": Path(entry["path"]).read_bytes(), "path": os.path.basename(entry["path"])}
        for entry in batch["video_file"].to_pylist()
    ]
    index = batch.column_names.index("video_file")
    return batch.set_column(index, "video_file", pa.array(column, batch.schema.field("video_file").type))


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
