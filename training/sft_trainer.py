"""Stage 2, its training: what learns, TRL's trainer on batches of segments, sample answers, and the plan of a run."""

import copy
import logging
from collections.abc import Sequence
from pathlib import Path

import torch
from peft.utils import ModulesToSaveWrapper
from trl import SFTTrainer

from training.runs import JsonLinesLog
from training.sft_batch import normalize_pixels


logger = logging.getLogger(__name__)

# ---- the trainer ----------------------------------------------------------------------------------------------------


class SegmentTrainer(SFTTrainer):
    """
    TRL's trainer on batches of [`SFTCollator`]: frames are normalised on the device, and segments that could not be
    read are named, counted (`skipped`, in all processes) and have no weight.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.skipped = 0
        for module in self.model.modules():  # PEFT keeps adapters in float32, but not copies that learn
            if isinstance(module, ModulesToSaveWrapper):
                module.modules_to_save.float()

    def train(self, *args, **kwargs):
        """As TRL's; the special tokens of the checkpoint stay its own (`Trainer` sets those of the tokenizer, and
        `</s>` does not end InternVL's turns)."""
        model, text_config = self.model, self.model.config.get_text_config()
        generation_config = copy.deepcopy(model.generation_config)
        ids = {name: getattr(text_config, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
        result = super().train(*args, **kwargs)
        model.generation_config = generation_config
        for name, value in ids.items():
            setattr(text_config, name, value)
        return result

    def compute_loss(self, model, inputs, return_outputs: bool = False, num_items_in_batch=None):
        """TRL's loss: cross-entropy of the learned tokens, over their number in all of the step's batches."""
        problems = [problem for problem in inputs.pop("problems") if problem]
        for problem in problems:
            logger.warning(f"skipped: {problem}")
        count = torch.tensor(len(problems), device=self.accelerator.device)
        self.skipped += int(self.accelerator.gather(count).sum())
        if "pixel_values" in inputs and inputs["pixel_values"].dtype == torch.uint8:
            inputs["pixel_values"] = normalize_pixels(inputs["pixel_values"])
        return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Adds the number of skipped samples since the run began or went on."""
        if "loss" in logs:
            logs = {**logs, "skipped": self.skipped}
        super().log(logs, start_time)

    def create_model_card(self, *args, **kwargs) -> None:
        """Checkpoints on the way get no card."""

    def get_batch_samples(self, epoch_iterator, num_batches: int, device: torch.device):
        """Tells the collator the epoch, before workers start for the next one."""
        self.data_collator.epoch = int(self.state.epoch or 0)
        return super().get_batch_samples(epoch_iterator, num_batches, device)


class SampleAnswers(JsonLinesLog):
    """
    Answers to a few rows every so many steps, a line of JSON each: `step`, `video`, `question`, `reference`,
    `answer`.

    Args:
        path (`Path`): The file.
        rows (`Sequence[dict]`): Of the training set; the last turn of each is asked.
        collator ([`SFTCollator`]), processor (`HolmesVAUProcessor`): Those of the training.
        every (`int`): Steps.
        max_new_tokens (`int`, *optional*, defaults to 64): Longest answer.
        bf16 (`bool`, *optional*, defaults to `False`): Whether the training computes in bfloat16.
    """

    def __init__(
        self,
        path: Path,
        rows: Sequence[dict],
        collator,
        processor,
        every: int,
        max_new_tokens: int = 64,
        bf16: bool = False,
    ):
        super().__init__(path)
        self.bf16 = bf16
        self.rows, self.collator, self.processor = rows, collator, processor
        self.every, self.max_new_tokens = every, max_new_tokens

    def on_log(self, args, state, control, **kwargs):
        """Losses are for another file."""

    def on_step_end(self, args, state, control, model=None, **kwargs):
        """Appends the answers, in the main process."""
        if state.global_step % self.every or not state.is_world_process_zero:
            return
        was_training = model.training
        model.eval()
        for row in self.rows:
            turns = [(turn["question"], turn["answer"]) for turn in row["turns"]]
            fields = {"step": state.global_step, "video": row["video"], "question": turns[-1][0]}
            fields |= {"reference": turns[-1][1], "answer": self._answer(model, row, turns)}
            self.journal.append(fields)
        model.train(was_training)

    @torch.no_grad()
    def _answer(self, model, row: dict, turns: list[tuple[str, str]]) -> str | None:
        try:
            pixels = self.collator.visual(row)
        except (ValueError, OSError):
            return None
        pixels = pixels.to(model.device)
        asked = [*turns[:-1], (turns[-1][0], None)]
        inputs = self.processor.conversation_inputs([asked], self.collator.num_frames).to(model.device)
        # Weights of two precisions: `generate` goes around the autocast of the forward pass.
        with torch.autocast(model.device.type, torch.bfloat16, enabled=self.bf16):
            output = model.generate(
                input_ids=inputs["input_ids"],
                attention_mask=inputs["attention_mask"],
                pixel_values=normalize_pixels(pixels) if pixels.dtype == torch.uint8 else pixels,
                do_sample=False,
                max_new_tokens=self.max_new_tokens,
                pad_token_id=self.collator.pad_id,
            )
        return self.processor.decode(output[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True).strip()
