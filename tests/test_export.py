"""A saved checkpoint works where this package is not installed."""

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from modeling_holmes_vau import HolmesVAUForConditionalGeneration, HolmesVAUProcessor
from tests.videos import write_video


SHIPPED = {path.name for path in (Path(__file__).parents[1] / "modeling_holmes_vau").glob("*_holmes_vau.py")}


def run_elsewhere(code: str, folder: Path) -> str:
    """Run `code` in a process that cannot import this package, with a fresh module cache."""
    blocked = "import sys; sys.modules['modeling_holmes_vau'] = None\n"
    env = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_MODULES_CACHE": str(folder / "modules"), "PYTHONPATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", blocked + textwrap.dedent(code)], cwd=folder, env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_saved_folder_holds_all_code_and_loads_everywhere(tmp_path, checkpoint56):
    folder = tmp_path / "saved"
    HolmesVAUForConditionalGeneration.from_pretrained(checkpoint56).save_pretrained(folder)
    HolmesVAUProcessor.from_pretrained(checkpoint56).save_pretrained(folder)
    for saved in (folder, checkpoint56):
        assert {p.name for p in saved.glob("*.py")} == SHIPPED
    code = f"""
        from transformers import AutoConfig, AutoModel, AutoModelForImageTextToText, AutoProcessor
        for auto in (AutoConfig, AutoModel, AutoModelForImageTextToText, AutoProcessor):
            loaded = auto.from_pretrained({str(folder)!r}, trust_remote_code=True)
            print(type(loaded).__module__.split(".")[0], type(loaded).__name__)
        """
    lines = run_elsewhere(code, tmp_path).split("\n")[:4]
    names = ["HolmesVAUConfig", *["HolmesVAUForConditionalGeneration"] * 2, "HolmesVAUProcessor"]
    assert lines == [f"transformers_modules {name}" for name in names]


def test_remote_code_saves_a_folder_that_loads_again(tmp_path, checkpoint56):
    """Load, save, load, with nothing but the folder's own code."""
    code = f"""
        import torch
        from transformers import AutoModel, AutoProcessor
        source, target = {str(checkpoint56)!r}, {str(tmp_path / "again")!r}
        first = AutoModel.from_pretrained(source, trust_remote_code=True)
        first.save_pretrained(target)
        AutoProcessor.from_pretrained(source, trust_remote_code=True).save_pretrained(target)
        second = AutoModel.from_pretrained(target, trust_remote_code=True)
        AutoProcessor.from_pretrained(target, trust_remote_code=True)
        one, two = first.state_dict(), second.state_dict()
        assert one.keys() == two.keys() and all(torch.equal(one[k], two[k]) for k in one)
        """
    run_elsewhere(code, tmp_path)
    assert {p.name for p in (tmp_path / "again").glob("*.py")} == SHIPPED


def test_pipelines_by_name(tmp_path, checkpoint56):
    video = write_video(tmp_path / "clip.mp4", num_frames=300)
    code = f"""
        import json
        from transformers import pipeline
        repo, video = {str(checkpoint56)!r}, {str(video)!r}
        analyze = pipeline("video-anomaly-understanding", model=repo, trust_remote_code=True, max_new_tokens=3)
        print(json.dumps([analyze(video), analyze([video, video], prompt="Why?")[1]]))
        chat = pipeline("image-text-to-text", model=repo, trust_remote_code=True)
        block = [{{"type": "video", "video": video}}, {{"type": "text", "text": "What happens here?"}}]
        print(json.dumps(chat(text=[{{"role": "user", "content": block}}], max_new_tokens=3)))
        """
    import json

    first, second = map(json.loads, run_elsewhere(code, tmp_path).strip().split("\n")[-2:])
    assert first[0]["num_frames"] == 300 and len(first[0]["scores"]) == 19
    assert first[1]["prompt"] == "Why?" and first[1]["scores"] == first[0]["scores"]
    assert second[0]["generated_text"][-1]["role"] == "assistant"


def test_hub_cache_layout(tmp_path, checkpoint56):
    """A snapshot in the Hub's cache, as a download leaves it."""
    revision = "0123456789abcdef0123456789abcdef01234567"
    repo = tmp_path / "hub" / "models--someone--holmes"
    (repo / "refs").mkdir(parents=True)
    (repo / "refs" / "main").write_text(revision)
    (repo / "snapshots").mkdir()
    (repo / "snapshots" / revision).symlink_to(checkpoint56)
    code = f"""
        import os
        os.environ["HF_HUB_CACHE"] = {str(tmp_path / "hub")!r}
        from transformers import AutoModel, AutoProcessor
        for auto in (AutoModel, AutoProcessor):
            print(type(auto.from_pretrained("someone/holmes", trust_remote_code=True)).__name__)
        """
    assert run_elsewhere(code, tmp_path).split() == ["HolmesVAUForConditionalGeneration", "HolmesVAUProcessor"]


def test_code_is_not_run_without_consent(checkpoint56):
    from transformers import AutoModel

    with pytest.raises(ValueError, match="trust_remote_code"):
        AutoModel.from_pretrained(checkpoint56, trust_remote_code=False)


def test_shipped_files_do_not_import_this_package():
    """Docstring examples may: their lines begin with >>>."""
    folder = Path(sys.modules["modeling_holmes_vau"].__file__).parent
    for name in SHIPPED:
        text = (folder / name).read_text(encoding="utf-8")
        assert not re.search(r"^\s*(from|import) modeling_holmes_vau", text, re.MULTILINE)
