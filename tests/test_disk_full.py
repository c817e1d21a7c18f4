"""A disk that is full costs a line and nothing that was finished: the same command goes on when there is room."""

import pytest
from safetensors.torch import load_file

import train_scorer
from modeling_holmes_vau.cli import main
from tests.folders import no_file_above
from tests.test_train_scorer import data, scorer_argv
from training.runs import run_script


__all__ = ["data"]  # a fixture


def told(capsys) -> str:
    """The one line of error."""
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    return line


def test_convert(original56, tmp_path, capsys):
    output = tmp_path / "out"
    argv = ["convert", "--checkpoint", original56, "--scorer", original56 / "anomaly_scorer.pth", "--output", output]
    argv = [str(word) for word in argv]
    with no_file_above(200_000):
        assert main(argv) == 1
    assert "Free some space and run the same command again" in told(capsys)
    assert not list(tmp_path.iterdir())
    assert main(argv) == 0 and (output / "model.safetensors").is_file()


@pytest.mark.parametrize("share", [0.1, 1.5])  # in the weights; in the state of the optimiser, twice as large
def test_training(data, checkpoint56, tmp_path, capsys, share):  # noqa: F811
    argv = scorer_argv(data, checkpoint56, tmp_path / "run", save_steps=1, eval_steps=1, max_steps=2)
    weights = (checkpoint56 / "model.safetensors").stat().st_size
    with no_file_above(int(share * weights)):
        assert run_script(lambda: train_scorer.main(argv)) == 1
    assert "Free some space and run the same command again" in told(capsys)
    assert run_script(lambda: train_scorer.main(argv)) == 0
    assert load_file(tmp_path / "run" / "anomaly_scorer.safetensors")
