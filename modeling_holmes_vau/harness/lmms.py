"""Holmes-VAU as a model of lmms-eval: `lmms-eval --model holmes_vau --model_args pretrained=DIR`.

It answers by the way of `eval/reasoning.py predict`: the same answerer, and the same questions together in a batch, so
that the answers are the same.
"""

import hashlib
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelerate import PartialState


try:
    from lmms_eval.api.instance import Instance
    from lmms_eval.api.model import lmms
except ImportError as error:
    raise ImportError(
        "The model class for lmms-eval needs lmms-eval, which cannot be imported. docs/reasoning.md says how it is "
        'installed: pip install "holmes-vau[harness]", then pip install --no-deps "lmms_eval>=0.7.3,<0.8".'
    ) from error

from ..answering import Reply, load_answerer, model_type
from ..answering.batches import CHUNK_BATCHES, plan_batches, plan_chunks
from ..answering.local import HolmesVAUAnswerer
from ..base.commands import first_line
from ..base.journal import JournalDict
from ..base.progress import Progress
from ..checkpoint.folder import DIGESTED, OURS
from ..checkpoint.load import checkpoint_digest
from ..spans_holmes_vau import Segment


logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Question:
    """One request.

    Args:
        place (`int`): In the list of all requests.
        text (`str`): The question.
        segment (`Segment`): What it is about.
        max_new_tokens (`int`, *optional*): Longest answer; that of the checkpoint by default.
        until (`tuple[str, ...]`): An answer ends before the first of these.
        name (`str`): What a message calls it.
    """

    place: int
    text: str
    segment: Segment
    max_new_tokens: int | None
    until: tuple[str, ...]
    name: str


