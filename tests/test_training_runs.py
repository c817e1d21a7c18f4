"""What the training scripts share: a mistake is a line, and a folder of another run is refused."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from transformers import TrainerControl, TrainerState

import train_scorer
import train_sft
from modeling_holmes_vau.base.commands import CommandError
from modeling_holmes_vau.base.errors import RunError
from training import pretrain_vision
from training.runs import (
    JsonLinesLog,
    TrainingParser,
    alone,
    check_devices,
    check_run,
    find_checkpoint,
)


ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("script", ["train_scorer.py", "train_sft.py"])
def test_a_mistake_is_a_line(script, tmp_path):
    options = {"model": "./nowhere", "annotations": tmp_path, "videos": tmp_path, "output_dir": tmp_path / "out"}
    argv = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    done = subprocess.run(
        [sys.executable, str(ROOT / script), *argv, "--use-cpu", "true"], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert [line for line in done.stderr.splitlines() if line.startswith("error: ")] and "nowhere" in done.stderr


def test_a_run_goes_on_with_its_own_settings_alone(tmp_path):
    output = str(tmp_path / "run")
    assert find_checkpoint(output, {"seed": 0}, is_main=True) is None
    assert json.loads((tmp_path / "run" / "settings.json").read_text()) == {"seed": 0}
    assert find_checkpoint(output, {"seed": 1}, is_main=True) is None  # nothing was trained yet
    last = tmp_path / "run" / "checkpoint-20"
    for number in (3, 20):
        folder = tmp_path / "run" / f"checkpoint-{number}"
        folder.mkdir()
        (folder / "trainer_state.json").write_text("{}")
    (tmp_path / "run" / "checkpoint-40").mkdir()  # what a kill left of one
    shutil.copytree(last, tmp_path / "run" / "checkpoint-30-good")  # somebody's copy
    assert find_checkpoint(output, {"seed": 1}, is_main=False) == str(last)
    with pytest.raises(ValueError, match="holds checkpoint-20 made with seed 1, now asked for with seed 2; choose"):
        find_checkpoint(output, {"seed": 2}, is_main=True)
    for found, other in ("None", {"seed": 1, "rows": 5}), ("1", {}):  # as a version with other options tells them
        with pytest.raises(ValueError, match=f"holds checkpoint-20 made with (rows|seed) {found}, now asked for with"):
            find_checkpoint(output, other, is_main=True)
    check_run(output, {"seed": 1})
    (tmp_path / "run" / "settings.json").unlink()
    with pytest.raises(ValueError, match="holds checkpoint-20, but there is no settings.json: nothing tells how"):
        find_checkpoint(output, {"seed": 1}, is_main=True)


@pytest.mark.parametrize("result", ["checkpoint", "adapter"])
def test_a_result_is_kept_when_the_checkpoints_of_its_run_are_gone(tmp_path, result):
    output = str(tmp_path / "run")
    find_checkpoint(output, {"seed": 0}, is_main=True)
    (tmp_path / "run" / result).mkdir()
    with pytest.raises(ValueError, match=f"holds {result} made with seed 0, now asked for with seed 1"):
        find_checkpoint(output, {"seed": 1}, is_main=True)
    assert json.loads((tmp_path / "run" / "settings.json").read_text()) == {"seed": 0}
    assert find_checkpoint(output, {"seed": 0}, is_main=True) is None


def test_a_log_has_each_step_once(tmp_path):
    path = tmp_path / "log.jsonl"
    log, control = JsonLinesLog(path), TrainerControl()

    def run(first: int, *logs: tuple[int, dict]):
        state = TrainerState(global_step=first)
        log.on_train_begin(None, state, control)
        for state.global_step, entry in logs:
            log.on_log(None, state, control, entry)
        return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n")[:-1]]

    run(0, (1, {"loss": 3.0}), (2, {"loss": 2.0}))
    with path.open("a", encoding="utf-8") as file:  # as sample answers are written, one with a line separator
        file.write(json.dumps({"step": 2, "answer": "a\u2028b}"}, ensure_ascii=False) + "\n")
        file.write('{"step": 3, "answer": "{}')  # as a kill leaves one
    lines = run(2, (3, {"loss": 1.0}), (3, {"train_runtime": 60.0}))
    assert [line["step"] for line in lines] == [1, 2, 2, 3, 3] and lines[2]["answer"] == "a\u2028b}"
    assert run(3, (3, {"train_runtime": 0.1})) == lines  # it had ended: nothing was trained
    assert [line["step"] for line in run(1, (2, {"loss": 2.0}))] == [1, 2]


def test_a_log_that_a_power_cut_left_in_pieces_is_read_as_far_as_it_is_whole(tmp_path):
    log, path = JsonLinesLog(tmp_path / "log.jsonl"), tmp_path / "log.jsonl"
    path.write_bytes(b'{"step": 1, "loss": 2.0}\n\0\0\0\0\nnull\n{"loss": 1.0}\n\xff{"step"\n{"step": 2}\n{"st')
    log.on_train_begin(None, TrainerState(global_step=2), TrainerControl())
    assert path.read_text(encoding="utf-8") == '{"step": 1, "loss": 2.0}\n{"step": 2}\n'


def test_a_training_has_its_folder_to_itself(tmp_path):
    main, other = (SimpleNamespace(output_dir=str(tmp_path / "run"), process_index=index) for index in (0, 1))
    with alone(main), alone(other):
        with pytest.raises(RunError, match="run: another run is writing it"), alone(main):
            pass
    with alone(main):
        pass


def test_several_gpus_of_one_process_are_refused():
    check_devices(SimpleNamespace(n_gpu=1))
    with pytest.raises(ValueError, match="2 GPUs in one process: start with `accelerate launch`"):
        check_devices(SimpleNamespace(n_gpu=2))


SCRIPTS = {"scorer": train_scorer, "vision": pretrain_vision}
SCRIPTS |= dict.fromkeys(("align", "captions", "retell", "sft"), train_sft)


@pytest.mark.parametrize(
    "path", [path for path in sorted((ROOT / "configs").glob("**/*.yaml")) if path.parent.name != "accelerate"]
)
def test_every_configuration_is_read(path, tmp_path):
    script = SCRIPTS[path.stem]
    given = {"annotations": "a", "videos": "v", "output_dir": tmp_path, "use_cpu": True}
    given |= {} if script is pretrain_vision else {"model": "base"}
    argv = ["--config", str(path), *(part for name, value in given.items() for part in (f"--{name}", str(value)))]
    args, training_args = TrainingParser(script.KINDS).parse_args_and_config(argv)
    named = yaml.safe_load(path.read_text())
    assert training_args.learning_rate == named["learning_rate"] and training_args.seed == named["seed"]
    own = {name: value for name, value in named.items() if hasattr(args, name)}
    assert own and {name: getattr(args, name) for name in own} == own


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--vidoes", "x"], "error: --vidoes: no such option. Did you mean --videos?"),
        (["--max_step_s", "3"], "error: --max_step_s: no such option. Did you mean --max-steps?"),
        (["--config"], "error: argument --config: expected the name of a YAML file"),
    ],
)
@pytest.mark.parametrize("script", [train_scorer, train_sft, pretrain_vision])
def test_a_misspelt_option_of_a_training(script, words, said, capsys):
    with pytest.raises(SystemExit, match="2"):
        script.main([*words])
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(said)


def test_a_configuration_that_is_no_yaml(tmp_path):
    (tmp_path / "c.yaml").write_text("seed: [1")
    with pytest.raises(ValueError, match="--config .*c.yaml: not YAML"):
        train_scorer.main([f"--config={tmp_path / 'c.yaml'}"])


@pytest.mark.parametrize("script", [train_scorer, train_sft, pretrain_vision])
def test_all_options_are_behind_help_all(script, capsys):
    for words, least, most in (["--help"], 20, 100), (["--help-all"], 200, 5000):
        with pytest.raises(SystemExit, match="0"):
            script.main(words)
        out = capsys.readouterr().out
        assert least < len(out.splitlines()) < most and "--output-dir" in out


def test_an_output_folder_of_a_training_that_is_a_file(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(CommandError, match="--output-dir .*file: is a file"):
        find_checkpoint(tmp_path / "file", {}, is_main=True)
