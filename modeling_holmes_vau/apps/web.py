"""The web page: drop a video in, see scores, events and words beside it, ask about it, try other settings.

Each visitor has a [`Viewing`] of their own. One thing at a time goes through the model; whoever waits is told their
place in line. Nothing is fetched from elsewhere.
"""

import html
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from urllib.parse import quote


os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # before the import
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

import gradio as gr

from ..base.commands import first_line
from ..levels_holmes_vau import LEVELS
from ..pipeline_holmes_vau import DEFAULT_PROMPT
from ..sampler_holmes_vau import SAMPLERS
from .limits import Limits, Shelf
from .viewing import WHOLE, Settings, Viewing


KEPT_S, SWEEP_S = 3600, 600  # uploads and visits are forgotten after an hour; how often that is looked after
MODEL = {"concurrency_id": "model", "concurrency_limit": 1}  # one thing at a time
PROGRESS = gr.Progress()  # gradio puts that of the visitor in its place
EMPTY = '<p class="note">Drop a video in, or choose one: its score curve and its events appear here.</p>'
FONTS = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "Noto Sans", "sans-serif"]
LEVEL_NAMES = {"the whole video": "video", "each event": "event", "clips of events": "clip"}


@dataclass(frozen=True)
class Page:
    """
    What a page shows, and with which model.

    Args:
        model (`HolmesVAUForConditionalGeneration`), processor (`HolmesVAUProcessor`): The checkpoint.
        model_name (`str`): What the page calls it.
        shelf ([`Shelf`]), limits ([`Limits`]): Videos to choose from, and what is refused.
    """

    model: object
    processor: object
    model_name: str
    shelf: Shelf = field(default_factory=Shelf)
    limits: Limits = field(default_factory=Limits)

    def open(self, path: str, settings: Settings, progress: gr.Progress) -> Viewing:
        """Read a video; `ValueError` in one line, without folders of this machine, if that cannot be."""

        def show(done: int, total: int) -> None:
            progress((done, total), desc="Reading the video", unit="frames")

        try:
            return Viewing(path, self.model, self.processor, self.model_name, settings, self.limits, show)
        except (ValueError, OSError) as error:
            raise ValueError(first_line(error).replace(path, Path(path).name)) from error


def settings_of(num_frames: float | None, stride: float | None, sampler: str, threshold: float) -> Settings:
    """Settings from what the fields of the page hold."""
    return Settings(int(num_frames or 0) or None, int(stride or 0) or None, sampler or None, float(threshold))


def problem(said: object) -> str:
    """Something that went wrong, in the place of what was to be shown."""
    return (
        f'<p class="warning" role="alert">{html.escape(first_line(said) if isinstance(said, Exception) else said)}</p>'
    )


def player(path: str) -> str:
    """The video in the page, played from the server. Only what was uploaded or offered is served."""
    return f'<video src="gradio_api/file={quote(path)}" controls preload="metadata" playsinline></video>'


# ---- what happens ---------------------------------------------------------------------------------------------------


