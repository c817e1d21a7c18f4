"""A small vision tower from scratch: single frames of annotated videos -> the words of their clips' captions.

It stands in for InternVL's pretraining where no weights can be had. Only the train split is read. The checkpoint it
writes has the trained tower and random weights otherwise; `train_scorer.py` goes on from it.

    python -m training.pretrain_vision --annotations mini --videos mini/videos --output vision
"""

import argparse
import io
import json
import math
import pickle
import re
import shutil
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from hivau70k_dataset.instructions import build_instructions
from hivau70k_dataset.reading import read_annotation_files
from hivau70k_dataset.schema import VideoAnnotation
from hivau70k_dataset.videos import VideoFolder
from modeling_holmes_vau.base.files import check_new_folder, whole_folder, write_whole
from modeling_holmes_vau.base.parser import Parser
from modeling_holmes_vau.base.progress import Progress
from modeling_holmes_vau.base.runs import compare_settings, sole_run
from modeling_holmes_vau.checkpoint.build import (
    UNTRAINED_BUT_VISION_WARNING,
    build_processor,
    generation_config_for,
    write_model_card,
)
from modeling_holmes_vau.checkpoint.small import build_small_tokenizer
from modeling_holmes_vau.configuration_holmes_vau import HolmesVAUConfig
from modeling_holmes_vau.modeling_holmes_vau import IMAGE_MEAN, IMAGE_STD, HolmesVAUForConditionalGeneration
from modeling_holmes_vau.processing_holmes_vau import CHAT_TEMPLATE, SYSTEM_MESSAGE
from modeling_holmes_vau.spans_holmes_vau import check_segment, segment_frame_range
from modeling_holmes_vau.video_processing_holmes_vau import resize_frames
from modeling_holmes_vau.video_reader_holmes_vau import open_video
from training.runs import cpu_has_bfloat16, run_script


IMAGE_SIZE, PATCH_SIZE = 128, 16
VISION = {
    "model_type": "resnet",
    "layer_type": "basic",
    "embedding_size": 32,
    "hidden_sizes": [48, 96, 192],
    "depths": [1, 2, 2],
    "hidden_size": 192,
    "image_size": [IMAGE_SIZE, IMAGE_SIZE],
    "patch_size": [PATCH_SIZE, PATCH_SIZE],
}
# Of the checkpoint: the videos have 10 to 30 frames a second, and their actions last a few seconds.
FRAME_STRIDE, NUM_FRAMES = 8, 8
SCORER = {"hidden_size": 128, "head_dim": 32, "intermediate_size": 128, "classifier_hidden_size": 64}
TEXT = {
    "model_type": "llama",
    "hidden_size": 256,
    "intermediate_size": 768,
    "num_hidden_layers": 4,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "tie_word_embeddings": False,
}
VOCABULARY = 1024  # tokens
SYSTEM = "You see frames of a video. Answer the question about it."  # a few tokens; InternVL's Chinese one has many

MIN_CLIPS = 20  # a word of fewer clips is not learned
ABNORMAL_SHARE = 0.8  # a word of whose clips this share is abnormal is absent where no event is
STOP_WORDS = frozenset(
    "a an and are as at before by for from his her in into is it of off on one out the their then to "
    "while who with up down another that them this".split()
)
# Augmentation, each to both sides: size, aspect, shift (of half the side), light, colour and contrast.
SCALE, ASPECT, SHIFT, LIGHT, COLOUR, CONTRAST = 0.25, 0.07, 0.16, 0.3, 0.1, 0.2
MAX_WORD_WEIGHT = 4.0
SETTINGS = ("epochs", "batch_size", "learning_rate", "seed")  # a run goes on only with the same
POOLING = 4.0  # how close the pooling over patches is to the maximum


