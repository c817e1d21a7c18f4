"""The sizes of HolmesVAU-2B with random weights: convert the original layout, load it by the Auto classes, run it.

    python benchmarks/bench_2b.py [--folder DIR] [--keep]

Every step runs in a process of its own; its seconds and peak memory are printed. It needs 9 GB of disk. The
tokenizer of the test fixtures stands in for InternLM2's, whose vocabulary is larger.
"""

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from safetensors.torch import save_file

from modeling_holmes_vau.base.parser import Parser


ROOT = Path(__file__).resolve().parents[1]
TOKENIZER = ROOT / "tests" / "fixtures" / "reference" / "tokenizer"
# config.json of OpenGVLab/InternVL2-2B: InternViT-300M-448px and InternLM2-chat-1.8B.
VISION = {
    "model_type": "intern_vit_6b", "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24,
    "num_attention_heads": 16, "image_size": 448, "patch_size": 14, "num_channels": 3, "qkv_bias": True,
    "qk_normalization": False, "hidden_act": "gelu", "layer_norm_eps": 1e-6, "norm_type": "layer_norm",
}  # fmt: skip
LANGUAGE = {
    "model_type": "internlm2", "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 24,
    "num_attention_heads": 16, "num_key_value_heads": 8, "vocab_size": 92553, "max_position_embeddings": 32768,
    "rms_norm_eps": 1e-5, "rope_theta": 1000000, "rope_scaling": {"type": "dynamic", "factor": 2.0}, "bias": False,
    "tie_word_embeddings": False, "hidden_act": "silu", "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 2,
}  # fmt: skip


