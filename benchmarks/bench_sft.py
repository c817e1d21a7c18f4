"""LoRA steps of HolmesVAU-2B's sizes with random weights: seconds, peak memory, tokens per second.

    python benchmarks/bench_sft.py [--frames 12 16] [--steps 6] [--small]

Three ways to get the frames into the language model, by the same trainer on the same batches:

    stored   outputs of the frozen vision tower are read (`--feature-cache`)
    frozen   the tower encodes the frames in every step, outside of the gradient graph (the default)
    graph    the tower encodes them inside of it, which is what PEFT with gradient checkpointing does by itself

It needs a GPU: per-device batch 4, bfloat16, gradient checkpointing. `--small` runs the same on a tiny configuration
on the CPU, which says nothing but that the script works.
"""

import argparse
import gc
import json
import resource
import sys
import tempfile
import time
from pathlib import Path

import torch
from datasets import Dataset
from transformers import TrainerCallback


sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from modeling_holmes_vau import HolmesVAUForConditionalGeneration  # noqa: E402
from modeling_holmes_vau.base.parser import Parser
from modeling_holmes_vau.checkpoint.build import build_processor, generation_config_for  # noqa: E402
from modeling_holmes_vau.checkpoint.known import config_2b  # noqa: E402
from modeling_holmes_vau.checkpoint.small import build_small_tokenizer, small_config  # noqa: E402
from training.sft_arguments import SFTTrainingArguments  # noqa: E402
from training.sft_model import freeze_tower, lora_config  # noqa: E402
from training.sft_trainer import SegmentTrainer  # noqa: E402


VARIANTS = ("stored", "frozen", "graph")
QUESTION_TOKENS, ANSWER_TOKENS = 60, 60  # about as many as HIVAU-70k's summaries have
WARM_UP = 2  # steps that are not timed


class Batches:
    """The same random batch over and over, of the sizes of real ones."""

    def __init__(self, config, num_frames: int, variant: str, dtype: torch.dtype):
        self.config, self.num_frames = config, num_frames
        size, patch = config.vision_config.image_size[0], config.vision_config.patch_size[0]
        self.shape, self.dtype = (3, size, size), torch.uint8
        if variant == "stored":
            self.shape, self.dtype = (1 + (size // patch) ** 2, config.vision_config.hidden_size), dtype

    def __call__(self, rows: list[dict]) -> dict:
        generator = torch.Generator().manual_seed(0)
        words = torch.randint(10, 200, (len(rows), QUESTION_TOKENS + ANSWER_TOKENS), generator=generator)
        frames = torch.full((len(rows), self.num_frames * self.config.image_seq_length), self.config.image_token_id)
        input_ids = torch.cat((frames, words), dim=1)
        labels = input_ids.masked_fill(torch.arange(input_ids.shape[1]) < input_ids.shape[1] - ANSWER_TOKENS, -100)
        pixels = torch.randint(0, 256, (len(rows) * self.num_frames, *self.shape), generator=generator)
        return {
            "input_ids": input_ids,
            "attention_mask": torch.ones_like(input_ids),
            "labels": labels,
            "pixel_values": pixels.to(self.dtype) if self.dtype == torch.uint8 else (pixels / 256).to(self.dtype),
            "problems": [""] * len(rows),
        }


class StepTimes(TrainerCallback):
    """Seconds of each step, the GPU waited for."""

    def __init__(self):
        self.seconds, self.start = [], 0.0

    def on_step_begin(self, args, state, control, **kwargs):
        self.start = time.perf_counter()

    def on_step_end(self, args, state, control, **kwargs):
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.seconds.append(time.perf_counter() - self.start)


def measure(variant: str, num_frames: int, args: argparse.Namespace) -> dict:
    """Train a few steps one way."""
    device, dtype = ("cpu", torch.float32) if args.small else ("cuda", torch.bfloat16)
    tokenizer = build_small_tokenizer()
    config = small_config(tokenizer, image_size=56, width=32) if args.small else config_2b()
    torch.manual_seed(0)
    with torch.device(device):
        model = HolmesVAUForConditionalGeneration(config)
    model = model.to(dtype)
    model.generation_config = generation_config_for(tokenizer)
    if variant != "graph":
        freeze_tower(model)
    times = StepTimes()
    with tempfile.TemporaryDirectory() as folder:
        training_args = SFTTrainingArguments(
            output_dir=folder, max_steps=WARM_UP + args.steps, per_device_train_batch_size=args.batch_size,
            bf16=not args.small, use_cpu=args.small, save_strategy="no", report_to="none", disable_tqdm=True,
            dataloader_num_workers=0, logging_strategy="no",
        )  # fmt: skip
        trainer = SegmentTrainer(
            model,
            training_args,
            data_collator=Batches(config, num_frames, variant, dtype),
            train_dataset=Dataset.from_dict({"row": list(range(args.batch_size * training_args.max_steps))}),
            processing_class=build_processor(tokenizer, config),
            peft_config=lora_config(),
            callbacks=[times],
        )
        if not args.small:
            torch.cuda.reset_peak_memory_stats()
        trainer.train()
    if args.small:
        peak_gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    else:
        peak_gib = torch.cuda.max_memory_allocated() / 2**30
    step_s = sorted(times.seconds[WARM_UP:])[args.steps // 2]
    tokens = args.batch_size * (num_frames * config.image_seq_length + QUESTION_TOKENS + ANSWER_TOKENS)
    return {
        "variant": variant,
        "num_frames": num_frames,
        "step_s": round(step_s, 4),
        "peak_gib": round(peak_gib, 2),
        "tokens_per_s": round(tokens / step_s),
    }


def main(argv: list[str] | None = None) -> list[dict]:
    """Measure and print; returns the figures."""
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, nargs="+", default=[12, 16], help="frames of a segment (%(default)s)")
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS), help="default: all")
    parser.add_argument("--batch-size", type=int, default=4, help="rows of a step (%(default)s)")
    parser.add_argument("--steps", type=int, default=6, help="timed steps; the median counts (%(default)s)")
    parser.add_argument("--small", action="store_true", help="a tiny configuration on the CPU, to test the script")
    parser.add_argument("--output", help="write the figures as JSON")
    args = parser.parse_args(argv)
    if not args.small and not torch.cuda.is_available():
        print("bench_sft needs a CUDA GPU, and there is none here; --small runs a tiny configuration on the CPU")
        return []
    results = []
    for num_frames in args.frames:
        for variant in args.variants:
            results.append(result := measure(variant, num_frames, args))
            print(
                f"{variant:8} N = {num_frames:2}   {result['step_s']:8.3f} s a step   peak {result['peak_gib']:6.2f} "
                f"GiB   {result['tokens_per_s']:8,} tokens/s",
                flush=True,
            )
            gc.collect()
            torch.cuda.empty_cache()
    if args.output:
        Path(args.output).write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    return results


if __name__ == "__main__":
    main()