class Actions:
    """What buttons and fields do; each answers with new contents of the page."""

    def __init__(self, page: Page):
        self.page = page

    def analyse(
        self,
        viewing: Viewing | None,
        path: str | None,
        levels: list[str],
        num_frames: float,
        stride: float,
        sampler: str,
        threshold: float,
        progress: gr.Progress = PROGRESS,
    ) -> Iterator[tuple]:
        """Read a video, show scores and events at once, then words as they are there."""
        if not path:
            yield self._shown(None, problem("No video is there: drop one in, or choose one."))
            return
        if viewing is not None:
            viewing.close()
        try:
            viewing = self.page.open(path, settings_of(num_frames, stride, sampler, threshold), progress)
            yield self._shown(viewing, said="Asking the language model \u2026", is_new=True)
            self._describe(viewing, levels, progress)
            yield self._shown(viewing)
        except (ValueError, OSError, RuntimeError, MemoryError) as error:
            yield self._shown(None, problem(error))

    def describe(
        self,
        viewing: Viewing | None,
        levels: list[str],
        progress: gr.Progress = PROGRESS,
    ) -> tuple:
        """Words about what the settings show now."""
        if viewing is None:
            return self._shown(None, problem("No video is there: drop one in, or choose one."))
        try:
            self._describe(viewing, levels, progress)
        except (ValueError, RuntimeError, MemoryError) as error:
            curve, words = viewing.view()
            return (viewing, gr.skip(), problem(error) + curve, words, *(gr.skip(),) * 3)
        return self._shown(viewing)

    def _describe(self, viewing: Viewing, levels: list[str], progress: gr.Progress) -> None:
        def show(done: int, total: int) -> None:
            progress((done, total), desc="Asking the language model", unit="answers")

        viewing.describe(levels=[LEVEL_NAMES[level] for level in levels], on_answer=show)

    def change(
        self, viewing: Viewing | None, num_frames: float, stride: float, sampler: str, threshold: float
    ) -> tuple:
        """Other frames and events from the scores that are there."""
        if viewing is None:
            return (gr.skip(),) * 6
        try:
            viewing.change(settings_of(num_frames, stride, sampler, threshold))
        except ValueError as error:
            return (gr.skip(), problem(error) + viewing.view()[0], *(gr.skip(),) * 4)
        return self._shown(viewing)[1:]

    def _shown(self, viewing: Viewing | None, said: str = "", is_new: bool = False) -> tuple:
        """State; player, curve, words, parts to talk about, report, analysis; `said` while something is missing."""
        parts = gr.update(choices=viewing.parts if viewing else [WHOLE], value=WHOLE)
        no_file = gr.update(value=None, interactive=False)
        if viewing is None:
            return None, "", said or EMPTY, "", parts, no_file, no_file
        files = [no_file, no_file]
        if not said:
            files = [gr.update(value=str(file), interactive=True) for file in viewing.files()]
        note = f'<p class="note" role="status">{html.escape(said)}</p>' if said else ""
        curve, words = viewing.view()
        return viewing, player(viewing.path) if is_new else gr.skip(), curve, note + words, parts, *files

    def ask(self, viewing: Viewing | None, question: str, part: str) -> Iterator[tuple[str, list[dict]]]:
        """The answer as it grows: the emptied field, and the conversation about the part."""
        if viewing is None:
            raise gr.Error("No video is there yet: drop one in, or choose one.")
        try:
            before = messages(viewing, part)
            for said in viewing.ask(question, part):
                yield "", [*before, {"role": "user", "content": question}, {"role": "assistant", "content": said}]
        except ValueError as error:
            raise gr.Error(first_line(error)) from error

    def talk_about(self, viewing: Viewing | None, part: str) -> list[dict]:
        """The conversation so far about a part."""
        return messages(viewing, part) if viewing else []

    def begin_anew(self, viewing: Viewing | None, part: str) -> None:
        """Forget the conversation about a part."""
        if viewing is not None and part in viewing.parts:
            viewing.chat(part).turns.clear()


def messages(viewing: Viewing, part: str) -> list[dict]:
    """The conversation about a part, as the page shows it."""
    if part not in viewing.parts:
        return []
    turns = viewing.chat(part).turns
    return [
        {"role": role, "content": text}
        for question, answer in turns
        for role, text in (("user", question), ("assistant", answer))
    ]


# ---- the interface for programs -------------------------------------------------------------------------------------


class Calls:
    """What programs call, by `gradio_client`: the functions behind the command line."""

    def __init__(self, page: Page):
        self.page = page

    def analyze(
        self,
        video: str | None,
        prompt: str | None = None,
        granularity: Sequence[str] = ("video", "event"),
        num_frames: float | None = None,
        stride: float | None = None,
        sampler: str | None = None,
        threshold: float | None = None,
        progress: gr.Progress = PROGRESS,
    ) -> tuple[dict, Viewing]:
        """The analysis of a video, as `holmes-vau analyze` writes it, and what `ask` asks about."""
        if not video:
            raise gr.Error("`video` is missing: pass handle_file(path).")
        try:
            settings = Settings(
                int(num_frames or 0) or None, int(stride or 0) or None, sampler or None, threshold or None
            )
            viewing = self.page.open(video, settings, progress)
            viewing.describe([prompt or DEFAULT_PROMPT], granularity or ())
        except (ValueError, OSError, RuntimeError, MemoryError) as error:
            raise gr.Error(first_line(error)) from error
        return viewing.analysis.to_json(), viewing

    def ask(self, viewing: Viewing | None, question: str, event: float = 0) -> str:
        """The answer to a question about the video analysed last by this client, or about one of its events."""
        if viewing is None:
            raise gr.Error("No video is there yet: call /analyze first.")
        number = int(event or 0)
        if not 0 <= number < len(viewing.parts):
            known = f"1 to {len(viewing.parts) - 1}, or 0 for the whole" if len(viewing.parts) > 1 else "0, the whole"
            raise gr.Error(f"There is no event {number}; there are {known}.")
        try:
            *_, answer = viewing.ask(question, viewing.parts[number])
        except ValueError as error:
            raise gr.Error(first_line(error)) from error
        return answer


