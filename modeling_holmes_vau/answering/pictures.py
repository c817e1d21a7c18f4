"""Frames as parts of a message, in the form of OpenAI's chat completions."""

import base64
import io
from collections.abc import Sequence

from .answerer import VIDEO


JPEG_QUALITY = 90
PNG = "png"  # in the place of a quality: without loss


def encode_picture(frame, quality: int | str = JPEG_QUALITY) -> str:
    """A frame (`PIL.Image.Image`) as JPEG of a quality from 1 to 100, or as `"png"`, in base64."""
    file = io.BytesIO()
    if quality == PNG:
        frame.save(file, "PNG")
    else:
        frame.save(file, "JPEG", quality=quality)
    return base64.b64encode(file.getvalue()).decode("ascii")


def frame_parts(
    frames: Sequence, frames_as: str, quality: int | str = JPEG_QUALITY, labels: bool = False
) -> list[dict]:
    """
    Frames as parts of a message.

    Args:
        frames (`list[PIL.Image.Image]`): The frames.
        frames_as (`str`): `"video"`: all in one `data:video/jpeg` address, comma between them, which vLLM shows the
            model as a video and does not sample again (it tells PNG by its first bytes). Else a picture each.
        quality (`int` or `"png"`, *optional*, defaults to 90): Of the JPEGs.
        labels (`bool`, *optional*, defaults to `False`): Whether `Frame1: ` and so on stand between pictures, as they
            do in a prompt of ours.
    """
    encoded = [encode_picture(frame, quality) for frame in frames]
    if frames_as == VIDEO:
        return [{"type": "video_url", "video_url": {"url": f"data:video/jpeg;base64,{','.join(encoded)}"}}]
    kind, parts = "png" if quality == PNG else "jpeg", []
    for number, frame in enumerate(encoded, 1):
        parts += [{"type": "text", "text": f"Frame{number}: "}] if labels else []
        parts.append({"type": "image_url", "image_url": {"url": f"data:image/{kind};base64,{frame}"}})
    return parts
