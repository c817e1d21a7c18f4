"""HIVAU-70k as a `datasets` builder: instruction rows of each level, detection spans, whole annotations.

    from hivau70k_dataset.builder import HIVAU70k

    builder = HIVAU70k(config_name="event", data_dir="HIVAU-70k", video_root="HIVAU-70k/videos")
    builder.download_and_prepare()
    rows = builder.as_dataset(split="test")
    stream = HIVAU70k(config_name="event", data_dir="HIVAU-70k").as_streaming_dataset(split="test")

On datasets 3.x (tested with 3.6.0) this file is also a loading script:

    load_dataset("hivau70k_dataset/builder.py", "event", data_dir="HIVAU-70k", trust_remote_code=True)

Newer versions run no scripts: use the class, or `load_dataset` on the folder that `python -m hivau70k_dataset export`
writes. A script takes along only the files it imports itself, so all those that these import must be imported here.
"""

import dataclasses
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import datasets

from modeling_holmes_vau.spans_holmes_vau import span_at_rate

from .fields import ignore
from .labels import classes_of_name
from .reading import AnnotationFiles, digest, read_annotation_files
from .records import annotation_to_dict
from .schema import LEVELS, Instruction, VideoAnnotation
from .videos import VideoFolder


TAKEN_ALONG = (ignore,)  # of a file that others import; no comment may stand behind an import, datasets 3.x reads it
DESCRIPTION = "HIVAU-70k: instructions for video anomaly understanding at clip, event and video level."
HOMEPAGE = "https://github.com/pipixin321/HolmesVAU"
CITATION = """\
@inproceedings{zhang2025holmesvau,
  title     = {Holmes-VAU: Towards Long-term Video Anomaly Understanding at Any Granularity},
  author    = {Zhang, Huaxin and Xu, Xiaohao and Wang, Xiang and Zuo, Jialong and Huang, Xiaonan and Gao, Changxin
               and Zhang, Shanjun and Yu, Li and Sang, Nong},
  booktitle = {CVPR},
  year      = {2025}
}
"""

logger = datasets.utils.logging.get_logger(__name__)

_text, _whole, _real = datasets.Value("string"), datasets.Value("int64"), datasets.Value("float64")
_messages = [{"role": _text, "content": _text}]
_parts = {"judgement": _text, "description": _text, "analysis": _text}

# One question about one segment. `prompt` and `completion` are what TRL trains on.
INSTRUCTION_FEATURES = {
    "id": _text,
    "turn": _whole,
    "source": _text,
    "level": _text,
    "task": _text,
    "video": _text,  # the segment's path in the release's layout
    "video_name": _text,
    "event_index": _whole,
    "clip_index": _whole,
    "start_s": _real,  # in the whole video; null where the annotation is not at hand
    "end_s": _real,
    "fps": _real,
    "labels": [_text],
    "question": _text,
    "answer": _text,
    "prompt": _messages,
    "completion": _messages,
    "video_path": _text,  # the file found under `video_root`, null when missing
    "is_cut": datasets.Value("bool"),  # whether that file holds the segment alone
}
# One video: what the scorer trains on. A normal video has no events here.
DETECTION_FEATURES = {
    "video_name": _text,
    "source": _text,
    "video": _text,
    "n_frames": _whole,
    "fps": _real,
    "duration_s": _real,
    "labels": [_text],
    "is_abnormal": datasets.Value("bool"),
    "events": [{"start_s": _real, "end_s": _real, "start_frame": _whole, "end_frame": _whole}],  # end exclusive
    "video_path": _text,
}
# The clean form of `schema.VideoAnnotation`, nothing left out.
ANNOTATION_FEATURES = {
    "video": _text,
    "source": _text,
    "split": _text,
    "n_frames": _whole,
    "fps": _real,
    "labels": [_text],
    "events": [
        {
            "start_s": _real,
            "end_s": _real,
            "summary": _text,
            **_parts,
            "clips": [{"start_s": _real, "end_s": _real, "caption": _text}],
        }
    ],
    "summary": _text,
    **_parts,
    "event_frames": [[_whole]],  # beside the seconds, where the file has them
}
CONFIGS = {
    "all": (INSTRUCTION_FEATURES, "Instruction rows of all three levels."),
    "clip": (INSTRUCTION_FEATURES, "Instruction rows about clips: captions."),
    "event": (INSTRUCTION_FEATURES, "Instruction rows about events: judgement, description, analysis."),
    "video": (INSTRUCTION_FEATURES, "Instruction rows about whole videos: judgement, description, analysis."),
    "detection": (DETECTION_FEATURES, "Videos with their abnormal spans in seconds and frames."),
    "annotations": (ANNOTATION_FEATURES, "Videos with their events, clips, captions and summaries."),
}


@dataclasses.dataclass
class HIVAU70kConfig(datasets.BuilderConfig):
    """What to read.

    Args:
        data_dir (`str`): Folder of the annotation files (see `reading`), in any form `schema` reads.
        video_root (`str`, *optional*): Folder of the videos (see `videos`).
    """

    video_root: str | None = None

    def create_config_id(self, config_kwargs: dict, custom_features: datasets.Features | None = None) -> str:
        """Names the cache: other annotations, or other files among the videos, are another dataset."""
        if self.data_dir is not None:
            config_kwargs = {**config_kwargs, "annotations": digest(self.data_dir)}
        if self.video_root is not None:
            config_kwargs = {**config_kwargs, "videos": VideoFolder(self.video_root).digest()}
        return super().create_config_id(config_kwargs, custom_features=custom_features)