def add_calls(page: Page) -> None:
    """`/analyze` and `/ask` for programs, which the page does not show."""
    calls, viewing = Calls(page), gr.State(time_to_live=KEPT_S, delete_callback=forget)
    with gr.Group(visible=False):
        video = gr.File(label="video")
        prompt = gr.Textbox(label="prompt")
        granularity = gr.CheckboxGroup(list(LEVELS), value=["video", "event"], label="granularity")
        num_frames, stride = gr.Number(label="num_frames", value=None), gr.Number(label="stride", value=None)
        sampler = gr.Dropdown([None, *SAMPLERS], value=None, label="sampler")
        threshold = gr.Number(label="threshold", value=None)
        analysis, question, event = gr.JSON(), gr.Textbox(label="question"), gr.Number(value=0, label="event")
        answer, run, ask = gr.Textbox(label="answer"), gr.Button(), gr.Button()
    inputs = [video, prompt, granularity, num_frames, stride, sampler, threshold]
    run.click(calls.analyze, inputs, [analysis, viewing], api_name="analyze", **MODEL)
    ask.click(calls.ask, [viewing, question, event], answer, api_name="ask", **MODEL)


def forget(viewing: Viewing | None) -> None:
    """A visitor is gone."""
    if viewing is not None:
        viewing.close()


# ---- the page -------------------------------------------------------------------------------------------------------


def build_app(page: Page) -> gr.Blocks:
    """The page, ready to be launched with [`launch`]."""
    actions = Actions(page)
    with gr.Blocks(title="Holmes-VAU", analytics_enabled=False, delete_cache=(SWEEP_S, KEPT_S)) as app:
        viewing, chosen = gr.State(time_to_live=KEPT_S, delete_callback=forget), gr.State()
        gr.HTML(_head(page), elem_classes="holmes")
        with gr.Row():
            with gr.Column(scale=2, min_width=280):
                sources, wanted, buttons, files = _left(page)
            with gr.Column(scale=5, min_width=320):
                results, (part, chat, question) = _right()
        outputs = [viewing, *results, part, *files]
        reading = (actions.analyse, [viewing, chosen, *wanted], outputs)
        private = {"api_visibility": "private"}
        shows = {"show_progress_on": results[1], **MODEL, **private}

        def from_shelf(name: str | None) -> tuple:
            return page.shelf.paths.get(name or ""), gr.update(value=None)

        file, shelf = sources
        starts = [
            file.upload(lambda path: (path, gr.update(value=None)), file, [chosen, shelf], **private),
            shelf.input(from_shelf, shelf, [chosen, file], **private),
        ]
        starts = [start.then(*reading, **shows) for start in starts] + [buttons["again"].click(*reading, **shows)]
        levels, *settings = wanted
        num_frames, _, sampler, threshold = settings
        for event in (threshold.change, sampler.input, num_frames.submit, num_frames.blur):
            starts.append(
                event(actions.change, [viewing, *settings], outputs[1:], trigger_mode="always_last", **shows)
            )
        # What has been said so far, whenever it is told: a question may have been asked by then. After one under way.
        conversation = (actions.talk_about, [viewing, part], chat)
        for start in starts:
            start.then(*conversation, **MODEL, **private)
        buttons["describe"].click(actions.describe, [viewing, levels], outputs, **shows)
        part.change(*conversation, **MODEL, **private)
        chat.clear(actions.begin_anew, [viewing, part], **private)
        said = [question, chat]
        question.submit(actions.ask, [viewing, question, part], said, api_name="say", **MODEL, **private)
        add_calls(page)
    return app