@dataclass(frozen=True)
class Frames:
    """Frames and what is known of the words that describe them.

    Args:
        pixels (`np.ndarray` of shape `(N, 3, S, S)`): uint8.
        clips (`np.ndarray` of shape `(N,)`): Which clip each frame belongs to; -1 for none.
        held_out (`np.ndarray` of shape `(N,)`): Whether the frame is of a video that is only measured with.
    """

    pixels: np.ndarray
    clips: np.ndarray
    held_out: np.ndarray


def words_of(caption: str) -> set[str]:
    """The content words of a caption, in lower case."""
    return {word for word in re.findall(r"[a-z]+", caption.lower()) if word not in STOP_WORDS}


def build_targets(videos: list[VideoAnnotation]) -> tuple[list[str], np.ndarray, np.ndarray]:
    """
    The words to learn, and which clip has which.

    Returns:
        `tuple[list[str], np.ndarray, np.ndarray]`: The words; `(clips, words)` uint8; and `(words,)`, whether a word
        is one of abnormal clips, which frames outside of events do not show.
    """
    clips = [(words_of(clip.caption), bool(v.labels)) for v in videos for event in v.events for clip in event.clips]
    counts, abnormal = Counter(), Counter()
    for words, is_abnormal in clips:
        counts.update(words)
        abnormal.update(words if is_abnormal else ())
    vocabulary = sorted(word for word, count in counts.items() if count >= MIN_CLIPS)
    position = {word: i for i, word in enumerate(vocabulary)}
    targets = np.zeros((len(clips), len(vocabulary)), np.uint8)
    for row, (words, _) in zip(targets, clips):
        row[[position[word] for word in words if word in position]] = 1
    return vocabulary, targets, np.array([abnormal[word] >= ABNORMAL_SHARE * counts[word] for word in vocabulary])


def read_frames(
    videos: list[VideoAnnotation], folder: VideoFolder, clip_stride: int, other_stride: int, held_out_every: int = 10
) -> Frames:
    """Read every few frames of each video, with the clip each belongs to; every tenth video is held out."""
    if len(videos) < 2:
        raise ValueError(
            f"One video to learn from and one to measure with are needed, got {len(videos)} train videos."
        )
    pixels, clips, held_out, number = [], [], [], 0
    held_out_every = min(held_out_every, len(videos))
    for place, entry in enumerate(Progress(videos, "reading", unit="video")):
        found = folder.find(entry)
        spans = [clip for event in entry.events for clip in event.clips]
        if found is None:
            raise ValueError(f"{entry.whole_path} is not under {folder.root}: every annotated video is needed.")
        with open_video(found.path) as reader:
            of_frame = np.full(reader.num_frames, -1)
            for i, span in enumerate(spans):
                try:
                    check_segment((span.start_s, span.end_s), reader.duration_s, reader.fps)
                    first, count = segment_frame_range(
                        reader.timestamps_s, span.start_s, span.end_s, reader.duration_s
                    )
                except ValueError as error:
                    raise ValueError(f"{found.path}: {error}") from None
                of_frame[first : first + count] = number + i
            index = np.arange(reader.num_frames)
            kept = index[np.where(of_frame >= 0, index % clip_stride == 0, index % other_stride == 0)]
            pixels.append(resize_frames(reader.read(kept.tolist()), IMAGE_SIZE).contiguous().numpy())
        clips.append(of_frame[kept])
        held_out.append(np.full(len(kept), place % held_out_every == held_out_every - 1))
        number += len(spans)
    return Frames(np.concatenate(pixels), np.concatenate(clips), np.concatenate(held_out))