class HIVAU70k(datasets.GeneratorBasedBuilder):
    """The three-level data, from the released files or from annotations of your own in any form that is read.

    Configurations: "clip", "event", "video" and "all" hold instruction rows, "detection" and "annotations" one row a
    video. Splits are those present. A video that is not under `video_root` keeps its row with `video_path` null;
    `missing_videos` lists them, and their number is logged.

    Raises:
        `AnnotationError`: If an annotation can't be read.
        `ValueError`: If `data_dir` is not given.

    Example:

    >>> from hivau70k_dataset.builder import HIVAU70k
    >>> sorted(HIVAU70k.builder_configs)
    ['all', 'annotations', 'clip', 'detection', 'event', 'video']
    """

    VERSION = datasets.Version("1.0.0")
    BUILDER_CONFIG_CLASS = HIVAU70kConfig
    BUILDER_CONFIGS = [
        HIVAU70kConfig(name=name, version=datasets.Version("1.0.0"), description=description)
        for name, (_, description) in CONFIGS.items()
    ]
    DEFAULT_CONFIG_NAME = "all"

    def _info(self) -> datasets.DatasetInfo:
        features, description = CONFIGS[self.config.name]
        return datasets.DatasetInfo(
            description=f"{DESCRIPTION} {description}",
            features=datasets.Features(features),
            homepage=HOMEPAGE,
            citation=CITATION,
        )

    def _split_generators(self, dl_manager: Any) -> list[datasets.SplitGenerator]:
        for place, problem in self._videos.scan.problems.items() if self._videos else ():
            logger.warning(f"{place}: {problem}")
        if self.missing_videos:
            shown = ", ".join(self.missing_videos[:5])
            logger.warning(
                f"{len(self.missing_videos)} videos are not under {self.config.video_root!r}: {shown}"
                f"{', ...' if len(self.missing_videos) > 5 else ''} (all of them: `builder.missing_videos`). "
                "Their rows have `video_path` null."
            )
        return [
            datasets.SplitGenerator(name=split, gen_kwargs={"split": split})
            for split in self.files.splits
            if any(True for _ in self.entries(split))
        ]

    def _generate_examples(self, split: str) -> Iterator[tuple[int, dict[str, Any]]]:
        for key, entry in enumerate(self.entries(split)):
            if self.config.name == "annotations":
                yield key, annotation_to_dict(entry)
            elif self.config.name == "detection":
                yield key, self._detection_row(entry)
            else:
                yield key, self._instruction_row(entry)

    @cached_property
    def files(self) -> AnnotationFiles:
        """The annotations and instructions of `data_dir`."""
        if self.config.data_dir is None:
            raise ValueError(
                "`data_dir` is not given. Pass the folder of the annotation files, for example HIVAU-70k."
            )
        return read_annotation_files(self.config.data_dir)

    @cached_property
    def missing_videos(self) -> list[str]:
        """Released paths of the whole videos that `video_root` does not hold; empty without a `video_root`."""
        if self._videos is None:
            return []
        entries = (entry for split in self.files.splits for entry in self.entries(split))
        missing = (entry for entry in entries if self._videos.find(entry) is None)
        return list(dict.fromkeys(entry.whole_path for entry in missing))

    @cached_property
    def _videos(self) -> VideoFolder | None:
        return None if self.config.video_root is None else VideoFolder(self.config.video_root)

    @cached_property
    def _annotation_of(self) -> dict[tuple[str, str, str], VideoAnnotation]:
        return {(entry.source, entry.split, entry.video): entry for entry in self.files.annotations}

    def entries(self, split: str) -> Iterator[VideoAnnotation | Instruction]:
        """What the rows of a split are made of."""
        name = self.config.name
        if name in ("detection", "annotations"):
            yield from (entry for entry in self.files.annotations if entry.split == split)
        else:
            levels = LEVELS if name == "all" else (name,)
            yield from (entry for entry in self.files.instructions if entry.split == split and entry.level in levels)

    def _instruction_row(self, entry: Instruction) -> dict[str, Any]:
        annotation = self._annotation_of.get((entry.source, entry.split, entry.name))
        span = annotation and annotation.span_s(entry.level, entry.event, entry.clip)
        found = self._videos and self._videos.find(entry)
        return {
            "id": entry.id,
            "turn": entry.turn,
            "source": entry.source,
            "level": entry.level,
            "task": entry.task,
            "video": entry.video,
            "video_name": entry.name,
            "event_index": entry.event,
            "clip_index": entry.clip,
            "start_s": span[0] if span else None,
            "end_s": span[1] if span else None,
            "fps": annotation.fps if annotation else None,
            "labels": list(annotation.labels if annotation else classes_of_name(entry.name) or ()),
            "question": entry.question,
            "answer": entry.answer,
            "prompt": [{"role": "user", "content": entry.question}],
            "completion": [{"role": "assistant", "content": entry.answer}],
            "video_path": found.path if found else None,
            "is_cut": found.is_cut if found else None,
        }

    def _detection_row(self, entry: VideoAnnotation) -> dict[str, Any]:
        found = self._videos and self._videos.find(entry)
        events = entry.events if entry.labels else ()
        frames = [span_at_rate(event.start_s, event.end_s, entry.fps) for event in events]
        return {
            "video_name": entry.video,
            "source": entry.source,
            "video": entry.whole_path,
            "n_frames": entry.n_frames,
            "fps": entry.fps,
            "duration_s": entry.duration_s,
            "labels": list(entry.labels),
            "is_abnormal": bool(entry.labels),
            "events": [
                {"start_s": event.start_s, "end_s": event.end_s, "start_frame": first, "end_frame": stop}
                for event, (first, stop) in zip(events, frames)
            ],
            "video_path": found.path if found else None,
        }
