"""How many answers a coding of the frames leaves as they are, as `analyze --endpoint --jpeg-quality Q` sends them.

    python benchmarks/bench_jpeg.py VIDEO ... [--model DIR] [--json FILE]

The chosen frames of each video are answered about as they are, and as each coding leaves them, by one checkpoint; no
server is needed, since one says the same of the same pictures (`make test-vllm`).
"""

import base64
import io
import json
import sys
from pathlib import Path


sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np  # noqa: E402
import torch  # noqa: E402
from PIL import Image  # noqa: E402

from modeling_holmes_vau import VideoSession  # noqa: E402
from modeling_holmes_vau.answering.pictures import encode_picture  # noqa: E402
from modeling_holmes_vau.base.parser import Parser  # noqa: E402
from modeling_holmes_vau.base.progress import Progress  # noqa: E402
from modeling_holmes_vau.checkpoint.load import load_on_device  # noqa: E402
from modeling_holmes_vau.levels_holmes_vau import ANALYSIS, CAPTION, DESCRIPTION, JUDGEMENT  # noqa: E402


CODINGS = ("png", 95, 90, 75, 50)
QUESTIONS = (JUDGEMENT, DESCRIPTION, ANALYSIS, CAPTION)


def answers_about(session: VideoSession, frames: torch.Tensor) -> list[str]:
    """Answers to the questions about frames, uint8 `(n, 3, height, width)`."""
    encoded = session.model.encode_video(frames, selected=list(range(len(frames))))
    return session.answer_batch([[(question, None)] for question in QUESTIONS], [encoded] * len(QUESTIONS))


def coded(frames: torch.Tensor, coding: str | int) -> tuple[torch.Tensor, int]:
    """What a coding leaves of frames, and the bytes that it takes."""
    sent = [base64.b64decode(encode_picture(Image.fromarray(f.permute(1, 2, 0).numpy()), coding)) for f in frames]
    pictures = np.stack([np.asarray(Image.open(io.BytesIO(data))) for data in sent])
    return torch.from_numpy(pictures).permute(0, 3, 1, 2), sum(map(len, sent))


def measure(videos: list[str], model, processor) -> dict[str, dict[str, float]]:
    """Of each coding: `unchanged`, the share of answers, and `kilobytes` of a frame."""
    same, size, count = dict.fromkeys(CODINGS, 0), dict.fromkeys(CODINGS, 0), 0
    for video in Progress(videos, "videos", unit="video"):
        session = VideoSession(video, model, processor)
        frames = session.stream.read(session.shown())
        expected, count = answers_about(session, frames), count + len(frames)
        for coding in CODINGS:
            left, num_bytes = coded(frames, coding)
            same[coding] += sum(map(str.__eq__, answers_about(session, left), expected))
            size[coding] += num_bytes
    asked = len(videos) * len(QUESTIONS)
    return {str(c): {"unchanged": same[c] / asked, "kilobytes": size[c] / count / 1000} for c in CODINGS}


def main(argv: list[str] | None = None) -> int:
    """Print the table; the status."""
    parser = Parser("bench_jpeg.py", description=__doc__.splitlines()[0])
    parser.add_argument("videos", nargs="+", metavar="VIDEO")
    parser.add_argument("--model", metavar="DIR", help="a checkpoint; default: holmes-vau-mini")
    parser.add_argument("--json", metavar="FILE", help="write the figures there too")
    args = parser.parse_args(argv)
    found = measure(args.videos, *load_on_device(args.model, None, "auto"))
    print(
        f"{len(args.videos)} videos, {len(QUESTIONS)} questions each\n{'coding':8}{'unchanged':>10}{'kB a frame':>12}"
    )
    for coding, row in found.items():
        print(f"{coding:8}{row['unchanged']:10.3f}{row['kilobytes']:12.2f}")
    if args.json:
        Path(args.json).write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
