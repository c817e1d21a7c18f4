import re
from pathlib import Path

from setuptools import find_packages, setup


HERE = Path(__file__).parent
MINI = Path("checkpoints/holmes-vau-mini")  # the model in the box; its logs stay in the repository
METRICS = [Path("eval/metrics", name) for name in ("bleu", "cider", "judgement", "meteor", "rouge")]  # of the harness
VERSION = re.search(r'__version__ = "(.+)"', (HERE / "modeling_holmes_vau/__init__.py").read_text(encoding="utf-8"))[1]

REQUIRED = [
    "torch>=2.4",
    "transformers>=5.17,<6",
    "safetensors>=0.4.3",
    "tokenizers>=0.22",
    "huggingface_hub>=1.0",
    "filelock>=3.12",
    "numpy>=1.26",
    "pillow>=10",
    # decord publishes wheels for Linux and Windows on x86-64 alone; PyAV reads the same frames elsewhere.
    "decord>=0.6; platform_machine == 'x86_64' or platform_machine == 'AMD64'",
    "av>=17",
    "sentencepiece>=0.2",
    "protobuf>=4",
    "jinja2>=3.1",
    "tqdm>=4.66",
]
DATA = ["datasets>=4.7", "pyarrow>=18", "pyyaml>=6", "matplotlib>=3.8"]
TRAIN = ["accelerate>=1.10", "datasets>=4.7", "peft>=0.18", "trl>=1.0", "tensorboard>=2.14", "scikit-learn>=1.4"]
# Every client of a server of chat completions.
ASK = ["openai>=1.98"]
EVAL = [
    *ASK,
    "accelerate>=1.10",
    "evaluate>=0.4.6",
    "datasets>=4.7",
    "pycocoevalcap>=1.2",
    "scikit-learn>=1.4",
    "matplotlib>=3.8",
]
DEMO = ["matplotlib>=3.8"]
# gradio 6 wants a pillow below 13.
WEB = [*DEMO, "gradio>=6.30,<7", "pillow>=10,<13"]
# A test asks a model through `transformers serve`.
SERVE = [*ASK, "fastapi>=0.110", "uvicorn>=0.30"]
# What lmms-eval 0.7 imports to load a model, ask it and score tasks like ours. It is itself installed with --no-deps:
# it asks for av below 16, with which our reader does not work, and for dozens of packages of other models and tasks.
HARNESS = [
    "accelerate>=1.10",
    "evaluate>=0.4.6",
    "datasets>=4.7",
    "pycocoevalcap>=1.2",
    "filelock<4",  # lmms-eval patches what is gone in 4
    "loguru>=0.7",
    "pytablewriter>=1.2",
    "sacrebleu>=2.4",
    "tenacity>=8.3",
]
DEV = [
    *DEMO,
    *DATA,
    *TRAIN,
    *SERVE,
    *WEB,
    "evaluate>=0.4.6",
    "pycocoevalcap>=1.2",
    "scikit-learn>=1.4",
    "pytest>=8",
    "pytest-xdist>=3.6",
    "ruff>=0.12",
]

setup(
    name="holmes-vau",
    version=VERSION,
    description="Video anomaly understanding at any granularity, as a Hugging Face-native release",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    packages=find_packages(include=["modeling_holmes_vau*", "hivau70k_dataset*"]),
    package_data={
        "hivau70k_dataset": ["README.md", "prompts.json"],
        "hivau70k_dataset.harness": ["tasks/*"],
        "hivau70k_dataset.engine": ["prompts/*.txt"],
        "hivau70k_dataset.engine.review": ["*.css", "*.html", "*.js"],
        "modeling_holmes_vau.report": ["*.css", "*.js"],
        "modeling_holmes_vau.apps": ["*.css", "*.js"],
    },
    data_files=[
        (f"share/holmes-vau/{MINI.name}", [str(file) for file in MINI.glob("*") if file.is_file()]),
        *(
            (f"share/holmes-vau/metrics/{folder.name}", [str(file) for file in folder.glob("*.py")])
            for folder in METRICS
        ),
    ],
    python_requires=">=3.11",
    install_requires=REQUIRED,
    extras_require={
        "data": DATA,
        "train": TRAIN,
        "eval": EVAL,
        "harness": HARNESS,
        "demo": DEMO,
        "web": WEB,
        "dev": DEV,
    },
    entry_points={
        "console_scripts": ["holmes-vau = modeling_holmes_vau.cli:main"],
        "lmms_eval.models": ["holmes_vau = modeling_holmes_vau.harness:manifest"],
    },
)