def augment(pixels: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Mirror, scale, move, light and tint frames `(B, 3, S, S)`, floats in [0, 1], each its own way."""
    count = len(pixels)

    def around(middle: float, spread: float, *shape: int) -> torch.Tensor:
        return middle + spread * (2 * torch.rand(count, *shape, generator=generator) - 1)

    mirrored = torch.where(torch.rand(count, generator=generator) < 0.5, -1.0, 1.0)
    scale = around(1.0, SCALE)
    affine = torch.zeros(count, 2, 3)
    affine[:, 0, 0], affine[:, 1, 1] = scale * mirrored, scale * around(1.0, ASPECT)
    affine[:, :, 2] = around(0.0, SHIFT, 2)
    grid = F.affine_grid(affine, list(pixels.shape), align_corners=False)
    moved = F.grid_sample(pixels, grid, padding_mode="reflection", align_corners=False)
    mean = moved.mean((1, 2, 3), keepdim=True)
    contrasted = (moved - mean) * around(1.0, CONTRAST, 1, 1, 1) + mean
    return (contrasted * around(1.0, LIGHT, 1, 1, 1) * around(1.0, COLOUR, 3, 1, 1)).clamp(0, 1)


def build_model(corpus: str) -> tuple[HolmesVAUForConditionalGeneration, object]:
    """The small model, all of it random, and its tokenizer, which is made from `corpus`."""
    tokenizer = build_small_tokenizer(corpus, VOCABULARY)
    config = HolmesVAUConfig(
        vision_config=VISION,
        text_config={
            **TEXT,
            "vocab_size": len(tokenizer),
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.convert_tokens_to_ids("<|im_end|>"),
        },
        scorer_config=SCORER,
        image_token_id=tokenizer.convert_tokens_to_ids("<IMG_CONTEXT>"),
        image_seq_length=(IMAGE_SIZE // PATCH_SIZE) ** 2 // 4,
        tie_word_embeddings=TEXT["tie_word_embeddings"],
        warning=UNTRAINED_BUT_VISION_WARNING,
    )
    model = HolmesVAUForConditionalGeneration(config)
    model.generation_config = generation_config_for(tokenizer)
    return model, tokenizer


def read_corpus(videos: list[VideoAnnotation]) -> str:
    """Questions and answers about the videos, each with the words around them in a prompt."""
    frames = [f"Frame{i + 1}: " for i in range(NUM_FRAMES)]
    rows = build_instructions(videos)
    return "\n".join(
        text for row in rows for text in ("system", SYSTEM, "user", *frames, row.question, "assistant", row.answer)
    )


class WordModel(nn.Module):
    """The vision tower, a linear layer from its class token to words, and one from each of its patch tokens: a word is
    there if some patch shows it, which teaches the patches what the class token then gathers."""

    def __init__(self, tower: nn.Module, width: int, num_words: int):
        super().__init__()
        self.tower, self.bf16 = tower.to(memory_format=torch.channels_last), cpu_has_bfloat16()
        self.head, self.patch_head = nn.Linear(width, num_words), nn.Linear(width, num_words)
        for head in (self.head, self.patch_head):
            nn.init.constant_(head.bias, -2.0)  # most words are absent
        self.register_buffer("mean", torch.tensor(IMAGE_MEAN)[:, None, None])
        self.register_buffer("std", torch.tensor(IMAGE_STD)[:, None, None])

    def train(self, mode: bool = True) -> "WordModel":
        """The tower's batch statistics are learned here and nowhere else."""
        super().train(mode)
        for part in (self.tower.embedder, self.tower.encoder):
            part.train(mode)
        return self

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Frames `(B, 3, S, S)` in [0, 1] -> logits `(B, words)` of the class token, and of the patches together."""
        normalized = ((pixels - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
            tokens = self.tower(pixel_values=normalized).last_hidden_state
            of_patches = self.patch_head(tokens[:, 1:]).float()
        highest = torch.logsumexp(POOLING * of_patches, dim=1) - math.log(of_patches.shape[1])
        return self.head(tokens[:, 0].float()), highest / POOLING


def average_precision(scores: np.ndarray, labels: np.ndarray) -> float:
    """Mean over words of the average precision over frames `(N, words)`, of the words that some frame has."""
    order = np.argsort(-scores, axis=0)
    hits = np.take_along_axis(labels, order, axis=0).astype(np.float64)
    precision = hits.cumsum(0) / np.arange(1, len(hits) + 1)[:, None]
    present = hits.sum(0) > 0
    return float(((precision * hits).sum(0)[present] / hits.sum(0)[present]).mean())


def train(
    model: WordModel, frames: Frames, targets: np.ndarray, is_abnormal: np.ndarray, args: argparse.Namespace, log: Path
) -> None:
    """Train; after each epoch write a line with loss and held-out average precision, and the state to resume."""
    rows = np.flatnonzero(~frames.held_out)
    steps = len(rows) // args.batch_size
    if not steps:
        raise ValueError(f"There are {len(rows)} frames to train on, fewer than --batch-size {args.batch_size}.")
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.learning_rate, weight_decay=0.05)
    warmup = max(1, steps * args.epochs // 20)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: min(1, (step + 1) / warmup) * 0.5 * (1 + math.cos(math.pi * step / (steps * args.epochs))),
    )
    share = targets.mean(0)
    weight = torch.from_numpy(np.sqrt((1 - share) / share).clip(1, MAX_WORD_WEIGHT).astype(np.float32))
    state, lines = log.with_name("state.pt"), []
    settings = {name: vars(args)[name] for name in SETTINGS}
    settings |= {"words": targets.shape[1], "frames": len(rows), "bf16": model.bf16}
    if state.is_file():
        saved = load_state(state)
        compare_settings(saved["settings"], settings, f"{log.parent}: holds a run", "delete it to start anew")
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        schedule.load_state_dict(saved["schedule"])
        lines = saved["lines"]
    for epoch in range(len(lines), args.epochs):
        start = time.perf_counter()
        order = np.random.default_rng([args.seed, epoch]).permutation(rows)
        generator = torch.Generator().manual_seed(args.seed * 1000 + epoch)
        total = 0.0
        model.train()
        for step in Progress(range(steps), f"epoch {epoch + 1}/{args.epochs}", unit="step"):
            chosen = np.sort(order[step * args.batch_size : (step + 1) * args.batch_size])
            loss = word_loss(model, frames, chosen, targets, is_abnormal, weight, generator)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            total += loss.item()
        line = {"epoch": epoch + 1, "loss": total / steps, "held_out_ap": held_out_precision(model, frames, targets)}
        line["seconds"] = round(time.perf_counter() - start, 1)
        Progress.write(json.dumps(line))
        lines.append(line)
        saved = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "schedule": schedule.state_dict()}
        content = io.BytesIO()
        torch.save({**saved, "settings": settings, "lines": lines}, content)
        write_whole(state, content.getvalue())
    write_whole(log, "".join(json.dumps(line) + "\n" for line in lines))


def load_state(path: Path) -> dict:
    """What [`train`] kept of a run; one line if it is damaged."""
    try:
        return torch.load(path)
    except (RuntimeError, EOFError, OSError, ValueError, pickle.UnpicklingError) as error:
        raise ValueError(f"{path} is cut off or damaged: delete it to start anew.") from error


def word_loss(
    model: WordModel,
    frames: Frames,
    chosen: np.ndarray,
    targets: np.ndarray,
    is_abnormal: np.ndarray,
    weight: torch.Tensor,
    generator: torch.Generator,
) -> torch.Tensor:
    """Cross-entropy with the words of each frame's clip; of a frame without a clip only abnormal words are known."""
    clips = frames.clips[chosen]
    labels = torch.from_numpy(np.where(clips[:, None] >= 0, targets[clips], 0).astype(np.float32))
    known = torch.from_numpy(((clips[:, None] >= 0) | is_abnormal).astype(np.float32))
    pixels = augment(torch.from_numpy(frames.pixels[chosen]).float() / 255, generator)
    both = [
        F.binary_cross_entropy_with_logits(logits, labels, pos_weight=weight, reduction="none")
        for logits in model(pixels)
    ]
    return ((both[0] + both[1]) * known).sum() / known.sum()


@torch.no_grad()
def held_out_precision(model: WordModel, frames: Frames, targets: np.ndarray, batch_size: int = 256) -> float:
    """Mean average precision of the words on clips of held-out videos."""
    model.eval()
    rows = np.flatnonzero(frames.held_out & (frames.clips >= 0))
    scores = [
        model(torch.from_numpy(frames.pixels[rows[i : i + batch_size]]).float() / 255)[0].numpy()
        for i in range(0, len(rows), batch_size)
    ]
    return average_precision(np.concatenate(scores), targets[frames.clips[rows]])


def build_parser() -> Parser:
    """The parser of `python -m training.pretrain_vision`."""
    parser = Parser("pretrain_vision", description="Pretrain a small vision tower on caption words.")
    parser.add_argument("--annotations", required=True, metavar="DIR", help="folder of annotation files")
    parser.add_argument("--videos", required=True, metavar="DIR", help="folder of the videos")
    parser.add_argument("-o", "--output", required=True, metavar="DIR", help="checkpoint to write; new or empty")
    parser.add_argument("--epochs", type=int, default=8, help="passes over the frames (%(default)s)")
    parser.add_argument("--clip-stride", type=int, default=4, help="read every so many frames of a clip (%(default)s)")
    parser.add_argument("--other-stride", type=int, default=16, help="and of what no clip describes (%(default)s)")
    parser.add_argument("--batch-size", type=int, default=128, help="frames a step (%(default)s)")
    parser.add_argument("--learning-rate", type=float, default=1e-3, help="at its highest (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of weights, order and augmentation (%(default)s)")
    return parser


def main(argv: list[str] | None = None) -> None:
    """Pretrain and write the checkpoint."""
    args = build_parser().parse_args(argv)
    output = Path(args.output)
    check_new_folder(output)
    work = output.with_name(f"{output.name}.pretraining")
    with sole_run(work):
        pretrain(args, work, output)


def pretrain(args: argparse.Namespace, work: Path, output: Path) -> None:
    """Pretrain, keeping what a stopped run needs to go on in `work`, then write the checkpoint."""
    torch.manual_seed(args.seed)
    videos = [entry for entry in read_annotation_files(args.annotations).annotations if entry.split == "train"]
    model, tokenizer = build_model(read_corpus(videos))
    vocabulary, targets, is_abnormal = build_targets(videos)
    if not vocabulary:
        raise ValueError(f"No word is in {MIN_CLIPS} captions of {args.annotations}: there is nothing to learn.")
    print(f"{len(videos)} videos, {len(targets)} clips, {len(vocabulary)} words, {is_abnormal.sum()} of them abnormal")
    frames = read_frames(videos, VideoFolder(args.videos), args.clip_stride, args.other_stride)
    print(f"{len(frames.pixels)} frames, {int((frames.clips >= 0).sum())} of them in clips")
    words = WordModel(model.model.vision_tower, VISION["hidden_size"], len(vocabulary))
    train(words, frames, targets, is_abnormal, args, work / "log.jsonl")
    with whole_folder(output) as folder:
        model.eval().save_pretrained(folder)
        template = CHAT_TEMPLATE.replace(SYSTEM_MESSAGE, SYSTEM)
        processor = build_processor(tokenizer, model.config, template, NUM_FRAMES, FRAME_STRIDE)
        processor.save_pretrained(folder)
        source, config = "a vision tower pretrained on caption words", model.config
        write_model_card(folder, source, NUM_FRAMES, "from scratch", config.warning)
        (work / "log.jsonl").rename(folder / "pretraining.jsonl")
    shutil.rmtree(work, ignore_errors=True)
    print(f"wrote {output}")


if __name__ == "__main__":
    raise SystemExit(run_script(main))
