"""HIVAU-70k: the dataset, its tools, and a small synthetic stand-in that needs no download."""

__all__ = ["render_demo_video"]


def __getattr__(name: str):
    # Loaded on first use: the drawing and video libraries stay out of a plain import, and
    # `python -m hivau70k_dataset.miniature` does not find its own module already imported.
    if name == "render_demo_video":
        from .miniature import render_demo_video

        return render_demo_video
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