def _left(page: Page) -> tuple[tuple, list, dict, list]:
    """Where the video comes from, what is wanted, buttons, and files to take along."""
    config, names = page.model.config, list(page.shelf.paths)
    file = gr.File(label="Drop a video here", file_count="single", height=130, elem_id="upload")
    shelf = gr.Dropdown(names, value=None, label="or choose one", visible=bool(names), elem_id="shelf")
    described = ["the whole video", "each event"]
    levels = gr.CheckboxGroup(list(LEVEL_NAMES), value=described, label="Describe", elem_id="levels")
    with gr.Accordion("Settings", open=False, elem_id="settings"):
        threshold = gr.Slider(
            0.05, 1, config.event_threshold, step=0.05, label="Score that makes an event", elem_id="threshold"
        )
        sampler = gr.Dropdown(list(SAMPLERS), value=config.sampler, label="How frames are chosen", elem_id="sampler")
        num_frames = gr.Number(
            page.processor.num_frames, precision=0, minimum=1, label="Frames that the language model sees", elem_id="n"
        )
        describe = gr.Button("Describe with these settings", size="sm", elem_id="describe")
        stride = gr.Number(
            page.processor.frame_stride,
            precision=0,
            minimum=1,
            label="Score every so many frames",
            info="Another number reads the video again; the settings above do not.",
            elem_id="stride",
        )
        again = gr.Button("Read the video again", size="sm", elem_id="again")
    with gr.Row():
        report = gr.DownloadButton("Report (zip)", size="sm", interactive=False, elem_id="report")
        analysis = gr.DownloadButton("JSON", size="sm", interactive=False, elem_id="json")
    wanted = [levels, num_frames, stride, sampler, threshold]
    return (file, shelf), wanted, {"describe": describe, "again": again}, [report, analysis]


def _right() -> tuple[list, tuple]:
    """Player, curve and words; and the conversation."""
    film = gr.HTML("", elem_id="film", elem_classes="holmes")
    curve = gr.HTML(EMPTY, elem_id="curve", elem_classes="holmes")
    with gr.Tabs():
        with gr.Tab("What happens"):
            words = gr.HTML("", elem_id="words", elem_classes="holmes")
        with gr.Tab("Ask", elem_id="talk"):
            part = gr.Radio([WHOLE], value=WHOLE, label="About", elem_id="part")
            chat = gr.Chatbot(label="Conversation", height=320, elem_id="chat", buttons=[])
            question = gr.Textbox(
                show_label=False, placeholder="What happens here?", lines=1, submit_btn="Ask", elem_id="question"
            )
    return [film, curve, words], (part, chat, question)


def _head(page: Page) -> str:
    """Title, and what the model is good for."""
    warning = page.model.config.warning
    said = f"{html.escape(page.model_name)}: {html.escape(warning)}." if warning else html.escape(page.model_name)
    kind = "warning" if warning else "facts"
    most = f"{page.limits.max_mb:g} MB and {page.limits.max_minutes:g} minutes"
    limits = f"Videos of up to {most}; what is uploaded is deleted after an hour."
    return (
        "<header><h1>Holmes-VAU</h1><p>What is abnormal in a video: when, how much, and in words.</p>"
        f'<p class="{kind}">{said}</p><p class="facts">{html.escape(limits)}</p></header>'
    )


def _assets() -> tuple[str, str]:
    """Styles and script, those of the report with what a page that changes needs."""
    here, report = resources.files(__package__), resources.files("modeling_holmes_vau.report")

    def read(folder, name: str) -> str:
        return (folder / name).read_text(encoding="utf-8")

    inner = read(report, "common.css") + read(report, "page.css")
    style = f".holmes {{\n{inner}}}\n" + read(here, "web.css")
    script = read(report, "curve.js") + read(here, "web.js")
    return style, f"<script>{script}</script>"


def launch(app: gr.Blocks, page: Page, host: str = "127.0.0.1", port: int | None = None, block: bool = True) -> str:
    """
    Serve the page; returns its address.

    Args:
        app (`gr.Blocks`), page ([`Page`]): Of [`build_app`].
        host (`str`, *optional*, defaults to `"127.0.0.1"`): Where to listen; "0.0.0.0" lets other machines in.
        port (`int`, *optional*): The first free one from 7860 on by default.
        block (`bool`, *optional*, defaults to `True`): Serve until interrupted.
    """
    style, script = _assets()
    app.queue(default_concurrency_limit=8)
    _, address, _ = app.launch(
        server_name=host,
        server_port=port,
        share=False,
        quiet=True,
        prevent_thread_lock=True,
        show_error=True,
        footer_links=[],
        max_file_size=int(page.limits.max_mb * 1e6),
        allowed_paths=list(page.shelf.paths.values()),
        theme=gr.themes.Default(primary_hue="blue", font=FONTS, font_mono=["ui-monospace", "monospace"]),
        css=style,
        head=script,
        ssr_mode=False,
        pwa=False,
    )
    print(f"the page is at {address}", flush=True)
    if block:
        app.block_thread()
    return address
