"""The rules of the house, read from the imports; `docs/house.md` says what they are for."""

import ast
import subprocess
import sys
from collections import defaultdict
from graphlib import CycleError, TopologicalSorter
from pathlib import Path, PurePath

import pytest
from transformers.dynamic_module_utils import get_relative_import_files


ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "modeling_holmes_vau"
SUFFIX = "_holmes_vau.py"
SHIPPED = "modeling_holmes_vau/*"  # the room of the files that every checkpoint carries

# Rooms from the ground up; a floor may use itself and what is below it.
FLOORS = (
    ("modeling_holmes_vau/base",),
    (SHIPPED,),
    ("modeling_holmes_vau/checkpoint", "modeling_holmes_vau/report", "modeling_holmes_vau/answering"),
    ("modeling_holmes_vau/cli", "modeling_holmes_vau/apps", "modeling_holmes_vau/live", "modeling_holmes_vau/harness"),
    ("hivau70k_dataset",),
    ("hivau70k_dataset/cli", "hivau70k_dataset/miniature", "hivau70k_dataset/engine", "hivau70k_dataset/harness"),
    ("training", "eval/frames", "eval/answers", "eval/paper", "eval/metrics"),
    ("scripts", "space"),
    ("benchmarks",),
)
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
# What the dataset package uses of the other: its rooms, and those shipped files that need no model. The engine, which
# asks a scorer for events, uses two more.
DATASET_USES = {"modeling_holmes_vau/base", "modeling_holmes_vau/answering", "modeling_holmes_vau/checkpoint"}
DATASET_USES_SHIPPED = {
    "events",
    "frame_rule",
    "judgement",
    "spans",
    "video_packets",
    "video_processing",
    "video_reader",
}
ENGINE_USES_SHIPPED = {"levels", "session"}
# Saving ships the pipeline because the model's file imports it.
ACCEPTED = ("modeling_holmes_vau.modeling_holmes_vau", "modeling_holmes_vau.pipeline_holmes_vau")
BASE_USES = {"filelock", "tqdm"}  # beside the standard library: a lock, and the bar of `progress`


def room_of(path: PurePath) -> str:
    """The room of a file, by its path from the root."""
    parts = path.parts
    if parts[0] == "modeling_holmes_vau":
        return SHIPPED if len(parts) == 2 and path.name.endswith(SUFFIX) else "/".join(parts[:2]).removesuffix(".py")
    if parts[0] == "hivau70k_dataset":
        if parts[1] in ("cli.py", "__main__.py"):
            return "hivau70k_dataset/cli"
        return "/".join(parts[:2]) if len(parts) > 2 else "hivau70k_dataset"
    if parts[0] == "eval":
        return "/".join(parts[:2]) if len(parts) > 2 else "scripts"
    return "scripts" if len(parts) == 1 else parts[0]


def our_files() -> dict[str, Path]:
    """Every file of ours that is no test, by its module."""
    listed = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    paths = [Path(line) for line in listed.splitlines() if (ROOT / line).is_file()]
    kept = [path for path in paths if path.parts[0] not in ("tests", "checkpoints") and path.name != "setup.py"]
    return {".".join(path.with_suffix("").parts).removesuffix(".__init__"): path for path in kept}


FILES = our_files() if (ROOT / ".git").exists() else {}
# The packages' own tables of public names load on first use, and import nothing.
ENTRIES = {"modeling_holmes_vau", "modeling_holmes_vau.__main__", "hivau70k_dataset"}


def imports_of(module: str) -> set[str]:
    """The modules that a file imports, wherever in it: ours as the file they are in, others by their first name."""
    path, found = FILES[module], set()
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, *base.split(".")] if base else above)
            found |= {name if (name := f"{base}.{alias.name}") in FILES else base for alias in node.names}
    return {name if name in FILES else name.split(".")[0] for name in found} - {module, "__future__"}


needs_git = pytest.mark.skipif(not FILES, reason="the files of the project are those that git lists")


@needs_git
def test_imports_go_down():
    upward = [
        f"{module} imports {used}, which is above it"
        for module in sorted(FILES.keys() - ENTRIES)
        for used in sorted(imports_of(module) & FILES.keys() - ENTRIES)
        if FLOOR[room_of(FILES[used])] > FLOOR[room_of(FILES[module])]
    ]
    assert not upward, "\n".join(upward)


@needs_git
def test_the_dataset_uses_little_of_the_model():
    strange = []
    for module in sorted(module for module in FILES.keys() - ENTRIES if module.startswith("hivau70k_dataset")):
        for used in sorted(imports_of(module) & FILES.keys() - ENTRIES):
            room, name = room_of(FILES[used]), used.rpartition(".")[2].removesuffix("_holmes_vau")
            more = ENGINE_USES_SHIPPED if room_of(FILES[module]) == "hivau70k_dataset/engine" else set()
            if room.startswith("modeling") and not (
                room in DATASET_USES or (room == SHIPPED and name in DATASET_USES_SHIPPED | more)
            ):
                strange.append(f"{module} imports {used}")
    assert not strange, "\n".join(strange)


@needs_git
def test_rooms_and_shipped_files_make_no_circle():
    rooms, shipped = defaultdict(set), defaultdict(set)
    for module in FILES.keys() - ENTRIES:
        for used in imports_of(module) & FILES.keys() - ENTRIES:
            one, other = room_of(FILES[module]), room_of(FILES[used])
            if one != other:
                rooms[one].add(other)
            elif one == SHIPPED and (module, used) != ACCEPTED:
                shipped[module].add(used)
    for graph in (rooms, shipped):
        try:
            TopologicalSorter(graph).prepare()
        except CycleError as error:
            raise AssertionError(f"a circle: {' <- '.join(error.args[1])}") from None


def test_the_suffix_means_shipped():
    """All and only the flat files with the suffix are what `save_pretrained` copies."""
    there = {path.name for path in PACKAGE.glob("*.py")} - {"__init__.py", "__main__.py"}
    entries = ("configuration", "modeling", "processing")  # of the Auto classes
    found = {f"{name}{SUFFIX}" for name in entries}
    for name in entries:
        found |= {Path(file).name for file in get_relative_import_files(PACKAGE / f"{name}{SUFFIX}")}
    assert there == found and all(name.endswith(SUFFIX) for name in there)
    assert not [path for path in PACKAGE.rglob(f"*/*{SUFFIX}")]


@needs_git
def test_shipped_files_import_each_other_alone():
    shipped = {module for module in FILES if room_of(FILES[module]) == SHIPPED}
    strange = [(module, used) for module in shipped for used in imports_of(module) & FILES.keys() - shipped]
    assert not strange


@needs_git
def test_the_ground_floor_stands_on_the_standard_library():
    floor = {module for module in FILES if module.startswith("modeling_holmes_vau.base")}
    others = {module: imports_of(module) - FILES.keys() - sys.stdlib_module_names - BASE_USES for module in floor}
    assert not {module: names for module, names in others.items() if names}