class HolmesVAU(lmms):
    """
    A Holmes-VAU checkpoint for the tasks of lmms-eval that ask about one video and want a text.

    Args:
        pretrained (`str`): Checkpoint folder or Hub name.
        device (`str`, *optional*), dtype (`str`, *optional*, defaults to `"auto"`): As `predict` takes them.
        num_frames (`int`, *optional*), sampler (`str`, *optional*): Default to those of the checkpoint.
        batch_size (`int`, *optional*, defaults to 1): Questions answered together.
        max_batch_size: Of lmms-eval; nothing here looks for a batch size.
        answers (`str`, *optional*): A folder that keeps each answer as it comes, so that a run that was stopped goes
            on; lmms-eval's own cache is written when all questions are answered.

    Raises:
        `ValueError`: one line, if the checkpoint cannot be loaded or is no Holmes-VAU.
    """

    is_simple = True

    def __init__(
        self,
        pretrained: str,
        device: str | None = None,
        dtype: str = "auto",
        num_frames: int | None = None,
        sampler: str | None = None,
        batch_size: int | str = 1,
        max_batch_size: int | None = None,
        answers: str | None = None,
    ):
        super().__init__()
        if not str(batch_size).isdigit() or int(batch_size) < 1:
            raise ValueError(f"batch_size must be a whole number of at least 1, got {batch_size!r}; pass 8, say")
        if (kind := model_type(pretrained)) != OURS:
            raise ValueError(f"pretrained={pretrained} is a {kind}, no Holmes-VAU: lmms-eval has models for others")
        state = PartialState()
        device = str(state.device) if state.num_processes > 1 else device
        options = {"device": device, "dtype": dtype, "num_frames": num_frames, "sampler": sampler}
        self.answerer = load_answerer(pretrained, **options)
        if self.answerer.warning:
            logger.warning(self.answerer.warning)
        self.device = self.answerer.model.device
        self.batch_size = int(batch_size)
        self.kept = JournalDict(Path(answers)) if answers else None
        self.settings = [dtype, num_frames, sampler]
        if answers:
            self.settings.append(checkpoint_digest(pretrained, DIGESTED))

    def generate_until(self, requests: list[Instance]) -> list[str]:
        """An answer to each request; an empty one, told in the log, where a video can't be read or asked about.

        Raises:
            `ValueError`: one line, if a request is not about one video, or none of them could be answered.
        """
        asked = [self._question(place, request) for place, request in enumerate(requests)]
        replies: dict[int, Reply] = {}
        with Progress(total=len(asked), desc="questions", unit="question", disable=self.rank != 0) as bar:
            for longest in sorted({question.max_new_tokens for question in asked}, key=lambda most: most or 0):
                same = [question for question in asked if question.max_new_tokens == longest]
                for place, reply in self._answers(same, longest):
                    replies[place] = reply
                    bar.update()
        failed = [question for question in asked if isinstance(replies[question.place], Exception)]
        for question in failed:
            logger.error(f"{question.name}: {first_line(replies[question.place])}; its answer is left empty")
        if asked and len(failed) == len(asked):
            raise ValueError(f"none of the {len(asked)} questions could be answered; the first: {replies[0]}")
        return ["" if question in failed else _cut(replies[question.place], question.until) for question in asked]

    def loglikelihood(self, requests):
        """Not to be had."""
        raise NotImplementedError("holmes_vau answers in words and gives no likelihoods; choose other tasks")

    def generate_until_multi_round(self, requests):
        """Not to be had."""
        raise NotImplementedError("holmes_vau answers each question on its own; choose tasks of one round")

    def _question(self, place: int, request: Instance) -> Question:
        """What a request asks."""
        text, options, doc_to_visual, number, task, split = request.args
        name = f"{task}, document {number}"
        if options.get("do_sample") or float(options.get("temperature") or 0) > 0:
            raise ValueError(f"{name}: holmes_vau answers greedily; pass --gen_kwargs do_sample=false,temperature=0")
        segment = segment_of(doc_to_visual(self.task_dict[task][split][number]), name)
        until = options.get("until") or []
        until = (until,) if isinstance(until, str) else tuple(until)
        return Question(place, text, segment, options.get("max_new_tokens"), until, name)

    def _answers(self, asked: list[Question], longest: int | None) -> Iterator[tuple[int, Reply]]:
        """Replies by place; questions and batches are those of `predict`."""
        answerer = self._answerer(longest)
        for chunk in plan_chunks(asked, CHUNK_BATCHES * self.batch_size, lambda question: question.segment):
            seen: dict[Segment, Any] = {}
            for batch in plan_batches(
                chunk,
                self.batch_size,
                lambda question: answerer.prompt_length(question.text),
                lambda question: question.place,
            ):
                yield from self._answer_batch(answerer, batch, seen)

    def _answer_batch(self, answerer, batch: list[Question], seen: dict) -> Iterator[tuple[int, Reply]]:
        """A batch is answered whole, or not at all where every answer is kept."""
        keys = {question.place: self._key(question) for question in batch}
        if self.kept and all(key in self.kept.entries for key in keys.values()):
            yield from ((place, self.kept.entries[key]) for place, key in keys.items())
            return
        readable = []
        for question in batch:
            if question.segment not in seen:
                try:
                    seen[question.segment] = answerer.look(question.segment)
                except (ValueError, OSError) as error:
                    seen[question.segment] = error
            if isinstance(seen[question.segment], Exception):
                yield question.place, seen[question.segment]
            else:
                readable.append(question)
        if not readable:
            return
        texts = [question.text for question in readable]
        for i, reply in answerer.answer([seen[question.segment] for question in readable], texts):
            if self.kept and not isinstance(reply, Exception):
                self.kept.put(keys[readable[i].place], reply)
            yield readable[i].place, reply

    def _answerer(self, longest: int | None) -> HolmesVAUAnswerer:
        """The answerer, with a longest answer of its own."""
        if longest is None:
            return self.answerer
        one = self.answerer
        return HolmesVAUAnswerer(one.model, one.processor, one.num_frames, one.sampler, int(longest))

    def _key(self, question: Question) -> str:
        """What an answer is kept under."""
        segment = question.segment
        about = [segment.path, segment.span_s, question.text, question.max_new_tokens, *self.settings]
        return hashlib.sha256(json.dumps(about).encode()).hexdigest()[:32]


def segment_of(visuals: list | None, name: str) -> Segment:
    """
    The video that a task of lmms-eval shows, or a span of it.

    Args:
        visuals (`list`, *optional*): What `doc_to_visual` returned: the path of a video, or a dictionary with `path`
            (or `url`), `video_start` and `video_end` in seconds.
        name (`str`): What a message calls the document.

    Raises:
        `ValueError`: one line, if it is not one video.
    """
    visuals = visuals or []
    kinds = ", ".join(sorted({type(visual).__name__ for visual in visuals})) or "nothing"
    if len(visuals) != 1 or not isinstance(visuals[0], str | dict):
        raise ValueError(f"{name}: shows {len(visuals)} ({kinds}), holmes_vau is asked about one video; choose others")
    if isinstance(visuals[0], str):
        return Segment(visuals[0])
    path, start_s, end_s = (visuals[0].get(key) for key in ("path", "video_start", "video_end"))
    path = path or visuals[0].get("url")
    if not isinstance(path, str) or (start_s is None) != (end_s is None):
        raise ValueError(f"{name}: shows {visuals[0]}, expected `path`, and `video_start` and `video_end` or neither")
    return Segment(path) if start_s is None else Segment(path, (float(start_s), float(end_s)))


def _cut(answer: str, until: tuple[str, ...]) -> str:
    """An answer up to the first of what ends it."""
    for end in filter(None, until):
        answer = answer.split(end, 1)[0]
    return answer
