"""lmms-eval with our plugins: what they are made of here, and its own program where `make test-harness` has put it."""

import importlib
import json
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import yaml

from eval import reasoning
from hivau70k_dataset.harness import TASKS_FOLDER, documents, figures
from hivau70k_dataset.harness.documents import FOLDER, VIDEOS, read_documents, visual
from hivau70k_dataset.instructions import build_instructions
from hivau70k_dataset.miniature.render import render_miniature
from hivau70k_dataset.reading import read_annotation_files
from tests.rivals import write_holmes_vau


ROOT = Path(__file__).parents[1]
MODEL = ROOT / "checkpoints" / "holmes-vau-mini"
HARNESS = os.environ.get("HOLMES_VAU_HARNESS")
needs_harness = pytest.mark.skipif(not HARNESS, reason="lmms-eval has an environment of its own: make test-harness")
needs_java = pytest.mark.skipif(shutil.which("java") is None, reason="no java on the PATH")
SAMPLE_FIELDS = {"input": "question", "target": "reference", "video": "video"}  # of lmms-eval: of `predict`
LONGEST_S = 900.0  # of a program, on a busy machine


@pytest.fixture(scope="module")
def mini(tmp_path_factory) -> Path:
    """Two videos of the miniature, a normal and an abnormal one; 15 rows about 9 segments."""
    folder = tmp_path_factory.mktemp("mini")
    render_miniature(folder, "test", videos=2, size=64, workers=1, progress=False)
    return folder


@pytest.fixture
def here(mini, monkeypatch) -> Path:
    monkeypatch.setenv(FOLDER, str(mini))
    monkeypatch.delenv(VIDEOS, raising=False)
    return mini


# ---- tasks ----------------------------------------------------------------------------------------------------------


class Loader(yaml.SafeLoader):
    """YAML with the names of functions."""


Loader.add_constructor("!function", lambda loader, node: loader.construct_scalar(node))


def read_task(path: Path) -> dict:
    """A task with what it includes, as lmms-eval reads it."""
    config = yaml.load(path.read_text(encoding="utf-8"), Loader)
    return {**(read_task(path.parent / config.pop("include")) if "include" in config else {}), **config}


def functions_of(config) -> list[str]:
    """All names in a task that are of functions of ours."""
    if isinstance(config, str):
        return [config] if config.startswith("hivau70k_dataset.") else []
    inner = config.values() if isinstance(config, dict) else config if isinstance(config, list) else ()
    return [name for value in inner for name in functions_of(value)]


def test_tasks_are_those_of_the_rows(mini):
    rows = build_instructions(read_annotation_files(mini).annotations)
    expected = {f"hivau70k_{row.level}_{row.task}" for row in rows}
    assert len(expected) == 7
    tasks = {path.stem: read_task(path) for path in TASKS_FOLDER.glob("*.yaml")}
    group = tasks.pop("hivau70k")
    assert group["group"] == "hivau70k" and len(group["task"]) == 7 and set(group["task"]) == expected
    assert set(tasks) == expected and all(config["task"] == name for name, config in tasks.items())
    for name, config in tasks.items():
        assert config["process_docs"] == f"{documents.__name__}.{name.removeprefix('hivau70k_')}"
        wanted = figures.JUDGEMENTS if "judgement" in name else figures.TEXTS
        assert tuple(metric["metric"] for metric in config["metric_list"]) == wanted
        assert all(metric["aggregation"].endswith(f".{metric['metric']}") for metric in config["metric_list"])
        for function in functions_of(config):
            module, _, attribute = function.rpartition(".")
            assert callable(getattr(importlib.import_module(module), attribute))


def test_the_folder_is_printed():
    line = [sys.executable, "-m", "hivau70k_dataset.harness"]
    printed = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert Path(printed.strip()) == TASKS_FOLDER and (TASKS_FOLDER / "_task_yaml").is_file()


