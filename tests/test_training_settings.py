"""What tells one run from another: every option counts, unless it is named as free."""

import copy
from dataclasses import dataclass, field, fields, make_dataclass
from types import SimpleNamespace

import pytest
import torch

from tests.annotations import raw_annotations, write_json
from training.options import ScorerArguments, SFTArguments, VisionArguments
from training.scorer_arguments import ScorerTrainingArguments
from training.settings import CHOOSES_THE_BEST, OURS_FREE, TRAINER_FREE, settings_of
from training.sft_arguments import SFTTrainingArguments
from training.word_trainer import VisionTrainingArguments


BY_CONTENT = {"model", "annotations"}  # wherever they lie
OURS = {"vision": VisionArguments, "scorer": ScorerArguments, "sft": SFTArguments}
TRAINERS = {"vision": VisionTrainingArguments, "scorer": ScorerTrainingArguments, "sft": SFTTrainingArguments}
OTHER = "another value"


@pytest.fixture(scope="module")
def model():
    return torch.nn.Linear(2, 2)


@pytest.fixture(scope="module")
def annotations(tmp_path_factory):
    folder = tmp_path_factory.mktemp("annotations")
    write_json(folder / "raw_annotations" / "ucf_database_train.json", raw_annotations())
    return folder


def given(kind: type, annotations) -> SimpleNamespace:
    """Our options, all as they are by default."""
    model = {} if kind is VisionArguments else {"model": "base"}
    return kind(annotations=str(annotations), videos="videos", **model)


def trainers(name: str):
    return TRAINERS[name](output_dir="out", use_cpu=True, bf16=False, report_to="none")


@pytest.mark.parametrize("name", OURS)
def test_each_of_our_options_counts_or_is_named_as_free(name, model, annotations):
    args, training_args = given(OURS[name], annotations), trainers(name)
    settings = settings_of(args, training_args, model)
    for option in fields(args):
        changed = copy.copy(args)
        if option.name == "annotations":
            continue
        setattr(changed, option.name, OTHER)
        is_free = option.name in OURS_FREE | BY_CONTENT
        assert (settings_of(changed, training_args, model) == settings) == is_free, option.name


@pytest.mark.parametrize("name", TRAINERS)
def test_each_option_of_the_trainer_counts_or_is_named_as_free(name, model, annotations):
    args, training_args = given(OURS[name], annotations), trainers(name)
    settings = settings_of(args, training_args, model)
    free = TRAINER_FREE - (CHOOSES_THE_BEST if name == "scorer" else set())
    counted = set()
    for option in fields(training_args):
        if option.init and option.name != "load_best_model_at_end":
            changed = copy.copy(training_args)
            object.__setattr__(changed, option.name, OTHER)
            is_same = settings_of(args, changed, model) == settings
            assert is_same == (option.name in free), option.name
            counted |= set() if is_same else {option.name}
    assert counted > {"learning_rate", "adam_beta1", "max_grad_norm", "seed", "optim", "label_smoothing_factor"}


def test_what_is_named_as_free_is_an_option():
    ours = {option.name for kind in OURS.values() for option in fields(kind)}
    assert ours > OURS_FREE and {option.name for option in fields(SFTTrainingArguments)} > TRAINER_FREE


def test_an_option_that_is_added_counts(model, annotations):
    added = make_dataclass("Added", [("new", int, field(default=1))], bases=(ScorerArguments,))
    training_args = trainers("scorer")
    one, two = (added(model="base", annotations=str(annotations), videos="videos", new=value) for value in (1, 2))
    assert settings_of(one, training_args, model) != settings_of(two, training_args, model)

    @dataclass
    class Newer(ScorerTrainingArguments):
        new_of_the_trainer: float = 0.5

    newer = [Newer(output_dir="out", use_cpu=True, new_of_the_trainer=value) for value in (0.5, 0.6)]
    settings = [settings_of(one, training_args, model) for training_args in newer]
    assert settings[0] != settings[1] and settings[0]["new_of_the_trainer"] == 0.5


def test_model_and_annotations_are_known_by_their_content(model, annotations, tmp_path):
    training_args = trainers("sft")
    settings = settings_of(given(SFTArguments, annotations), training_args, model)
    other = copy.deepcopy(model)
    with torch.no_grad():
        other.weight[0, 0] += 1
    assert settings_of(given(SFTArguments, annotations), training_args, other) != settings
    records = raw_annotations()
    write_json(tmp_path / "raw_annotations" / "ucf_database_train.json", records)
    assert settings_of(given(SFTArguments, tmp_path), training_args, model) == settings
    records.popitem()
    write_json(tmp_path / "raw_annotations" / "ucf_database_train.json", records)
    assert settings_of(given(SFTArguments, tmp_path), training_args, model) != settings


def test_facts_stand_for_options(model, annotations):
    args, training_args = given(SFTArguments, annotations), trainers("sft")
    settings = settings_of(args, training_args, model, feature_cache=True)
    assert settings["feature_cache"] is True and settings["world_size"] == 1
