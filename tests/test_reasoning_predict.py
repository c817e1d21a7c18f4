"""Predictions from instructions and videos: one file whatever the batches, processes and interruptions."""

import base64
import doctest
import io
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image
from transformers.utils.import_utils import is_serve_available

from eval import reasoning
from eval.answers import predict as reasoning_predict
from eval.answers.lines import read_predictions
from eval.answers.predict import CHUNK_BATCHES, plan_batches, plan_chunks
from hivau70k_dataset.miniature.render import render_miniature
from hivau70k_dataset.reading import read_annotation_files
from hivau70k_dataset.schema import Instruction
from hivau70k_dataset.videos import VideoFolder
from modeling_holmes_vau import cli
from modeling_holmes_vau.answering import load_answerer
from modeling_holmes_vau.answering.answerer import SeenFrames
from modeling_holmes_vau.answering.endpoint import EndpointAnswerer
from modeling_holmes_vau.answering.local import HolmesVAUAnswerer
from modeling_holmes_vau.base.runs import sole_run
from modeling_holmes_vau.spans_holmes_vau import Segment
from tests.annotations import write_lines
from tests.chat_server import chat_server, completion
from tests.model_server import free_port, serving
from tests.rivals import write_holmes_vau, write_llava, write_qwen2_vl


ROOT = Path(__file__).parents[1]
FIXTURES = ROOT / "tests" / "fixtures" / "predictions"
START_S = 300.0  # of another program, on a busy machine


@pytest.fixture(scope="module")
def mini(tmp_path_factory) -> Path:
    """Two videos of the miniature, a normal and an abnormal one; 15 rows about 9 segments."""
    folder = tmp_path_factory.mktemp("mini")
    render_miniature(folder, "test", videos=2, size=64, workers=1, progress=False)
    return folder


@pytest.fixture(scope="module")
def instructions(mini) -> tuple[Instruction, ...]:
    return read_annotation_files(mini).instructions


def argv(mini: Path, model, output: Path, **options) -> list[str]:
    """The command line of `predict`."""
    pairs = {"model": model, "annotations": mini, "videos": mini / "videos", "output": output, "device": "cpu"}
    pairs |= {"max_new_tokens": 6, "num_frames": 2, **options}
    given = {name: value if isinstance(value, list) else [value] for name, value in pairs.items() if value is not None}
    return ["predict", *(str(item) for name, values in given.items() for item in (f"--{name}", *values))]


def predict(mini: Path, model, output: Path, status: int = 0, **options) -> bytes:
    """Predict in this process; the bytes of the output."""
    assert reasoning.main(argv(mini, model, output, **options)) == status
    return output.read_bytes() if output.is_file() else b""