def vision_shapes() -> dict[str, tuple[int, ...]]:
    width, inner = VISION["hidden_size"], VISION["intermediate_size"]
    patches = (VISION["image_size"] // VISION["patch_size"]) ** 2
    shapes = {
        "vision_model.embeddings.class_embedding": (1, 1, width),
        "vision_model.embeddings.position_embedding": (1, patches + 1, width),
        "vision_model.embeddings.patch_embedding.weight": (width, 3, 14, 14),
        "vision_model.embeddings.patch_embedding.bias": (width,),
    }
    layer = {
        "ls1": (width,), "ls2": (width,), "attn.qkv.weight": (3 * width, width), "attn.qkv.bias": (3 * width,),
        "attn.proj.weight": (width, width), "attn.proj.bias": (width,), "mlp.fc1.weight": (inner, width),
        "mlp.fc1.bias": (inner,), "mlp.fc2.weight": (width, inner), "mlp.fc2.bias": (width,), "norm1.weight": (width,),
        "norm1.bias": (width,), "norm2.weight": (width,), "norm2.bias": (width,),
    }  # fmt: skip
    for i in range(VISION["num_hidden_layers"]):
        shapes |= {f"vision_model.encoder.layers.{i}.{name}": shape for name, shape in layer.items()}
    return shapes


def language_shapes() -> dict[str, tuple[int, ...]]:
    width, inner, vocab = LANGUAGE["hidden_size"], LANGUAGE["intermediate_size"], LANGUAGE["vocab_size"]
    rows = width + 2 * LANGUAGE["num_key_value_heads"] * (width // LANGUAGE["num_attention_heads"])
    layer = {
        "attention.wqkv.weight": (rows, width), "attention.wo.weight": (width, width),
        "feed_forward.w1.weight": (inner, width), "feed_forward.w3.weight": (inner, width),
        "feed_forward.w2.weight": (width, inner), "attention_norm.weight": (width,), "ffn_norm.weight": (width,),
    }  # fmt: skip
    shapes = {
        "language_model.model.tok_embeddings.weight": (vocab, width),
        "language_model.model.norm.weight": (width,),
        "language_model.output.weight": (vocab, width),
    }
    for i in range(LANGUAGE["num_hidden_layers"]):
        shapes |= {f"language_model.model.layers.{i}.{name}": shape for name, shape in layer.items()}
    projector = 4 * VISION["hidden_size"]
    return shapes | {
        "mlp1.0.weight": (projector,), "mlp1.0.bias": (projector,), "mlp1.1.weight": (width, projector),
        "mlp1.1.bias": (width,), "mlp1.3.weight": (width, width), "mlp1.3.bias": (width,),
    }  # fmt: skip


def write_original(folder: Path) -> None:
    """The original layout: two safetensors shards in bfloat16, tokenizer, configuration, scorer."""
    sys.path.insert(0, str(ROOT))
    from tests.original import scorer_state

    torch.manual_seed(0)
    folder.mkdir(parents=True)
    for number, shapes in enumerate((vision_shapes(), language_shapes()), start=1):
        state = {}
        for name, shape in shapes.items():
            scale = 0.02 if len(shape) > 1 else 1.0
            state[name] = (
                torch.empty(shape, dtype=torch.bfloat16).normal_(std=scale) if scale < 1 else torch.ones(shape)
            )
            state[name] = state[name].to(torch.bfloat16)
        save_file(state, folder / f"model-0000{number}-of-00002.safetensors")
        del state
    config = {
        "model_type": "internvl_chat",
        "llm_config": LANGUAGE,
        "vision_config": VISION,
        "downsample_ratio": 0.5,
        "select_layer": -1,
    }
    (folder / "config.json").write_text(json.dumps(config | {"ps_version": "v2"}), encoding="utf-8")
    for file in TOKENIZER.iterdir():
        if file.name != "encodings.json":
            shutil.copy(file, folder / file.name)
    torch.save(scorer_state(1024), folder / "anomaly_scorer.pth")


def convert_step(folder: Path) -> str:
    from modeling_holmes_vau.checkpoint.convert import convert

    original = folder / "original"
    output = convert(original, original / "anomaly_scorer.pth", folder / "converted")
    return f"{sum(f.stat().st_size for f in output.glob('*.safetensors')) / 1e9:.2f} GB of weights"


def run_step(folder: Path) -> str:
    from transformers import AutoModel, AutoProcessor

    from hivau70k_dataset import render_miniature

    render_miniature(folder / "video", "test", videos=1, size=448, progress=False)
    (video,) = (folder / "video").rglob("*.mp4")
    start = time.perf_counter()
    model = AutoModel.from_pretrained(folder / "converted", trust_remote_code=True, dtype="auto").eval()
    processor = AutoProcessor.from_pretrained(folder / "converted", trust_remote_code=True)
    loaded = time.perf_counter() - start
    analysis = model.analyze(video, processor, max_new_tokens=8)
    billions = sum(p.numel() for p in model.parameters()) / 1e9
    return (
        f"{billions:.2f} B weights, {model.dtype}; loaded in {loaded:.0f} s; {len(analysis['scores'])} frames scored; "
        + ", ".join(f"{name} {seconds:.0f} s" for name, seconds in analysis["seconds"].items())
    )


STEPS = {"write": lambda folder: write_original(folder / "original") or "", "convert": convert_step, "run": run_step}


def main(argv: list[str] | None = None) -> None:
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", help="an existing folder to work in, on a new folder inside it")
    parser.add_argument("--keep", action="store_true", help="keep what was written")
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.step:
        print(STEPS[args.step](Path(args.folder)))
        peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
        print(f"{peak_gb:.2f}")
        return
    folder = Path(tempfile.mkdtemp(prefix="holmes-vau-2b-", dir=args.folder))
    try:
        for step in STEPS:
            start = time.perf_counter()
            command = [sys.executable, __file__, "--folder", str(folder), "--step", step]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
            if done.returncode:
                raise SystemExit(f"step {step} failed")
            *_, said, peak_gb = done.stdout.rstrip("\n").split("\n")
            print(f"{step:8} {time.perf_counter() - start:6.0f} s   peak memory {peak_gb} GiB   {said}", flush=True)
    finally:
        if not args.keep:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
