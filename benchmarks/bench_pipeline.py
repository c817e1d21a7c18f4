"""Our path against a plain one that works as the original release does, on one video and one tiny checkpoint.

    python benchmarks/bench_pipeline.py VIDEO [--json FILE] [--model DIR] [--num-frames N] [--repeats R]

The plain path: decord with one thread, `reader[i]` frame by frame, PIL bicubic resize, float32 normalisation per
frame, the dense tensor kept whole, a dense vision pass in batches of 16 for the scores and a second vision pass over
the chosen frames. Both paths run in processes of their own, by turns; times are the best of the repeats.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from modeling_holmes_vau import HolmesVAUForConditionalGeneration, HolmesVAUProcessor, sample_frames
from modeling_holmes_vau.base.parser import Parser
from modeling_holmes_vau.checkpoint.build import build_processor, generation_config_for
from modeling_holmes_vau.checkpoint.small import build_small_tokenizer, small_config
from modeling_holmes_vau.frame_rule_holmes_vau import dense_frame_indices, middle_frame_indices
from modeling_holmes_vau.modeling_holmes_vau import IMAGE_MEAN, IMAGE_STD
from modeling_holmes_vau.pipeline_holmes_vau import DEFAULT_PROMPT
from modeling_holmes_vau.session_holmes_vau import VideoSession
from modeling_holmes_vau.video_processing_holmes_vau import FrameStream
from modeling_holmes_vau.video_reader_holmes_vau import open_video


STRIDE = 16
BATCH_SIZE = 16


def tiny_checkpoint(folder: Path) -> Path:
    """A random checkpoint of the real frame size, 448 px and 256 tokens a frame."""
    tokenizer = build_small_tokenizer()
    torch.manual_seed(0)
    model = HolmesVAUForConditionalGeneration(small_config(tokenizer, image_size=448, scorer_config={}))
    model.generation_config = generation_config_for(tokenizer)
    model.save_pretrained(folder)
    build_processor(tokenizer, model.config).save_pretrained(folder)
    return folder


def count_vision_passes(model) -> list[int]:
    """Frames of every call of the vision tower from now on."""
    passes: list[int] = []
    model.model.vision_tower.register_forward_pre_hook(
        lambda module, args, kwargs: passes.append(len(kwargs["pixel_values"])), with_kwargs=True
    )
    return passes


def peak_rss_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def normalise(pixels: torch.Tensor) -> torch.Tensor:
    """uint8 `(..., 3, H, W)` -> float32, ImageNet statistics."""
    mean, std = torch.tensor(IMAGE_MEAN)[:, None, None], torch.tensor(IMAGE_STD)[:, None, None]
    return (pixels.float() / 255.0 - mean) / std


# ---- the plain path -----------------------------------------------------------------------------------------------


def plain_frames(video: str, indices: list[int], size: int) -> torch.Tensor:
    """Frames one by one, as the original decodes and prepares them: float32 `(n, 3, size, size)`."""
    import decord

    reader = decord.VideoReader(video, ctx=decord.cpu(0), num_threads=1)
    frames = []
    for index in indices:
        image = Image.fromarray(reader[index].asnumpy()).convert("RGB").resize((size, size), Image.Resampling.BICUBIC)
        frames.append(normalise(torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1)))
    del reader
    return torch.stack(frames)


def plain_indices(video: str, num_frames: int) -> tuple[list[int], bool]:
    """Frames the original reads, and whether it scores them (it does not for short videos)."""
    import decord

    number = len(decord.VideoReader(video, num_threads=1))
    if number <= STRIDE * num_frames:
        return middle_frame_indices(number, num_frames), False
    return dense_frame_indices(number, STRIDE), True


@torch.no_grad()
def plain_answer(model, processor, video: str, num_frames: int) -> dict:
    """From the file to the first token, the plain way."""
    start = time.perf_counter()
    indices, scored = plain_indices(video, num_frames)
    pixels = plain_frames(video, indices, processor.image_size)
    tower = model.model.vision_tower
    if scored:
        tokens = [tower(pixel_values=batch).last_hidden_state[:, 0] for batch in pixels.split(BATCH_SIZE)]
        chosen = sample_frames(model.anomaly_scorer(torch.cat(tokens)[None])[0], num_frames)
        pixels, indices = pixels[chosen], [indices[i] for i in chosen.tolist()]
    text = processor.user_prompt(DEFAULT_PROMPT, num_videos=1)
    inputs = processor(text=text, num_frames=num_frames, return_tensors="pt")
    model.generate(**inputs, pixel_values=pixels, max_new_tokens=1)
    return {"first_token_s": time.perf_counter() - start, "chosen": indices}


def plain_preprocess(video: str, num_frames: int, size: int) -> tuple[int, float]:
    import decord

    number = len(decord.VideoReader(video, num_threads=1))
    start = time.perf_counter()
    frames = plain_frames(video, dense_frame_indices(number, STRIDE), size)
    return len(frames), time.perf_counter() - start


# ---- our path -----------------------------------------------------------------------------------------------------


def our_answer(model, processor, video: str, num_frames: int) -> dict:
    """From the file to the first token, as `analyze_video` goes."""
    start = time.perf_counter()
    encoded = VideoSession(video, model, processor, num_frames, STRIDE).encoded()
    text = processor.user_prompt(DEFAULT_PROMPT, num_videos=1)
    inputs = processor(text=text, num_frames=num_frames, return_tensors="pt")
    model.generate(**inputs, encoded_videos=[encoded], max_new_tokens=1)
    return {"first_token_s": time.perf_counter() - start, "chosen": encoded.frame_indices.tolist()}


def our_preprocess(video: str, num_frames: int, size: int) -> tuple[int, float]:
    start = time.perf_counter()
    done = 0
    with open_video(video) as reader:
        for chunk in FrameStream(reader, dense_frame_indices(reader.num_frames, STRIDE), size, BATCH_SIZE):
            done += len(normalise(chunk.frames))  # the model does this; timed here so that both paths do the same work
    return done, time.perf_counter() - start


# ---- runs ---------------------------------------------------------------------------------------------------------


def run_path(path: str, video: str, model_dir: str, num_frames: int) -> dict:
    """One path, measured in this process."""
    answer, preprocess = (our_answer, our_preprocess) if path == "ours" else (plain_answer, plain_preprocess)
    model = HolmesVAUForConditionalGeneration.from_pretrained(model_dir).eval()
    processor = HolmesVAUProcessor.from_pretrained(model_dir)
    frames, preprocess_s = preprocess(video, num_frames, processor.image_size)
    passes = count_vision_passes(model)
    result = answer(model, processor, video, num_frames)
    result |= {"dense_frames": frames, "fps": frames / preprocess_s, "vision_passes": sum(passes)}
    return result | {"peak_rss_mb": peak_rss_mb()}


def run_in_process(path: str, args, model_dir: str) -> dict:
    """`run_path` in a process of its own, so that its peak memory is its own."""
    command = [sys.executable, __file__, args.video, "--model", model_dir, "--num-frames", str(args.num_frames)]
    done = subprocess.run([*command, "--path", path], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{path} path failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def best(runs: list[dict]) -> dict:
    """The fastest of several runs, with the largest memory."""
    return runs[0] | {
        "fps": max(run["fps"] for run in runs),
        "first_token_s": min(run["first_token_s"] for run in runs),
        "peak_rss_mb": max(run["peak_rss_mb"] for run in runs),
    }


def compare(ours: dict, plain: dict) -> dict:
    """The figures of a report, by their published names."""
    return {
        "decode_preprocess_fps": ours["fps"],
        "plain_decode_preprocess_fps": plain["fps"],
        "decode_preprocess_speedup": ours["fps"] / plain["fps"],
        "first_token_s": ours["first_token_s"],
        "plain_first_token_s": plain["first_token_s"],
        "first_token_speedup": plain["first_token_s"] / ours["first_token_s"],
        "vision_passes": ours["vision_passes"],
        "plain_vision_passes": plain["vision_passes"],
        "dense_frames": ours["dense_frames"],
        "peak_rss_mb": ours["peak_rss_mb"],
        "plain_peak_rss_mb": plain["peak_rss_mb"],
        "same_chosen_frames": ours["chosen"] == plain["chosen"],
    }


def main(argv: list[str] | None = None) -> None:
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("video", metavar="VIDEO")
    parser.add_argument("--json", metavar="FILE", help="write the figures here")
    parser.add_argument("--model", metavar="DIR", help="checkpoint; default: a tiny random one of 448 px")
    parser.add_argument("--num-frames", type=int, default=12)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--path", choices=("ours", "plain"), help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.path:
        print(json.dumps(run_path(args.path, args.video, args.model, args.num_frames)))
        return
    with tempfile.TemporaryDirectory() as folder:
        model_dir = args.model or str(tiny_checkpoint(Path(folder)))
        runs = [(run_in_process("ours", args, model_dir), run_in_process("plain", args, model_dir))
                for _ in range(args.repeats)]  # fmt: skip
    report = compare(best([ours for ours, _ in runs]), best([plain for _, plain in runs]))
    for name, value in report.items():
        print(f"{name:28} {value:.2f}" if isinstance(value, float) else f"{name:28} {value}")
    if args.json:
        Path(args.json).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