def test_documents_are_the_rows(here):
    files = read_annotation_files(here)
    rows = {place: row for place, row in enumerate(files.instructions) if row.task == "caption"}
    found = read_documents("clip", "caption")
    assert [document["row"] for document in found] == list(rows)
    assert [document["reference"] for document in found] == [row.answer for row in rows.values()]
    spans = {entry.video: entry for entry in files.annotations}
    for document, row in zip(found, rows.values()):
        start_s, end_s = spans[row.name].span_s("clip", row.event, row.clip)
        path = str(here / "videos" / row.whole_path)
        shown = {"type": "video", "path": path, "video_start": start_s, "video_end": end_s}
        assert visual(document) == [shown]
    assert visual(read_documents("video", "judgement")[0]) == [str(here / "videos" / files.annotations[0].whole_path)]
    table = documents.video_judgement(None)  # what lmms-eval has loaded before does not matter
    assert table["question"] == [document["question"] for document in read_documents("video", "judgement")]


def test_mistakes_are_one_line(here, tmp_path, monkeypatch):
    def refused(words: str, level: str = "clip", task: str = "caption") -> None:
        with pytest.raises(ValueError) as error:
            read_documents(level, task)
        (line,) = str(error.value).splitlines()
        assert words in line

    refused("has no caption of the level video", "video")
    monkeypatch.setenv(VIDEOS, str(tmp_path))
    refused(f"have no video in {tmp_path}, the first is miniature/clips/test/")
    monkeypatch.setenv(VIDEOS, str(tmp_path / "nowhere"))
    refused(f"{VIDEOS}: {tmp_path / 'nowhere'} is no folder")
    monkeypatch.delenv(FOLDER)
    refused(f"{FOLDER} is not set")


