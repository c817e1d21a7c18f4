"""Stage 2 from annotations to a checkpoint: what is learned, on which frames and tokens, and how a run goes on."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from argparse import Namespace
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from accelerate.commands.config.config_args import load_config_from_file
from peft import get_peft_model
from safetensors.torch import load_file
from torch.nn import functional as F
from transformers import InternVLConfig, InternVLForConditionalGeneration
from trl import SFTConfig

import train_sft
from benchmarks import bench_2b, bench_sft
from modeling_holmes_vau import HolmesVAUForConditionalGeneration, HolmesVAUProcessor
from modeling_holmes_vau.checkpoint.build import UNTRAINED_BUT_VISION_WARNING, UNTRAINED_SCORER_WARNING
from modeling_holmes_vau.checkpoint.convert import convert_config
from modeling_holmes_vau.checkpoint.known import config_2b
from tests.annotations import write_json
from tests.sft_data import write_data
from training.options import SFTArguments
from training.runs import JsonLinesLog, cpu_has_bfloat16, read_options
from training.sft_arguments import SFTTrainingArguments, check_arguments
from training.sft_batch import SFTCollator, TowerFeatures, is_text, normalize_pixels
from training.sft_data import Conversation, NamedSegment, read_texts
from training.sft_dry_run import Schedule
from training.sft_model import freeze_tower, load_model, lora_config
from training.sft_rows import build_rows, encode_segments, make_row, read_rows, store_features


ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def argv(data, checkpoint56, tmp_path_factory):
    """Arguments of a short run; scores and choices of frames are shared by all runs."""
    frames_dir = tmp_path_factory.mktemp("frames")

    def build(output: Path, **changes) -> list[str]:
        options = {
            "model": checkpoint56,
            "annotations": data / "annotations",
            "videos": data / "videos",
            "output_dir": output,
            "frames_dir": frames_dir,
            "num_frames": 2,
            "global_batch_size": 4,
            "gradient_checkpointing": False,
            "sample_steps": 0,
            "save_steps": 100,
            "dataloader_num_workers": 0,
            "use_cpu": True,
            "report_to": "none",
            "disable_tqdm": True,
            **changes,
        }
        words = [f"--{name}={value}" for name, value in options.items() if not isinstance(value, list)]
        for name, value in options.items():
            words += [f"--{name}", *value] if isinstance(value, list) else []
        return words

    return build


def losses(folder: Path) -> dict[int, float]:
    lines = map(json.loads, (folder / "log.jsonl").read_text().splitlines())
    return {line["step"]: line["loss"] for line in lines if "loss" in line}


def parse(words: list[str]):
    args, training_args = read_options((SFTArguments, SFTTrainingArguments), words)
    check_arguments(args, training_args)
    return args, training_args


# ---- loss -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained_parts(argv, tmp_path_factory):
    """Arguments, model, processor and rows, as `main` makes them."""
    args, training_args = parse(argv(tmp_path_factory.mktemp("parts"), lora_dropout=0.0))
    model, processor = load_model(args, training_args)
    rows = build_rows(args, model, processor)
    return args, training_args, model, processor, rows


@pytest.fixture(scope="module")
def trainer(trained_parts):
    args, training_args, model, processor, rows = trained_parts
    return train_sft.build_trainer(args, training_args, model, processor, rows)


def test_loss_and_gradients_are_cross_entropy_on_answers(trainer, trained_parts):
    rows = trained_parts[-1][:4]
    batch = trainer.data_collator(rows)
    model = trainer.model.train()
    trainer.compute_loss(model, {**batch}).backward()
    ours = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
    logits = model(**inputs, pixel_values=normalize_pixels(batch["pixel_values"])).logits[:, :-1]
    expected = F.cross_entropy(logits.flatten(0, 1), batch["labels"][:, 1:].flatten(), ignore_index=-100)
    assert float(trainer.compute_loss(model, {**batch})) == pytest.approx(float(expected), rel=1e-5)
    expected.backward()
    assert ours.keys() == {name for name, p in model.named_parameters() if p.requires_grad}
    assert all("lora_" in name and ".language_model." in name for name in ours)
    for name, p in model.named_parameters():
        if p.grad is not None:
            torch.testing.assert_close(p.grad, ours[name], atol=1e-6, rtol=1e-3)
    assert sum(float(grad.abs().sum()) for name, grad in ours.items() if "lora_B" in name) > 0
    model.zero_grad()


def test_stored_features_give_the_same_loss(trainer, trained_parts, tmp_path):
    _, _, model, processor, rows = trained_parts
    features = TowerFeatures(tmp_path, model.model.vision_tower, processor)
    assert encode_segments(features, model.model.vision_tower, rows[:3]) == {}
    stored = SFTCollator(processor, 2, features)(rows[:3])
    assert stored["pixel_values"].shape == (6, 17, 64) and stored["pixel_values"].dtype == torch.float16
    with torch.no_grad():
        loss = float(trainer.compute_loss(trainer.model, {**stored}))
        assert loss == pytest.approx(
            float(trainer.compute_loss(trainer.model, trainer.data_collator(rows[:3]))), rel=1e-3
        )
    next(features.folder.rglob("*.safetensors")).write_bytes(b"no")
    with pytest.raises(ValueError, match="damaged or gone"):
        SFTCollator(processor, 2, features)(rows[:3])


def test_a_video_that_breaks_has_no_weight_and_is_counted(trainer, trained_parts, tmp_path, caplog):
    rows = trained_parts[-1][:3]
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    broken = [rows[0], {**rows[1], "path": str(tmp_path / "broken.mp4")}, rows[2]]
    batch = trainer.data_collator(broken)
    assert (batch["labels"][1] == -100).all() and (batch["labels"][0] != -100).any()
    before = trainer.skipped
    with torch.no_grad():
        loss = float(trainer.compute_loss(trainer.model, {**batch}))
        rest = float(trainer.compute_loss(trainer.model, trainer.data_collator([rows[0], rows[2]])))
        assert loss == pytest.approx(rest, rel=1e-5)
        assert float(trainer.compute_loss(trainer.model, trainer.data_collator([broken[1]]))) == 0.0
    assert trainer.skipped == before + 2 and f"skipped: {rows[1]['video']}: {tmp_path}/broken.mp4" in caplog.text


def test_what_cannot_be_read_before_the_training_is_left_out(trained_parts, data, tmp_path, caplog):
    args, _, model, processor, rows = trained_parts
    for path in (data / "videos").iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "Arson0_x264.mp4").write_bytes(b"no video")
    (tmp_path / "Normal_Videos_0_x264.mp4").unlink()
    found = build_rows(replace(args, videos=str(tmp_path)), model, processor)
    assert len(found) == len(rows) // 2 == 12
    assert f"left out: ucf-crime/videos/train/Arson0_x264.mp4: {tmp_path}/Arson0_x264.mp4: " in caplog.text
    assert "left out: ucf-crime/videos/train/Normal_Videos_0_x264.mp4: no such video under" in caplog.text
    assert "6 segments are left out; 12 conversations remain" in caplog.text
    # It opened, but its frames are gone when they are to be stored.
    broken = [rows[0], {**rows[1], "key": "other", "path": str(tmp_path / "Arson0_x264.mp4")}]
    stored = store_features(replace(args, feature_cache=str(tmp_path / "f")), model, processor, broken)
    assert stored[1] == rows[:1] and "1 conversations are left out" in caplog.text


def test_random_frames_differ_from_epoch_to_epoch_and_not_otherwise(processor56, trained_parts):
    row = trained_parts[-1][0]
    collators = [SFTCollator(processor56, 2, random_policy=True, seed=1) for _ in range(2)]
    collators[1].epoch = 1
    first, second = (collator.visual(row) for collator in collators)
    assert torch.equal(first, collators[0].visual(row)) and not torch.equal(first, second)


def test_the_schedule_is_that_of_the_trainer(trainer, trained_parts):
    training_args, rows = trained_parts[1], trained_parts[-1]
    planned = Schedule.of(training_args, len(rows))
    assert planned.steps == trainer.set_initial_training_values(training_args, trainer.get_train_dataloader())[-1]
    trainer.create_optimizer_and_scheduler(planned.steps)
    for step in range(1, planned.steps + 1):
        if step in planned.rates:
            assert trainer.lr_scheduler.get_last_lr()[0] == pytest.approx(planned.rates[step])
        trainer.optimizer.step()
        trainer.lr_scheduler.step()


@pytest.mark.parametrize("is_frozen", [False, True])
def test_the_tower_stays_out_of_the_gradient_graph(checkpoint56, is_frozen):
    model = HolmesVAUForConditionalGeneration.from_pretrained(checkpoint56)
    if is_frozen:
        freeze_tower(model)
    tuned = get_peft_model(model, lora_config(4))
    tuned.gradient_checkpointing_enable()
    tuned.enable_input_require_grads()
    options = {"vision_feature_layer": -1, "vision_feature_select_strategy": "default"}
    features = model.train().get_image_features(torch.randn(2, 3, 56, 56), **options).pooler_output
    assert features.requires_grad != is_frozen


# ---- runs -----------------------------------------------------------------------------------------------------------


ONE_BATCH = {"levels": ["video"], "tasks": ["judgement", "description"], "weight_decay": 0.0}
ONE_BATCH |= {"per_device_train_batch_size": 8, "global_batch_size": 8, "lora_dropout": 0.0}


@pytest.mark.parametrize("embeddings", [[], ["embed_tokens", "lm_head"]])
def test_lora_learns_a_batch_by_heart_and_moves_nothing_else(argv, checkpoint56, tmp_path, embeddings):
    out, steps = tmp_path / "out", 30
    options = {"feature_cache": tmp_path / "features", "sample_steps": steps, "num_samples": 1, **ONE_BATCH}
    options["train_embeddings"] = bool(embeddings)
    metrics = train_sft.main(argv(out, max_steps=steps, learning_rate=1e-2, **options))
    assert metrics["rows"] == 8 and metrics["skipped"] == 0
    assert losses(out)[1] > 5 and losses(out)[steps] < 0.1
    adapter = load_file(out / "adapter" / "adapter_model.safetensors")
    layers = 3
    assert len(adapter) == 2 * 7 * layers + len(embeddings) and all(
        weight.abs().max() > 0 for weight in adapter.values()
    )
    samples = [json.loads(line) for line in (out / "samples.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [sample["step"] for sample in samples] == [steps]
    assert all(sample["answer"] == sample["reference"] for sample in samples)
    # The base in the merged checkpoint is what it was, but for the seven projections.
    from modeling_holmes_vau.checkpoint.merge import merge

    assert json.loads((out / "adapter" / "training.json").read_text())["synthetic"] is False
    merged = load_file(merge(out / "adapter", tmp_path / "merged") / "model.safetensors")
    base = load_file(checkpoint56 / "model.safetensors")
    moved = {name for name in base if not torch.equal(base[name], merged[name])}
    projections = {name for name in base if "language_model" in name and "_proj" in name}
    assert moved == projections | {name for name in base if any(part in name for part in embeddings)}
    assert len(moved) == 7 * layers + len(embeddings)


def test_embeddings_learn_in_full_precision_beside_a_base_in_bfloat16(argv, tmp_path, caplog):
    out, steps = tmp_path / "out", 3
    options = {"bf16": True, "train_embeddings": True, "sample_steps": steps, "num_samples": 1, "sample_tokens": 4}
    train_sft.main(argv(out, max_steps=steps, learning_rate=1e-2, **ONE_BATCH, **options))
    assert losses(out)[steps] < losses(out)[1] - 1
    adapter = load_file(out / "adapter" / "adapter_model.safetensors")
    assert {weight.dtype for weight in adapter.values()} == {torch.float32}
    assert sum(1 for name in adapter if "embed_tokens" in name or "lm_head" in name) == 2
    assert len((out / "samples.jsonl").read_text(encoding="utf-8").splitlines()) == 1
    assert cpu_has_bfloat16() != ("pass --bf16 false" in caplog.text)


def test_full_training_learns_a_batch_by_heart_and_leaves_tower_and_scorer(argv, model56, checkpoint56, tmp_path):
    base = tmp_path / "base"
    for path in checkpoint56.iterdir():
        if path.is_file():
            (base / path.name).parent.mkdir(exist_ok=True)
            (base / path.name).write_bytes(path.read_bytes())
    config = json.loads((base / "config.json").read_text())
    write_json(base / "config.json", {**config, "warning": UNTRAINED_BUT_VISION_WARNING})
    out = tmp_path / "out"
    options = {"feature_cache": tmp_path / "features", "model": base, "full": True, **ONE_BATCH}
    train_sft.main(argv(out, max_steps=25, learning_rate=2e-3, **options))
    assert losses(out)[25] < 0.1
    trained = HolmesVAUForConditionalGeneration.from_pretrained(out / "checkpoint")
    before, after = model56.state_dict(), trained.state_dict()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    parts = ("model.language_model.", "model.multi_modal_projector.", "lm_head.")
    assert moved == {name for name in before if name.startswith(parts)}
    assert trained.config.warning == UNTRAINED_SCORER_WARNING
    assert HolmesVAUProcessor.from_pretrained(out / "checkpoint").num_frames == 2
    assert f"**Warning**: {UNTRAINED_SCORER_WARNING}." in (out / "checkpoint" / "README.md").read_text()
    assert trained.generation_config.eos_token_id == model56.generation_config.eos_token_id
    assert trained.config.text_config.eos_token_id == model56.config.text_config.eos_token_id
    assert (out / "checkpoint" / "modeling_holmes_vau.py").is_file()


def test_texts_are_read_without_frames(argv, data, tmp_path, processor56):
    texts = read_texts(data / "annotations", ["event"], ["judgement", "analysis"])
    assert len(texts) == len(set(texts)) > 1
    with pytest.raises(ValueError, match="of the levels event and the tasks caption"):
        read_texts(data / "annotations", ["event"], ["caption"])
    options = {"max_steps": 1, "levels": ["video"], "tasks": ["judgement", "analysis"], "texts": ["event"]}
    options |= {"full": True, "feature_cache": tmp_path / "tower", "sample_steps": 1, "num_samples": 9}
    # Of rendered videos: what is saved asks all rows whether they are, and texts are of none.
    annotations = tmp_path / "annotations"
    annotations.mkdir()
    shutil.copy(
        data / "annotations" / "raw_annotations" / "ucf_database_train.json", annotations / "miniature_train.json"
    )
    train_sft.main(argv(tmp_path / "run", annotations=annotations, **options))
    assert (tmp_path / "run" / "checkpoint" / "config.json").is_file()
    rows = read_rows(tmp_path / "run" / "rows.jsonl")
    read = [row for row in rows if is_text(row)]
    assert [row["turns"][0]["answer"] for row in read] == texts and rows[-len(read) :] == read
    assert [row["row"] for row in rows] == list(range(len(rows))) and len(rows) > len(read)
    told = [json.loads(line) for line in (tmp_path / "run" / "samples.jsonl").read_text().splitlines()]
    assert len(told) == len(rows) - len(read)
    batch = SFTCollator(processor56, 2)(read[:1])
    assert "pixel_values" not in batch and torch.equal(batch["input_ids"], batch["labels"])
    assert processor56.decode(batch["input_ids"][0], skip_special_tokens=True).strip() == texts[0]


def test_a_killed_run_goes_on_to_the_same_end(argv, tmp_path, monkeypatch):
    options = {
        "max_steps": 5,
        "save_steps": 3,
        "levels": ["event", "video"],
        "conversations": True,
        "texts": ["event"],
    }
    options |= {"learning_rate": 1e-2, "per_device_train_batch_size": 2, "global_batch_size": 2}
    train_sft.main(argv(tmp_path / "whole", **options))

    class Killed(Exception):
        pass

    def die(self, args, state, control, logs=None, **kwargs):
        original(self, args, state, control, logs, **kwargs)
        if state.global_step == 4:
            raise Killed

    original = JsonLinesLog.on_log
    monkeypatch.setattr(JsonLinesLog, "on_log", die)
    with pytest.raises(Killed):
        train_sft.main(argv(tmp_path / "killed", **options))
    monkeypatch.undo()
    train_sft.main(argv(tmp_path / "killed", **options))
    assert losses(tmp_path / "killed") == losses(tmp_path / "whole") and len(losses(tmp_path / "whole")) == 5
    whole, killed = (load_file(tmp_path / name / "adapter/adapter_model.safetensors") for name in ("whole", "killed"))
    assert all(torch.equal(whole[name], killed[name]) for name in whole)
    with pytest.raises(ValueError, match="made with lora_r 64, now asked for with lora_r 8"):
        train_sft.main(argv(tmp_path / "killed", **{**options, "lora_r": 8}))


def test_a_video_lost_between_two_runs_costs_its_rows_and_not_the_run(argv, data, tmp_path, monkeypatch, caplog):
    videos = shutil.copytree(data / "videos", tmp_path / "videos")
    options = {"max_steps": 5, "save_steps": 2, "levels": ["event", "video"], "videos": videos}
    options |= {"frames_dir": tmp_path / "frames", "per_device_train_batch_size": 2, "global_batch_size": 2}

    def die(self, args, state, control, logs=None, **kwargs):
        original(self, args, state, control, logs, **kwargs)
        if state.global_step == 3:
            raise KeyboardInterrupt

    original = JsonLinesLog.on_log
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(JsonLinesLog, "on_log", die)
        train_sft.main(argv(tmp_path / "run", **options))
    moved = shutil.copytree(tmp_path / "run", tmp_path / "moved")
    (videos / "Arson0_x264.mp4").rename(tmp_path / "hidden.mp4")
    metrics = train_sft.main(argv(tmp_path / "run", **options))
    assert "skipped from here on: ucf-crime/videos/train/Arson0_x264.mp4: no such video under" in caplog.text
    assert "2 segments of this run can't be read now: put their videos back" in caplog.text
    assert metrics["rows"] == 20 and metrics["skipped"] > 0 and [*losses(tmp_path / "run")] == [1, 2, 3, 4, 5]
    # Back again, though in another place: all of it is trained on.
    shutil.move(tmp_path / "hidden.mp4", videos / "Arson0_x264.mp4")
    caplog.clear()
    elsewhere = shutil.move(videos, tmp_path / "elsewhere")
    metrics = train_sft.main(argv(moved, **{**options, "videos": elsewhere}))
    assert metrics["rows"] == 20 and metrics["skipped"] == 0 and "skipped" not in caplog.text
    (moved / "rows.jsonl").unlink()
    with pytest.raises(ValueError, match="rows.jsonl is missing or damaged: nothing tells the rows of this run"):
        train_sft.main(argv(moved, **{**options, "videos": elsewhere}))


def test_two_processes_make_the_steps_of_one(argv, tmp_path):
    options = {"max_steps": 3, "learning_rate": 1e-2, "lora_dropout": 0.0, "dataloader_num_workers": 1}
    train_sft.main(argv(tmp_path / "one", **{**options, "dataloader_num_workers": 0}))
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--config_file"]
    launch += [str(ROOT / "configs/accelerate/two_processes_cpu.yaml"), str(ROOT / "train_sft.py")]
    two = argv(tmp_path / "two", **options, per_device_train_batch_size=1)
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*launch, *two], capture_output=True, text=True, env=env, cwd=tmp_path, timeout=1200)
    assert done.returncode == 0, done.stderr[-2000:]
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), rel=1e-3)


def test_a_native_base_trains_with_uniform_frames(argv, model56, processor56, tmp_path):
    config = model56.config.to_dict()
    kept = {k: config[k] for k in ("vision_config", "text_config", "image_token_id", "image_seq_length")}
    native = InternVLForConditionalGeneration(InternVLConfig(**kept, tie_word_embeddings=False))
    native.save_pretrained(tmp_path / "native")
    processor56.tokenizer.save_pretrained(tmp_path / "native")
    write_json(tmp_path / "native" / "processor_config.json", {"processor_class": "InternVLProcessor"})
    options = {"model": tmp_path / "native", "max_steps": 2, "levels": ["clip"]}
    with pytest.raises(ValueError, match="--sampler ats needs an anomaly scorer"):
        train_sft.main(argv(tmp_path / "out", **options))
    metrics = train_sft.main(argv(tmp_path / "out", **options, sampler="uniform", full=True))
    assert metrics["rows"] == 4
    trained = InternVLForConditionalGeneration.from_pretrained(tmp_path / "out" / "checkpoint")
    assert not torch.equal(trained.lm_head.weight, native.lm_head.weight)
    # It stays a native checkpoint: with the processor of its base, and no code.
    written = (tmp_path / "out" / "checkpoint" / "processor_config.json").read_text()
    assert json.loads(written) == {"processor_class": "InternVLProcessor"}
    train_sft.main(argv(tmp_path / "lora", **options, sampler="uniform"))
    adapter = tmp_path / "lora" / "adapter"
    assert (adapter / "tokenizer.json").is_file() and not (adapter / "processor_config.json").exists()
    assert not [*(tmp_path / "out" / "checkpoint").glob("*.py"), *adapter.glob("*.py")]
    lines = re.search(r"```python\n(.*?)```", (adapter / "README.md").read_text(), re.DOTALL)[1]
    lines = lines.replace("path/to/this/folder", str(adapter))
    names = {}
    exec(lines.rpartition("processor =")[0], names)  # its own processor needs torchvision
    assert type(names["model"].base_model.model) is InternVLForConditionalGeneration


class Watched:
    """A collator, with the pictures it gave of each video, a tensor each time."""

    epoch = 0

    def __init__(self, collator: SFTCollator):
        self.collator, self.seen = collator, defaultdict(list)

    def __call__(self, rows: list[dict]) -> dict:
        self.collator.epoch = self.epoch
        batch = self.collator(rows)
        for row, pixels in zip(rows, batch["pixel_values"].split(self.collator.num_frames), strict=True):
            self.seen[row["path"]].append(pixels)
        return batch


def test_random_frames_are_others_in_each_epoch(argv, tmp_path):
    def pictures(output: Path, **changes) -> list[list[torch.Tensor]]:
        options = {"levels": ["video"], "tasks": ["judgement"], "num_train_epochs": 2, "learning_rate": 1e-3}
        args, training_args = parse(argv(output, save_strategy="no", **options, **changes))
        model, processor = load_model(args, training_args)
        rows = build_rows(args, model, processor)
        trainer = train_sft.build_trainer(args, training_args, model, processor, rows)
        trainer.data_collator = Watched(trainer.data_collator)
        trainer.train()
        return list(trainer.data_collator.seen.values())

    for policy, least, most in (("original", 3, 4), ("sampler", 0, 0)):  # those of the sampler are the same in each
        of_video = pictures(tmp_path / policy, frame_policy=policy)
        assert [len(epochs) for epochs in of_video] == [2] * 4
        assert least <= sum(not torch.equal(first, second) for first, second in of_video) <= most


# ---- the plan, and mistakes -----------------------------------------------------------------------------------------


def test_half_precision_is_one_or_the_other(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)
    given = {"output_dir": tmp_path, "report_to": "none"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SFTConfig, "__post_init__", lambda self: None)
        assert [SFTTrainingArguments(**given, **half).bf16 for half in ({}, {"fp16": True})] == [True, False]


def test_dry_run_of_a_folder(checkpoint56, tmp_path, capsys):
    (tmp_path / "config.json").write_text((checkpoint56 / "config.json").read_text())
    train_sft.main(["--dry-run=true", f"--model={tmp_path}", "--full=true", "--num-rows=9", "--use-cpu=true"])
    text = capsys.readouterr().out
    state = load_file(checkpoint56 / "model.safetensors")
    frozen = ("model.vision_tower.", "anomaly_scorer.")
    learned = sum(weight.numel() for name, weight in state.items() if not name.startswith(frozen))
    assert f"trainable parameters: {learned:,}" in text and "adapted" not in text
    assert "optimisation steps: 1, of which warm-up: 1" in text


def test_dry_run_counts_the_rows_that_are_there(argv, trained_parts, tmp_path, capsys):
    rows = len(trained_parts[-1])
    train_sft.main(argv(tmp_path, dry_run=True))
    assert f"rows: {rows:,}; " in capsys.readouterr().out and rows > 9
    words = ["--model=2b", "--dry-run", "--use-cpu"]
    for given, said in (
        (["--annotations=a"], "pass both, or neither"),
        (["--annotations=a", "--videos=v", "--num-rows=9"], "--num-rows is for a dry run without --annotations"),
        (["--num-rows=0"], "--num-rows is for a dry run"),
    ):
        with pytest.raises(ValueError, match=said):
            train_sft.main([*words, *given])


@pytest.mark.skipif(torch.cuda.is_available() or torch.backends.mps.is_available(), reason="there is an accelerator")
def test_without_an_accelerator_the_cpu_computes_in_bfloat16_too(tmp_path):
    training_args = SFTTrainingArguments(output_dir=str(tmp_path), bf16=True)  # Trainer's own refuse it
    assert training_args.use_cpu and training_args.bf16 and training_args.device.type == "cpu"


def test_dry_run_of_the_2b_configuration(capsys):
    train_sft.main(["--dry-run=true", "--model=2b", "--num-rows=70000", "--use-cpu=true"])
    text = capsys.readouterr().out
    # r 64 on q, o (2048 -> 2048), k, v (2048 -> 1024), gate, up (2048 -> 8192), down (8192 -> 2048), 24 layers.
    expected = 24 * 64 * (2 * (2048 + 2048) + 2 * (2048 + 1024) + 3 * (2048 + 8192))
    assert expected == 69_206_016 and f"trainable parameters: {expected:,}" in text
    assert "adapted modules: 168 (q_proj 24, k_proj 24, v_proj 24, o_proj 24, gate_proj 24, up_proj 24, down" in text
    assert "global batch 512 = 4 rows x 128 batches x 1 process(es)" in text
    assert "optimisation steps: 137, of which warm-up: 5" in text and "step 6: 4e-05" in text
    original = {"llm_config": bench_2b.LANGUAGE, "vision_config": bench_2b.VISION, "downsample_ratio": 0.5}
    assert config_2b().to_dict() == convert_config(original, config_2b().image_token_id).to_dict()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"global_batch_size": 6}, "no multiple of 4"),
        ({"texts": ["scene"]}, "--texts has 'scene', expected some of clip, event, video"),
        ({"general_spans": 3}, "--general-spans is for --general, and 1 or more"),
        ({"general": ["clip"], "general_spans": 0}, "--general-spans is for --general, and 1 or more"),
        ({"general": ["clip"], "general_spans": ["3", "4"]}, "2 numbers for 1 levels of --general: pass one for all"),
        ({"levels": ["scene"]}, "--levels has 'scene', expected some of clip, event, video"),
        ({"sampler": "unifrom"}, "must be one of .*, got 'unifrom'. Did you mean uniform"),
        ({"train_vision": True}, "is for --full true"),
        ({"full": True, "load_in_4bit": True}, "it is for LoRA"),
        ({"full": True, "train_embeddings": True}, "trains them anyway"),
        ({"feature_cache": "x", "frame_policy": "original"}, "needs a frozen vision tower"),
        ({"gradient_accumulation_steps": 2}, "follows from --global-batch-size"),
        ({"model": "/nowhere"}, "--model /nowhere: no such folder"),
    ],
)
def test_mistakes_are_told(argv, tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        train_sft.main(argv(tmp_path / "out", **changes))


def test_four_bits_need_bitsandbytes(argv, tmp_path, monkeypatch):
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "bitsandbytes" else find(name))
    with pytest.raises(ImportError, match="pip install bitsandbytes"):
        train_sft.main(argv(tmp_path / "out", load_in_4bit=True))


@pytest.mark.parametrize("name", ["fsdp", "zero2", "two_processes_cpu"])
def test_accelerate_reads_the_configurations(name):
    config = load_config_from_file(str(ROOT / "configs" / "accelerate" / f"{name}.yaml"))
    assert config.num_processes > 1


def test_the_configuration_file_is_the_defaults(tmp_path):
    words = ["--model=2b", "--dry-run=true", "--use-cpu=true"]
    args, training_args = parse(["--config", str(ROOT / "configs" / "sft.yaml"), *words])
    plain, plain_training = parse(words)
    assert replace(args, lora_alpha=None) == plain and args.lora_alpha == 2 * plain.lora_r
    for name in ("learning_rate", "warmup_steps", "weight_decay", "lr_scheduler_type", "gradient_accumulation_steps"):
        assert getattr(training_args, name) == getattr(plain_training, name)


def documented_commands() -> list[str]:
    text = "".join(file.read_text(encoding="utf-8") for file in sorted((ROOT / "docs").glob("*.md")))
    return [line for block in re.findall(r"^```bash\n(.*?)^```", text, re.M | re.S) for line in block.splitlines()]


def test_documented_commands_parse(monkeypatch):
    monkeypatch.chdir(ROOT)
    lines = [line for line in documented_commands() if "train_sft.py" in line]
    assert len(lines) > 5
    for line in lines:
        words = [word for word in shlex.split(line.split("train_sft.py")[1], comments=True) if word != "..."]
        needed = ["--model=2b", "--dry-run=true"] if "--annotations" not in words else []
        assert parse([*needed, *words, "--use-cpu=true"])[0].model in ("2b", "base", "scorer/checkpoint")
    with pytest.raises(SystemExit):
        parse(["--help"])


def test_the_benchmark_runs(tmp_path, capsys):
    results = bench_sft.main(["--small", "--steps", "1", "--frames", "2", "--output", str(tmp_path / "out.json")])
    assert [result["variant"] for result in results] == ["stored", "frozen", "graph"]
    assert json.loads((tmp_path / "out.json").read_text()) == results and Namespace(**results[0]).tokens_per_s > 0
    if not torch.cuda.is_available():
        assert bench_sft.main([]) == []
        assert "needs a CUDA GPU" in capsys.readouterr().out


def test_segments_of_a_file_that_vanished_are_no_rows(tmp_path):
    talk = Conversation(NamedSegment(str(tmp_path / "gone.mp4"), name="a"), (("?", "."),))
    assert make_row(0, talk, {}) is None
