"""The commands of the READMEs parse, their Python examples run, and what they show is what a run prints and writes."""

import contextlib
import io
import json
import re
import shlex
import shutil
from dataclasses import fields
from pathlib import Path

import datasets
import pytest

import modeling_holmes_vau
import train_scorer
import train_sft
from eval.detection import build_parser as detection_parser
from eval.qualitative import build_parser as qualitative_parser
from eval.reasoning import build_parser as reasoning_parser
from eval.tables import build_parser as tables_parser
from hivau70k_dataset.cli import build_parser as dataset_parser
from hivau70k_dataset.cli import main as dataset_main
from modeling_holmes_vau import Analysis, HolmesVAUForConditionalGeneration
from modeling_holmes_vau.cli import build_parser as model_parser
from modeling_holmes_vau.cli import main as model_main
from tests.adapters import write_adapter
from training import pretrain_vision
from training.runs import TrainingParser


ROOT = Path(__file__).parents[1]
READMES = [ROOT / "README.md", ROOT / "hivau70k_dataset" / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PARSERS = {"holmes-vau": model_parser, "python -m hivau70k_dataset": dataset_parser}
SCRIPTS = {
    "eval/detection.py": detection_parser,
    "eval/qualitative.py": qualitative_parser,
    "eval/tables.py": tables_parser,
    "eval/reasoning.py": reasoning_parser,
}
TRAINING = {
    "train_scorer.py": train_scorer.KINDS,
    "train_sft.py": train_sft.KINDS,
    "training.pretrain_vision": pretrain_vision.KINDS,
}


def blocks(language: str, *pages: Path) -> list[str]:
    fence = re.compile(rf"^```{language}\n(.*?)^```", re.MULTILINE | re.DOTALL)
    return [block for path in pages or READMES for block in fence.findall(path.read_text(encoding="utf-8"))]


COMMANDS = [
    (program, line)
    for block in blocks("bash")
    for line in block.splitlines()
    for program in PARSERS
    if line.startswith(program)
]


@pytest.mark.parametrize(("program", "line"), COMMANDS)
def test_commands(program, line):
    words = shlex.split(line.removeprefix(program), comments=True)
    assert PARSERS[program]().parse_args(words).command == words[0]


SCRIPT_LINES = [
    (program, line)
    for block in blocks("bash")
    for line in block.splitlines()
    for program in (*SCRIPTS, *TRAINING)
    if line.startswith(("python ", "accelerate launch ")) and program in line
]


@pytest.mark.parametrize(("program", "line"), SCRIPT_LINES)
def test_commands_of_the_scripts(program, line, tmp_path):
    words = shlex.split(line.partition(f" {program}")[2], comments=True)
    if program in SCRIPTS:
        args = SCRIPTS[program]().parse_args(words)
        assert vars(args).get("annotations") == dict(zip(words, words[1:])).get("--annotations")
        return
    if "..." in words:  # what is as before
        words.remove("...")
        words += ["--model", "base", "--annotations", "a", "--videos", "v", "--output-dir", str(tmp_path)]
    if "--output-dir" not in words:
        words += ["--output-dir", str(tmp_path)]
    if "--config" in words:
        words[words.index("--config") + 1] = str(ROOT / words[words.index("--config") + 1])
    if "--use-cpu" not in words:
        words += ["--use-cpu", "true"]
    args, _ = TrainingParser(TRAINING[program]).parse_args_and_config(words)
    given = dict(zip(words, words[1:]))
    named = {name: given[f"--{name}"] for name in ("model", "annotations", "videos") if f"--{name}" in given}
    assert named and {name: vars(args)[name] for name in named} == named


def test_there_are_commands_of_all():
    assert {program for program, _ in (*COMMANDS, *SCRIPT_LINES)} == {*PARSERS, *SCRIPTS, *TRAINING}


def python_blocks(page: Path) -> list[tuple[str, str]]:
    """The examples of a page with the reason why one is not run, which a comment above it gives."""
    fence = re.compile(r"^(?:<!-- not run: ([^\n]+) -->\n)?```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
    return fence.findall(page.read_text(encoding="utf-8"))


WITH_EXAMPLES = [page for page in READMES if python_blocks(page)]


@pytest.fixture
def workplace(demo_folder, tmp_path, monkeypatch):
    """A folder with what the pages name: the demo and the model in the box."""
    (tmp_path / "demo").symlink_to(demo_folder)
    (tmp_path / "checkpoints").symlink_to(ROOT / "checkpoints")
    (tmp_path / "ucf_temporal_annotation.txt").write_text("Abuse028_x264.mp4  Abuse  165  240  -1  -1\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "datasets")
    return tmp_path


@pytest.fixture
def exported(workplace):
    """What the line of the README that exports the demo writes."""
    (line,) = [line for program, line in COMMANDS if "hivau70k_dataset export" in line]
    assert dataset_main(shlex.split(line.removeprefix("python -m hivau70k_dataset"))) == 0
    (workplace / "hivau70k").symlink_to(workplace / "runs" / "hivau70k")


@pytest.fixture
def tuned(workplace, checkpoint56, processor56):
    """A base and an adapter that was trained on it."""
    (workplace / "base").symlink_to(checkpoint56)
    adapter = workplace / "sft" / "adapter"
    write_adapter(HolmesVAUForConditionalGeneration.from_pretrained(checkpoint56), checkpoint56, adapter)
    processor56.save_pretrained(adapter)


@pytest.mark.parametrize("page", WITH_EXAMPLES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_python_examples_run(page, exported, tuned):
    names = {}
    for reason, block in python_blocks(page):
        assert reason in ("", "needs the Hub", "needs a GPU", "needs the page")
        if not reason:
            exec(compile(block, str(page), "exec"), names)


def test_the_names_of_the_package_are_all_in_the_readme():
    listed = (ROOT / "README.md").read_text(encoding="utf-8").partition("`modeling_holmes_vau` offers")[2]
    classes = {"HolmesVAUConfig", "HolmesVAUForConditionalGeneration", "HolmesVAUProcessor"}
    of_others = {"AnomalyScorerConfig", "EncodedVideo", "VideoAnomalyUnderstandingPipeline", "VideoReadError"}
    told = {name for name in modeling_holmes_vau.__all__ if f"`{name}`" in listed.partition("\n\n")[0]}
    assert told == set(modeling_holmes_vau.__all__) - classes - of_others


@pytest.fixture(scope="module")
def printed(demo_folder, tmp_path_factory):
    """What `make demo` prints, and the analysis it writes."""
    folder = tmp_path_factory.mktemp("readme")
    (folder / "demo").symlink_to(demo_folder)
    command = ["analyze", "demo/videos", "--output", "demo/analysis", "--device", "cpu"]
    with contextlib.chdir(folder), contextlib.redirect_stdout(io.StringIO()) as out:
        assert model_main(command) == 0
        analysis = json.loads(Path("demo/analysis/Shooting000_mini/analysis.json").read_text(encoding="utf-8"))
        shutil.rmtree("demo/analysis")
    return out.getvalue(), analysis


def test_the_sample_of_the_terminal(printed):
    (sample,) = blocks("text", ROOT / "README.md")
    lines, shown = printed[0].splitlines(), sample.splitlines()
    lines = lines[lines.index(shown[0]) :]
    for line, other in zip(lines, shown, strict=True):
        if line.startswith("  seconds  "):
            line, other = (re.sub(r"[\d.]+", "...", text) for text in (line, other))
        assert line == other


def test_the_sample_of_the_analysis(printed):
    (sample,) = blocks("json", ROOT / "README.md")
    shown, written = json.loads(sample), printed[1]
    assert_like(shown, written | {"video": f"/home/me/holmes-vau/{Path(*Path(written['video']).parts[-6:])}"})


def assert_like(shown, written) -> None:
    """Names, order and values are those of a run; numbers are rounded, times of computing differ, lists are cut."""
    if isinstance(shown, dict):
        assert list(shown) == list(written)
        for name in shown:
            if name == "seconds":
                assert list(shown[name]) == list(written[name])
            else:
                assert_like(shown[name], written[name])
    elif isinstance(shown, list):
        assert isinstance(written, list)  # a text is no list of its letters
        if shown and isinstance(shown[-1], str) and shown[-1].endswith(" in all"):
            assert shown[-1] == f"{len(written)} in all" and len(shown) <= len(written)
            shown, written = shown[:-1], written[: len(shown) - 1]
        for one, other in zip(shown, written, strict=True):
            assert_like(one, other)
    else:
        assert shown == (pytest.approx(written, abs=1e-3) if isinstance(written, float) else written)


def test_the_table_of_the_fields(printed):
    section = (ROOT / "README.md").read_text(encoding="utf-8").partition("## The fields of an analysis")[2]
    cells = re.findall(r"^\| (`.*?) \|", section.partition("\n## ")[0], re.MULTILINE)
    assert sorted(re.findall(r"`(\w+)`", " ".join(cells))) == sorted(field.name for field in fields(Analysis))