def test_without_java_nothing_is_asked(here, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(ValueError, match="no `java` on the PATH"):
        documents.clip_caption(None)
    assert documents.event_judgement(None).num_rows


def test_judgements_are_counted_by_the_metric():
    shooting = "An anomaly exists, specifically a Shooting anomaly."
    pairs = [("Yes, gunfire.", shooting), ("Nobody knows.", shooting), ("No anomaly.", "No anomaly exists.")]
    assert figures.accuracy(pairs) == pytest.approx(2 / 3) and figures.unparsable(pairs) == pytest.approx(1 / 3)
    assert figures.precision(pairs) == 1 and figures.recall(pairs) == 0.5
    assert figures.f1([("No anomaly.", "No anomaly exists.")]) != figures.f1(pairs)


def test_metrics_are_found_where_they_are_installed(tmp_path, monkeypatch):
    monkeypatch.setattr(figures, "FOLDER", tmp_path)
    monkeypatch.setattr(figures, "installed_folder", lambda *names: tmp_path / "share" if names[0] == "bleu" else None)
    assert figures.metric_folder("bleu") == tmp_path / "share"
    with pytest.raises(FileNotFoundError, match="the metric cider is neither in"):
        figures.metric_folder("cider")


# ---- the model, on a base class that stands for lmms-eval's ---------------------------------------------------------


@pytest.fixture
def module(monkeypatch):
    """The module of the model, where lmms-eval is not installed."""
    names = ("lmms_eval", "lmms_eval.api", "lmms_eval.api.instance", "lmms_eval.api.model")
    fakes = {name: ModuleType(name) for name in names}
    fakes[names[2]].Instance = SimpleNamespace
    fakes[names[3]].lmms = type("lmms", (), {"rank": 0, "__init__": lambda self: None})
    for name, fake in fakes.items():
        monkeypatch.setitem(sys.modules, name, fake)
    yield importlib.import_module("modeling_holmes_vau.harness.lmms")
    sys.modules.pop("modeling_holmes_vau.harness.lmms")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Path:
    return write_holmes_vau(tmp_path_factory.mktemp("tiny"))


def requests_of(model, rows: list[dict], **options) -> list[SimpleNamespace]:
    """Requests as lmms-eval makes them."""
    model.task_dict = {"task": {"test": rows}}
    options = {"until": [], "do_sample": False, "max_new_tokens": 6, **options}
    args = ((row["question"], options, visual, place, "task", "test") for place, row in enumerate(rows))
    return [SimpleNamespace(args=one) for one in args]


def test_answers_are_those_of_predict(module, tiny, here, tmp_path):
    rows = [*read_documents("event", "description"), *read_documents("clip", "caption")]
    model = module.HolmesVAU(str(tiny), device="cpu", num_frames=2, batch_size="4")
    answers = model.generate_until(requests_of(model, rows))
    output = tmp_path / "predictions.jsonl"
    argv = ["predict", "--model", tiny, "--annotations", here, "--videos", here / "videos", "--output", output]
    argv += ["--device", "cpu", "--num-frames", "2", "--max-new-tokens", "6", "--batch-size", "4"]
    assert reasoning.main([str(word) for word in argv]) == 0
    lines = {line["row"]: line["prediction"] for line in map(json.loads, output.read_text().splitlines())}
    assert answers == [lines[row["row"]] for row in rows] and len(set(answers)) > 1
    letter = answers[0][2]
    assert model.generate_until(requests_of(model, rows[:1], until=["", letter])) == [answers[0].split(letter)[0]]


def test_kept_answers_are_not_asked_again(module, tiny, here, tmp_path, monkeypatch):
    rows = read_documents("clip", "caption")
    options = {"device": "cpu", "num_frames": 2, "batch_size": 2, "answers": str(tmp_path / "answers")}
    model = module.HolmesVAU(str(tiny), **options)
    first = model.generate_until(requests_of(model, rows[:4]))
    asked = []
    answer = module.HolmesVAUAnswerer.answer
    monkeypatch.setattr(
        module.HolmesVAUAnswerer,
        "answer",
        lambda self, seen, questions: asked.extend(questions) or answer(self, seen, questions),
    )
    model = module.HolmesVAU(str(tiny), **options)
    assert model.generate_until(requests_of(model, rows[:4])) == first and not asked
    model.generate_until(requests_of(model, rows[:4], max_new_tokens=5))
    assert len(asked) == 4  # other settings are other answers
    model = module.HolmesVAU(str(tiny), **{**options, "num_frames": 3})
    model.generate_until(requests_of(model, rows[:4]))
    assert len(asked) == 8


def test_a_video_that_cannot_be_read(module, tiny, here, tmp_path, caplog):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    rows = read_documents("video", "judgement")[:2]
    rows[0] = {**rows[0], "path": str(broken)}
    model = module.HolmesVAU(str(tiny), device="cpu", num_frames=2, batch_size=2)
    with caplog.at_level(logging.ERROR):
        first, second = model.generate_until(requests_of(model, rows))
    assert first == "" and second and "task, document 0: " in caplog.text and "is left empty" in caplog.text
    with pytest.raises(ValueError, match="none of the 1 questions could be answered"):
        model.generate_until(requests_of(model, rows[:1]))


def test_what_the_model_refuses(module, tiny, here, tmp_path):
    refusals = {"batch_size must be a whole number": {"batch_size": "auto"}}
    for words, options in refusals.items():
        with pytest.raises(ValueError, match=words):
            module.HolmesVAU(str(tiny), **options)
    (tmp_path / "config.json").write_text('{"model_type": "internvl"}')
    with pytest.raises(ValueError, match="is a internvl, no Holmes-VAU"):
        module.HolmesVAU(str(tmp_path))
    model = module.HolmesVAU(str(tiny), device="cpu")
    with pytest.raises(ValueError, match="answers greedily"):
        model.generate_until(requests_of(model, read_documents("video", "judgement"), temperature=0.7))
    for name in ("loglikelihood", "generate_until_multi_round"):
        with pytest.raises(NotImplementedError, match="choose"):
            getattr(model, name)([])


def test_what_is_shown_is_one_video(module):
    segment = module.segment_of([{"type": "video", "url": "a.mp4", "video_start": 1, "video_end": 2.5}], "task")
    assert (segment.path, segment.span_s) == ("a.mp4", (1.0, 2.5)) and module.segment_of(
        ["a.mp4"], "task"
    ).span_s is None
    for shown in (None, [], ["a.mp4", "b.mp4"], [object()], [{"path": "a.mp4", "video_start": 1}], [{"video_end": 1}]):
        with pytest.raises(ValueError, match="task, document 3: shows"):
            module.segment_of(shown, "task, document 3")


def test_without_lmms_eval_one_line_says_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "lmms_eval", None)
    with pytest.raises(ImportError, match=r"docs/reasoning.md says how it is installed"):
        importlib.import_module("modeling_holmes_vau.harness.lmms")


