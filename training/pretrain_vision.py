"""A small vision tower from scratch: single frames of annotated videos -> the words of their clips' captions.

It stands in for InternVL's pretraining where no weights can be had. Only the train split is read. The checkpoint it
writes has the trained tower and random weights otherwise; `train_scorer.py` goes on from it.

python -m training.pretrain_vision --annotations mini --videos mini/videos --output-dir vision
"""

from modeling_holmes_vau.base.libraries import quiet_libraries
from training.options import VisionArguments, VisionTrainerDefaults, answer_help


OPTIONS = ("python -m training.pretrain_vision", __doc__, VisionArguments, VisionTrainerDefaults)
if __name__ == "__main__":  # the imports below take long
    answer_help(*OPTIONS)
    quiet_libraries()

import logging
from pathlib import Path

from hivau70k_dataset.general import read_general
from hivau70k_dataset.instructions import build_instructions
from hivau70k_dataset.reading import read_annotation_files
from hivau70k_dataset.regions import VideoRegions, read_regions, regions_file
from hivau70k_dataset.schema import VideoAnnotation
from hivau70k_dataset.videos import VideoFolder
from modeling_holmes_vau.checkpoint.build import (
    UNTRAINED_BUT_VISION_WARNING,
    build_processor,
    generation_config_for,
    write_model_card,
)
from modeling_holmes_vau.checkpoint.small import build_small_tokenizer
from modeling_holmes_vau.configuration_holmes_vau import HolmesVAUConfig
from modeling_holmes_vau.modeling_holmes_vau import HolmesVAUForConditionalGeneration
from modeling_holmes_vau.processing_holmes_vau import CHAT_TEMPLATE, SYSTEM_MESSAGE
from training.region_targets import MIN_REGIONS, region_words
from training.runs import (
    JsonLinesLog,
    SettingsInCheckpoints,
    alone,
    check_devices,
    find_checkpoint,
    read_options,
    run_script,
)
from training.settings import settings_of
from training.word_frames import MIN_CLIPS, WordFrames, build_targets, read_frames
from training.word_trainer import VisionTrainingArguments, WordModel, WordTrainer


logger = logging.getLogger(__name__)

KINDS = (VisionArguments, VisionTrainingArguments)
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


# ---- the model ------------------------------------------------------------------------------------------------------


def build_model(corpus: str, vision: dict = VISION) -> tuple[HolmesVAUForConditionalGeneration, object]:
    """The small model, all of it random, and its tokenizer, which is made from `corpus`.

    Args:
        corpus (`str`): Texts that it will read and write.
        vision (`dict`, *optional*, defaults to `VISION`): Sizes of the vision tower.
    """
    tokenizer = build_small_tokenizer(corpus, VOCABULARY)
    config = HolmesVAUConfig(
        vision_config=vision,
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


def read_all_regions(annotations: str, videos: list[VideoAnnotation]) -> dict[str, VideoRegions]:
    """What shows where in frames of the videos, by their paths; empty where nobody has looked."""
    files = {regions_file(annotations, video.source, video.split) for video in videos}
    found = [read_regions(file) for file in sorted(files) if file.is_file()]
    return {path: regions for videos in found for path, regions in videos.items()}


def read_corpus(videos: list[VideoAnnotation], annotations: str) -> str:
    """Questions and answers about the videos, each with the words around them in a prompt."""
    frames = [f"Frame{i + 1}: " for i in range(NUM_FRAMES)]
    rows = [*build_instructions(videos), *read_general(annotations, "train")]
    return "\n".join(
        text for row in rows for text in ("system", SYSTEM, "user", *frames, row.question, "assistant", row.answer)
    )


def save(model, tokenizer, output: Path) -> None:
    """Write the checkpoint."""
    model.eval().save_pretrained(output)
    template = CHAT_TEMPLATE.replace(SYSTEM_MESSAGE, SYSTEM)
    processor = build_processor(tokenizer, model.config, template, NUM_FRAMES, FRAME_STRIDE)
    processor.save_pretrained(output)
    source = "a vision tower pretrained on caption words"
    write_model_card(output, source, processor.num_frames, "from scratch", model.config.warning)
    logger.info(f"wrote {output}")


# ---- training -------------------------------------------------------------------------------------------------------


def pretrain(
    args: VisionArguments,
    training_args: VisionTrainingArguments,
    vision: dict = VISION,
    min_clips: int = MIN_CLIPS,
    min_regions: int = MIN_REGIONS,
) -> dict[str, float]:
    """
    Read the frames, train, write the checkpoint; returns the average precision on held-out videos.

    Args:
        args ([`VisionArguments`]), training_args ([`VisionTrainingArguments`]): The options.
        vision (`dict`, *optional*, defaults to `VISION`): Sizes of the tower.
        min_clips (`int`, *optional*, defaults to 20): Clips that a word must be in to be learned.
        min_regions (`int`, *optional*, defaults to 50): Regions that a word of theirs must be in.
    """
    output = Path(training_args.output_dir)
    videos = [entry for entry in read_annotation_files(args.annotations).annotations if entry.split == "train"]
    image_size, regions = vision["image_size"][0], read_all_regions(args.annotations, videos)
    model, tokenizer = build_model(read_corpus(videos, args.annotations), vision)
    vocabulary, targets, is_abnormal = build_targets(videos, min_clips)
    if not vocabulary:
        raise ValueError(f"No word is in {min_clips} captions of {args.annotations}: there is nothing to learn.")
    logger.info(f"{len(videos)} videos, {len(targets)} clips, {len(vocabulary)} words, {is_abnormal.sum()} abnormal")
    shown = region_words(regions.values(), min_regions)
    logger.info(f"{len(shown)} words of regions: {', '.join(shown)}")
    words = WordModel(model.model.vision_tower, vision["hidden_size"], len(vocabulary), len(shown))
    settings = settings_of(args, training_args, words)
    last = find_checkpoint(output, settings, training_args.process_index == 0)
    strides = args.clip_stride, args.other_stride
    frames = read_frames(videos, VideoFolder(args.videos), *strides, image_size, regions=regions)
    logger.info(f"{len(frames.pixels)} frames, {int((frames.clips >= 0).sum())} of them in clips")
    batch_size = training_args.train_batch_size * training_args.world_size
    batch_size *= training_args.gradient_accumulation_steps
    side = image_size // vision["patch_size"][0]
    dataset = WordFrames(frames, targets, is_abnormal, batch_size, training_args.seed, shown, side)
    trainer = WordTrainer(
        words,
        training_args,
        dataset,
        callbacks=[JsonLinesLog(output / "log.jsonl"), SettingsInCheckpoints()],
    )
    trainer.train(resume_from_checkpoint=training_args.resume_from_checkpoint or last)
    if trainer.is_world_process_zero():
        save(model, tokenizer, output / "checkpoint")
    return {"ap": trainer.held_out_precision()}


def main(argv: list[str] | None = None) -> dict[str, float]:
    """Pretrain and write the checkpoint."""
    answer_help(*OPTIONS, argv=argv)
    args, training_args = read_options(KINDS, argv)
    check_devices(training_args)
    with alone(training_args):
        return pretrain(args, training_args)


if __name__ == "__main__":
    raise SystemExit(run_script(main))