def command(program: list[str], arguments: list[str]) -> tuple[list[str], dict[str, str]]:
    """A command line of another process, and its environment."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    return [sys.executable, *program, str(ROOT / "eval" / "reasoning.py"), *arguments], env


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Path:
    """A Holmes-VAU checkpoint."""
    return write_holmes_vau(tmp_path_factory.mktemp("tiny") / "tiny")


@pytest.fixture(scope="module")
def settings(mini, tiny, tmp_path_factory) -> Path:
    """The settings of an uninterrupted run, beside its output."""
    output = tmp_path_factory.mktemp("whole") / "predictions.jsonl"
    predict(mini, tiny, output)
    return output.with_name("predictions.jsonl.settings.json")


@pytest.fixture(scope="module")
def whole(settings) -> bytes:
    """What an uninterrupted run writes."""
    return settings.with_name("predictions.jsonl").read_bytes()


@pytest.fixture
def asked(monkeypatch) -> list[list[str]]:
    """The questions of each batch that a Holmes-VAU model is asked."""
    batches, answer = [], HolmesVAUAnswerer.answer

    def counted(self, seen, questions):
        batches.append(questions)
        return answer(self, seen, questions)

    monkeypatch.setattr(HolmesVAUAnswerer, "answer", counted)
    return batches


def rows_of(output: bytes) -> list[int]:
    return [json.loads(line)["row"] for line in output.splitlines()]


def test_lines(whole, instructions):
    lines = [json.loads(line) for line in whole.splitlines()]
    assert len({line["prediction"] for line in lines}) > 10  # else the tests below would say little
    assert [line["row"] for line in lines] == list(range(len(instructions)))
    for line, entry in zip(lines, instructions):
        assert isinstance(line.pop("prediction"), str) and line.pop("row") >= 0
        assert line == {
            "id": entry.id,
            "level": entry.level,
            "task": entry.task,
            "video": entry.video,
            "turn": entry.turn,
            "question": entry.question,
            "reference": entry.answer,
        }


@pytest.mark.parametrize("batch_size", [1, 3])
def test_batches_do_not_matter(mini, tiny, whole, instructions, tmp_path, monkeypatch, asked, batch_size):
    looked, look = [], HolmesVAUAnswerer.look
    monkeypatch.setattr(HolmesVAUAnswerer, "look", lambda self, segment: looked.append(segment) or look(self, segment))
    output = tmp_path / "predictions.jsonl"
    assert predict(mini, tiny, output, batch_size=batch_size) == whole
    assert sorted(path.name for path in tmp_path.iterdir()) == [output.name, f"{output.name}.settings.json"]
    assert len(looked) == len(set(looked)) == len({entry.video for entry in instructions})  # once each
    assert sum(map(len, asked)) == len(instructions) and max(map(len, asked)) == batch_size


def test_levels_tasks_and_limit(mini, tiny, whole, instructions, tmp_path):
    some = predict(mini, tiny, tmp_path / "some.jsonl", levels=["event", "video"], tasks=["analysis"])
    rows = [i for i, entry in enumerate(instructions) if entry.task == "analysis"]
    assert rows_of(some) == rows and set(some.splitlines()) < set(whole.splitlines())
    first = predict(mini, tiny, tmp_path / "first.jsonl", limit=2, levels=["clip"])
    assert rows_of(first) == [i for i, entry in enumerate(instructions) if entry.level == "clip"][:2]


# ---- interruptions --------------------------------------------------------------------------------------------------


def test_killed_and_resumed(mini, tiny, whole, instructions, tmp_path, asked):
    output = tmp_path / "predictions.jsonl"
    options = {"batch_size": 1}
    line, env = command([], argv(mini, tiny, output, **options))
    part, started = tmp_path / "predictions.jsonl.parts" / "0.jsonl", time.monotonic()
    process = subprocess.Popen(line, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while (part.read_bytes().count(b"\n") if part.is_file() else 0) < 3:
        assert process.poll() is None and time.monotonic() < started + START_S
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = part.read_bytes()
    done = kept.count(b"\n")
    assert 3 <= done < len(instructions) and not output.exists()
    assert predict(mini, tiny, output, **options) == whole
    assert len(asked) == len(instructions) - done  # what was in flight alone is asked again
    assert set(kept.splitlines(keepends=True)) <= {*whole.splitlines(keepends=True)} and not part.exists()
    assert predict(mini, tiny, output, **options) == whole and len(asked) == len(instructions) - done


def interrupted(output: Path, settings: Path, parts: dict[str, bytes]) -> None:
    """Files as a killed run leaves them."""
    folder = output.with_name(f"{output.name}.parts")
    folder.mkdir()
    for name, content in parts.items():
        (folder / name).write_bytes(content)
    shutil.copy(settings, output.with_name(f"{output.name}.settings.json"))


def test_a_torn_last_line_is_written_again(mini, tiny, whole, tmp_path, settings, asked):
    lines, output = whole.splitlines(keepends=True), tmp_path / "predictions.jsonl"
    # of two processes, of which one was killed while it wrote
    parts = {"0.jsonl": b"".join(lines[5:9]) + lines[9][:25], "1.jsonl": lines[14] + lines[2]}
    interrupted(output, settings, parts)
    assert predict(mini, tiny, output, batch_size=1) == whole
    assert len(asked) == len(lines) - 6


def test_a_batch_in_which_rows_are_done_is_asked_as_a_whole(mini, tiny, whole, tmp_path, settings, asked):
    lines, output = whole.splitlines(keepends=True), tmp_path / "predictions.jsonl"
    kept = json.dumps({**json.loads(lines[4]), "prediction": "kept"}).encode() + b"\n"
    interrupted(output, settings, {"0.jsonl": kept})
    resumed = predict(mini, tiny, output).splitlines(keepends=True)
    assert sum(map(len, asked)) == len(lines) and len(asked) == 2
    assert resumed[4] == kept and [*resumed[:4], *resumed[5:]] == [*lines[:4], *lines[5:]]


def test_two_runs_of_one_output(mini, tiny, tmp_path, settings, capsys):
    output = tmp_path / "predictions.jsonl"
    interrupted(output, settings, {"0.jsonl": b""})
    with sole_run(tmp_path / "predictions.jsonl.parts"):
        predict(mini, tiny, output, status=1)
    assert "predictions.jsonl.parts: another run is writing it" in capsys.readouterr().err
    (tmp_path / "predictions.jsonl.settings.json").write_text('{"model": "other"}')  # of a run that answered nothing
    predict(mini, tiny, output)


def test_a_broken_line_of_a_part_is_asked_again(mini, tiny, whole, tmp_path, settings, asked):
    lines, output = whole.splitlines(keepends=True), tmp_path / "predictions.jsonl"
    interrupted(output, settings, {"0.jsonl": lines[0] + b"{broken}\n\0\0\n" + lines[1]})
    assert predict(mini, tiny, output, batch_size=1) == whole
    assert len(asked) == len(lines) - 2


def test_a_part_of_somebody_else_is_refused(mini, tiny, tmp_path, settings, capsys):
    output = tmp_path / "predictions.jsonl"
    interrupted(output, settings, {"0.jsonl": b"my notes\n"})
    predict(mini, tiny, output, status=1)
    assert "0.jsonl: none of its lines is one that this program writes" in capsys.readouterr().err
    assert (tmp_path / "predictions.jsonl.parts" / "0.jsonl").read_bytes() == b"my notes\n"


ODD_FILES = {  # what becomes of the lines of a finished file, and what is said of it; nothing where it is as good
    "byte order mark": (lambda lines: [b"\xef\xbb\xbf" + lines[0], *lines[1:]], ""),
    "empty lines": (lambda lines: [b"\n", lines[0], b"\r\n", *lines[1:]], ""),
    "no last line break": (lambda lines: [*lines[:-1], lines[-1].rstrip()], ""),
    "cut in its last line": (lambda lines: [*lines[:-1], lines[-1][:30]], ""),
    "not a number": (
        lambda lines: [re.sub(rb'"prediction": .*}', b'"prediction": NaN}', lines[0]), *lines[1:]],
        "NaN",
    ),
    "cut in the middle": (lambda lines: [*lines[:4], lines[4][:30] + b"\n", *lines[5:]], "line 5 is no JSON"),
    "twice": (lambda lines: [*lines, lines[0]], "row 0 stands in line 1 and in line 16"),
    "foreign row": (lambda lines: [*lines, lines[0].replace(b'"row": 0', b'"row": 100000')], "row 100000 answers"),
    "foreign reference": (lambda lines: [lines[0].replace(b'"row": 0', b'"row": 3'), *lines[1:3]], "row 3 answers"),
    "half a letter": (lambda lines: [re.sub(rb'n": "[^"]*"}', rb'n": "\\ud83d"}', lines[0])], "row 0: `prediction`"),
}


@pytest.mark.parametrize(("change", "said"), ODD_FILES.values(), ids=ODD_FILES)
def test_predict_and_score_read_a_file_alike(
    mini, tiny, whole, tmp_path, settings, asked, change, said, capsys, caplog
):
    lines, output = whole.splitlines(keepends=True), tmp_path / "predictions.jsonl"
    content = b"".join(change(lines))
    output.write_bytes(content)
    shutil.copy(settings, output.with_name("predictions.jsonl.settings.json"))
    scoring = ["score", "--predictions", output, "--annotations", mini, "--output", tmp_path / "report"]
    scoring += ["--metrics", "rouge", "--tokenizer", "whitespace", "--bootstrap", "0", "--allow_missing"]
    scored = reasoning.main([str(word) for word in scoring])
    errors = capsys.readouterr().err
    assert predict(mini, tiny, output, status=1 if said else 0) == (content if said else whole)
    if said:
        assert scored == 1 and said in errors and errors.count("\n") == 1
        assert [line for line in capsys.readouterr().err.splitlines() if "error" in line] == errors.splitlines()
    else:
        assert scored == 0 and "error" not in errors
        assert bool(asked) == ("cut off" in caplog.text) == (len(content) < len(whole) - 1)


@pytest.mark.parametrize(
    ("name", "said"),
    [("bom", ""), ("extra", ""), ("mid", "line 5 is no JSON"), ("nan", "line 1 holds NaN")],
)
def test_odd_files_of_predictions(name, said):
    path = FIXTURES / f"predictions_{name}.jsonl"
    if said:
        with pytest.raises(ValueError, match=f"{path.name}: {said}.*Take the line out"):
            read_predictions(path)
    else:  # which rows there are, the file alone does not tell
        assert [answer.row for answer in read_predictions(path)][:3] == [0, 6, 15]


def test_other_settings_are_refused(mini, tiny, tmp_path, whole, capsys):
    output = tmp_path / "predictions.jsonl"
    assert predict(mini, tiny, output) == whole
    moved = shutil.copytree(tiny, tmp_path / "moved")
    other = shutil.copytree(mini, tmp_path / "other")
    assert predict(mini, moved, output, batch_size=2) == whole  # neither decides an answer

    def refused(said: str, folder=mini, model=tiny, **options):
        capsys.readouterr()
        assert predict(folder, model, output, status=1, **options) == whole
        errors = capsys.readouterr().err
        assert said in errors and errors.count("\n") == 1 and f"--output {output}: holds " in errors

    refused("made with num_frames 2, now asked for with num_frames 3; choose another file", num_frames=3)
    refused("made with sampler None, now asked for with sampler uniform", sampler="uniform")
    refused("instructions", levels=["clip"])
    config = json.loads((moved / "generation_config.json").read_text())
    (moved / "generation_config.json").write_text(json.dumps({**config, "repetition_penalty": 1.5}))
    refused("made with digest", model=moved)
    file = next((other / "instruction").iterdir())
    file.write_text(file.read_text().replace('"No anomaly', '"Not one anomaly', 1))
    refused("made with instructions", folder=other)
    output.with_name("predictions.jsonl.settings.json").unlink()
    refused("there is no predictions.jsonl.settings.json: nothing tells how that was made")


def test_two_processes(mini, tiny, whole, tmp_path):
    output = tmp_path / "predictions.jsonl"
    config = ["--config_file", str(ROOT / "configs" / "accelerate" / "two_processes_cpu.yaml")]
    program = ["-m", "accelerate.commands.launch", *config, "--main_process_port", str(free_port())]
    line, env = command(program, argv(mini, tiny, output, batch_size=1))
    done = subprocess.run(line, env=env, capture_output=True, text=True, timeout=START_S)
    assert done.returncode == 0, done.stderr
    assert output.read_bytes() == whole and done.stdout.count("wrote 15 predictions") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == [output.name, f"{output.name}.settings.json"]


def test_processes_share_the_work(mini, tiny, tmp_path):
    args = reasoning.build_parser().parse_args(argv(mini, tiny, tmp_path))
    chunks = plan_chunks(reasoning_predict.read_rows(args), CHUNK_BATCHES)  # of batches of one
    shares = [{row.segment for chunk in chunks[process::2] for row in chunk} for process in range(2)]
    assert all(shares) and not shares[0] & shares[1]  # no segment is looked at by both


# ---- videos ---------------------------------------------------------------------------------------------------------


def test_missing_and_broken_videos(mini, tiny, whole, instructions, tmp_path, asked, capsys):
    folder, output = shutil.copytree(mini, tmp_path / "copy"), tmp_path / "predictions.jsonl"
    normal, abnormal = sorted((folder / "videos").rglob("*.mp4"))
    hidden = normal.rename(folder / "hidden")
    (folder / "videos" / "notes.txt").touch()
    there = [i for i, entry in enumerate(instructions) if abnormal.stem == entry.name]
    partly = predict(folder, tiny, output)
    said = capsys.readouterr().err
    assert f"note: {folder / 'videos'}: 1 file left out: 1 .txt" in said
    assert rows_of(partly) == there and set(partly.splitlines()) < set(whole.splitlines())
    assert f"error: row 0, {instructions[0].video}: no such video under" in said
    assert f"{len(instructions) - len(there)} of {len(instructions)} rows have no prediction" in said
    normal.write_bytes(b"no video")
    number = len(asked)
    assert predict(folder, tiny, output) == partly and len(asked) == number  # nothing to ask
    assert "not a video" in capsys.readouterr().err
    hidden.rename(normal)
    assert predict(folder, tiny, output) == whole
    assert "no prediction" not in capsys.readouterr().err


def test_nothing_can_be_read(mini, tiny, tmp_path, capsys):
    folder = shutil.copytree(mini, tmp_path / "copy")
    for video in (folder / "videos").rglob("*.mp4"):
        video.write_bytes(b"no video")
    assert predict(folder, tiny, tmp_path / "predictions.jsonl", status=1) == b""
    assert "none of the 15 rows could be answered" in capsys.readouterr().err.splitlines()[-1]


def test_where_a_segment_lies(mini, tmp_path):
    files = read_annotation_files(mini)
    annotation = files.annotations[1]
    by_level = {entry.level: entry for entry in files.instructions if entry.name == annotation.video}
    root = tmp_path / "videos"

    def place(path: str) -> str:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
        return str(root / path)

    spans = {level: annotation.span_s(level, entry.event, entry.clip) for level, entry in by_level.items()}
    cut = place(by_level["clip"].video)
    folder = VideoFolder(root)
    assert folder.find_segment(by_level["clip"], spans["clip"]) == Segment(cut)
    assert folder.find_segment(by_level["clip"], None) == Segment(cut)
    with pytest.raises(ValueError, match="no such video under"):
        folder.find_segment(by_level["event"], spans["event"])
    whole = place(annotation.whole_path)
    folder = VideoFolder(root)
    for level in ("event", "clip"):
        assert folder.find_segment(by_level[level], spans[level]) == Segment(whole, spans[level])
    assert folder.find_segment(by_level["video"], spans["video"]) == Segment(whole)
    with pytest.raises(ValueError, match="do not tell its span"):
        folder.find_segment(by_level["event"], None)


def test_longest_questions_first():
    assert doctest.testmod(reasoning_predict)[0] == 0
    questions = ["aa", "a", "aaaa", "aaa", "aa"]
    rows = [
        reasoning_predict.Row(i, Instruction("0", "video", "judgement", "v", question, "."), None, None)
        for i, question in enumerate(questions)
    ]
    assert [[row.row for row in batch] for batch in plan_batches(rows, 2, len)] == [[2, 3], [0, 4], [1]]


# ---- other models ---------------------------------------------------------------------------------------------------


def test_a_rival(mini, instructions, tmp_path, capsys):
    model = write_qwen2_vl(tmp_path / "qwen2_vl")
    single = predict(mini, model, tmp_path / "single.jsonl", batch_size=1)
    assert rows_of(single) == list(range(len(instructions)))
    assert len({json.loads(line)["prediction"] for line in single.splitlines()}) > 5
    assert predict(mini, model, tmp_path / "batches.jsonl", batch_size=8, num_frames=2) == single
    # how it was shown the frames is kept, and a run with another way is another
    assert json.loads((tmp_path / "single.jsonl.settings.json").read_text())["frames_as"] == "video"
    assert predict(mini, model, tmp_path / "images.jsonl", frames_as="images") != single
    capsys.readouterr()
    assert predict(mini, model, tmp_path / "images.jsonl", status=1)
    said = capsys.readouterr().err
    assert "made with frames_as images, now asked for with frames_as video; choose another file" in said


def test_how_frames_are_shown_is_for_other_models(mini, tiny, tmp_path, capsys):
    predict(mini, tiny, tmp_path / "ours.jsonl", status=1, frames_as="video")
    assert "--frames-as is for other models than Holmes-VAU: leave it out" in capsys.readouterr().err


def test_the_original_layout_is_offered_its_conversion(mini, original56, tmp_path, capsys):
    predict(mini, original56, tmp_path / "predictions.jsonl", status=1)
    scorer, output = original56 / "anomaly_scorer.pth", f"{original56.name}-converted"
    words = ["holmes-vau", "convert", "--checkpoint", original56, "--scorer", scorer, "--output", output]
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith(f"must be converted once: {shlex.join(map(str, words))}")
    # the command runs, and what it writes is a model that predicts
    assert cli.main([*map(str, words[1:-1]), str(tmp_path / output)]) == 0
    assert rows_of(predict(mini, tmp_path / output, tmp_path / "predictions.jsonl", limit=1)) == [0]


def test_a_server_gets_a_video_if_told(mini, tmp_path):
    with chat_server(lambda asked, number: (200, completion("Yes."))) as (url, asked):
        for frames_as, kind in [(None, "image_url"), ("video", "video_url")]:
            predict(mini, "them", tmp_path / f"{kind}.jsonl", endpoint=url, limit=1, frames_as=frames_as, device=None)
            assert asked[-1].body["messages"][0]["content"][0]["type"] == kind


@pytest.fixture
def served(tmp_path):
    """Address and folder of a LLaVA behind `transformers serve`."""
    if not is_serve_available():
        pytest.skip('`transformers serve` needs pip install "transformers[serving]"')
    model = write_llava(tmp_path / "llava")
    line = [sys.executable, "-m", "transformers.cli.transformers", "serve", model, "--device", "cpu"]
    with serving(line, tmp_path / "log", START_S) as url:
        yield url, model


def test_transformers_serve(mini, served, instructions, tmp_path):
    url, model = served
    options = {"limit": 5, "num_frames": 3}
    output = predict(mini, model, tmp_path / "served.jsonl", endpoint=url, concurrency=2, **options)
    args = reasoning.build_parser().parse_args(argv(mini, model, tmp_path, **options))
    rival = load_answerer(str(model), device="cpu", num_frames=3, max_new_tokens=6)
    pictures = EndpointAnswerer(None, num_frames=3)
    rows = reasoning_predict.read_rows(args)
    expected = []
    for row in rows:
        urls = [part["image_url"]["url"] for part in pictures.look(row.segment)]
        frames = [Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))) for url in urls]
        seen = SeenFrames(frames, [], 0, 0.0)
        expected += [reply for _, reply in rival.answer([seen], [row.entry.question])]
    # the server saw the pictures, as JPEG left them, and the question, as the model itself does
    assert [json.loads(line)["prediction"] for line in output.splitlines()] == expected
    assert rows_of(output) == [0, 1, 2, 3, 4] and len(set(expected)) > 1


def test_an_endpoint(mini, instructions, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("THEIR_KEY", "secret")
    output, options = tmp_path / "predictions.jsonl", {"api_key_env": "THEIR_KEY", "num_frames": 1, "batch_size": 4}
    up = True

    def answer(asked, number):
        if not up:
            return 401, {"error": {"message": "unpaid"}}
        text = asked.body["messages"][0]["content"][-1]["text"]
        # half of a surrogate pair, as a server may send it; and one question that a filter holds back
        refused = text == instructions[3].question
        return (400, {"error": "filtered"}) if refused else (200, completion(f"{asked.body['model']}: {text} \ud83d"))

    with chat_server(answer) as (url, asked):
        partly = predict(mini, "them", output, endpoint=url, **options)
        assert {request.headers["Authorization"] for request in asked} == {"Bearer secret"}
        same = [i for i, entry in enumerate(instructions) if entry.question == instructions[3].question]
        assert rows_of(partly) == [i for i in range(len(instructions)) if i not in same]
        assert json.loads(partly.splitlines()[0])["prediction"] == f"them: {instructions[0].question} ?"
        said = capsys.readouterr().err
        assert f"error: row 3, {instructions[3].video}: {url}/v1/chat/completions: 400 Bad Request: filtered" in said
        up = False
        assert predict(mini, "them", output, status=1, endpoint=url, **options) == partly
        said = capsys.readouterr().err
        assert "401 Unauthorized: unpaid; pass the key" in said and said.count("\n") == 1 and "secret" not in said
        up, before = True, len(asked)
        assert predict(mini, "them", output, endpoint=url, **options) == partly
        assert len(asked) - before == len(same)  # those with an answer are not asked again
        capsys.readouterr()
        predict(mini, "others", output, status=1, endpoint=url, **options)
        assert "made with served_model them, now asked for with served_model others" in capsys.readouterr().err
    assert "secret" not in output.with_name("predictions.jsonl.settings.json").read_text()


def test_answers_before_an_error_are_kept(mini, instructions, tmp_path, capsys):
    output, options = tmp_path / "predictions.jsonl", {"num_frames": 1, "concurrency": 1}

    def answer(asked, number):
        return (200, completion("Fine.")) if number < 3 or number > 3 else (403, {"error": "the last of the month"})

    with chat_server(answer) as (url, asked):
        assert predict(mini, "them", output, status=1, endpoint=url, **options) == b""
        said = capsys.readouterr().err
        assert "403 Forbidden: the last of the month; check the key" in said and said.count("\n") == 1
        part = (tmp_path / "predictions.jsonl.parts" / "0.jsonl").read_bytes()
        assert len(rows_of(part)) == 3 and len(asked) == 4  # of a batch of four, and of four batches
        whole = predict(mini, "them", output, endpoint=url, **options)
        assert rows_of(whole) == list(range(len(instructions))) and len(asked) == 4 + len(instructions) - 3


def test_answers_are_written_as_they_come(mini, instructions, tmp_path):
    output, there = tmp_path / "predictions.jsonl", []
    part = tmp_path / "predictions.jsonl.parts" / "0.jsonl"

    def answer(asked, number):
        started = time.monotonic()
        while number == 0 and len(there) < 3 and time.monotonic() < started + 20:  # until the others of its batch are
            there[:] = part.read_bytes().splitlines() if part.is_file() else []
            time.sleep(0.01)
        return 200, completion("Fine.")

    with chat_server(answer) as (url, _):
        whole = predict(mini, "them", output, num_frames=1, endpoint=url, batch_size=4)
    assert len(there) == 3 and rows_of(whole) == list(range(len(instructions)))


@pytest.fixture(scope="module")
def asked_twice(mini, tmp_path_factory) -> Path:
    """The miniature with each instruction once more, in other words: 30 rows."""
    folder = tmp_path_factory.mktemp("twice")
    shutil.copytree(mini / "raw_annotations", folder / "raw_annotations")
    (folder / "videos").symlink_to(mini / "videos")
    (path,) = (mini / "instruction").iterdir()
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    again = [{**row, "question": f"Once more: {row['question']}"} for row in rows]
    write_lines(folder / "instruction" / path.name, [*rows, *again])
    return folder


def test_a_server_that_refuses_everything(mini, instructions, asked_twice, tmp_path, capsys):
    options = {"num_frames": 1, "concurrency": 1, "retries": 0}
    fine = set()

    def answer(asked, number):
        text = asked.body["messages"][0]["content"][-1]["text"]
        return (200, completion("Fine.")) if text in fine else (400, {"error": "no pictures, please"})

    with chat_server(answer) as (url, asked):
        output = tmp_path / "predictions.jsonl"
        assert predict(mini, "them", tmp_path / "few.jsonl", status=1, endpoint=url, **options) == b""
        assert f"none of the {len(instructions)} rows could be answered" in capsys.readouterr().err
        asked.clear()
        assert predict(asked_twice, "them", output, status=1, endpoint=url, batch_size=3, **options) == b""
        said = capsys.readouterr().err
        assert said.endswith("400 Bad Request: no pictures, please; all of the first 16 requests were refused\n")
        assert said.startswith(f"error: {url}") and said.count("\n") == 1
        assert 16 <= len(asked) <= 18  # and what was under way: the rest of a batch, and one more
        fine.add(asked[0].body["messages"][0]["content"][-1]["text"])
        some = predict(asked_twice, "them", output, endpoint=url, **options)
        assert 0 < len(rows_of(some)) < 2 * len(instructions)
        fine.clear()
        assert predict(asked_twice, "them", output, endpoint=url, **options) == some


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": "nowhere/at/all"}, "--model nowhere/at/all: no such folder"),
        ({"videos": "nowhere"}, "--videos nowhere: no such folder"),
        ({"videos": "{empty}"}, "holds none of the videos, such as miniature/videos/test/Normal_000_mini.mp4"),
        ({"annotations": "nowhere"}, "nowhere does not exist"),
        ({"annotations": "{empty}"}, "holds no annotation files"),
        ({"split": "train"}, "no instructions of the split 'train'; it has test"),
        ({"levels": ["clip"], "tasks": ["analysis"]}, "are of --levels clip and --tasks analysis"),
        ({"output": "{empty}"}, "is a folder; name a file in it"),
        ({"batch_size": 0}, "--batch-size must be at least 1, got 0"),
        ({"limit": 0}, "--limit must be at least 1, got 0"),
        ({"processor_kwargs": "[1]"}, "--processor-kwargs must be a JSON object, got [1]"),
        ({"processor_kwargs": '{"size": 1}'}, "--processor-kwargs is for other checkpoints"),
        ({"api_key_env": "KEY"}, "--api-key-env is for --endpoint"),
        ({"endpoint": "http://localhost", "api_key_env": "NO_SUCH_KEY"}, "no such environment variable"),
        ({"endpoint": "http://localhost", "sampler": "ats"}, "--sampler is for Holmes-VAU"),
        ({"endpoint": "localhost:80"}, "`endpoint` must be an address like"),
        ({"endpoint": "http://localhost", "timeout": 0}, "`timeout_s` must be above 0"),
    ],
)
def test_mistakes_are_one_line(mini, tiny, tmp_path, options, message, capsys):
    (tmp_path / "empty").mkdir()
    options = {
        name: value.format(empty=tmp_path / "empty") if value == "{empty}" else value
        for name, value in options.items()
    }
    model, output = options.pop("model", tiny), Path(options.pop("output", tmp_path / "out.jsonl"))
    predict(mini, model, output, status=1, **options)
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1 and not output.is_file()


def test_choices_are_told(mini, tiny, tmp_path, capsys):
    with pytest.raises(SystemExit):
        predict(mini, tiny, tmp_path / "out.jsonl", sampler="cleverest")
    assert "argument --sampler: invalid choice: 'cleverest'" in capsys.readouterr().err