# ---- lmms-eval itself -----------------------------------------------------------------------------------------------


def run_harness(folder: Path, mini: Path) -> tuple[dict[int, dict], dict[str, dict]]:
    """Samples by row, and the figures of each task, of lmms-eval's own program; it sees what is installed alone."""
    env = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", VIDEOS)}
    env |= {FOLDER: str(mini), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "HF_HOME": str(folder / "home")}
    options = {"env": env, "cwd": folder, "capture_output": True, "text": True, "timeout": LONGEST_S}
    where = subprocess.run([HARNESS, "-m", "hivau70k_dataset.harness"], check=True, **options).stdout.strip()
    assert Path(where) != TASKS_FOLDER  # those that were installed
    line = [HARNESS, "-m", "lmms_eval", "--model", "holmes_vau", "--model_args", f"pretrained={MODEL}"]
    line += ["--include_path", where, "--tasks", "hivau70k", "--batch_size", "8", "--device", "cpu"]
    done = subprocess.run([*line, "--log_samples", "--output_path", "out"], **options)
    (results,) = folder.glob("out/*/*_results.json") or [pytest.fail(done.stderr[-3000:])]
    lines = [line for path in folder.glob("out/*/*_samples_*.jsonl") for line in path.read_text().splitlines()]
    samples = {sample["row"]: sample for sample in map(json.loads, lines)}
    assert len(lines) == len(samples)
    return samples, json.loads(results.read_text())["results"]


@needs_harness
@needs_java
def test_lmms_eval_answers_and_counts_as_we_do(tmp_path, capsys):
    """Its program and `predict` give the same answers to the same rows, and its figures are those of `score`."""
    mini, predictions, scores = (tmp_path / name for name in ("mini", "predictions.jsonl", "scores"))
    render_miniature(mini, "test", videos=6, size=112, workers=2, progress=False)
    samples, results = run_harness(tmp_path, mini)
    argv = ["predict", "--model", MODEL, "--annotations", mini, "--videos", mini / "videos", "--output", predictions]
    assert reasoning.main([str(word) for word in [*argv, "--batch-size", "8", "--device", "cpu"]]) == 0
    lines = [json.loads(line) for line in predictions.read_text(encoding="utf-8").splitlines()]
    assert len(lines) >= 40 and {line["row"] for line in lines} == samples.keys()
    for line in lines:
        sample = samples[line["row"]]
        assert sample["filtered_resps"] == line["prediction"], line["row"]
        assert all(sample[ours] == line[name] for ours, name in SAMPLE_FIELDS.items())
    argv = ["score", "--predictions", predictions, "--annotations", mini, "--output", scores, "--bootstrap", "0"]
    assert reasoning.main([str(word) for word in argv]) == 0
    report = json.loads((scores / "report.json").read_text(encoding="utf-8"))
    compared = 0
    for pool in [*report["pools"], *report["judgements"]]:
        task = pool["task"] or ("caption" if pool["level"] == "clip" else None)  # clips have no other task
        theirs = results.get(f"hivau70k_{pool['level']}_{task}", {}) if pool["duplicates"] else {}
        for column, score in pool["scores"]["model"].items():
            if f"{column},none" in theirs:
                compared += 1
                assert theirs[f"{column},none"] == pytest.approx(score["value"]), (pool["level"], task, column)
    assert compared == 5 * 6 + 2 * 7
