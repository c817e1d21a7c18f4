"""Questions in batches: the answers of one by one, no question twice, and what transformers does for one row alone."""

import pytest
from transformers import TextStreamer

from modeling_holmes_vau import VideoChat, VideoSession, analyze_video, cli
from modeling_holmes_vau.asking_holmes_vau import Question, answer_all, answer_batch, default_batch_size
from modeling_holmes_vau.levels_holmes_vau import ANALYSIS, CAPTION, CONTEXT, JUDGEMENT, describe_levels
from modeling_holmes_vau.pipeline_holmes_vau import DEFAULT_PROMPT
from tests.passes import passes_of
from tests.videos import write_video


LONG = {"max_new_tokens": 8}


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return write_video(tmp_path_factory.mktemp("asking") / "street.mp4", num_frames=700)  # 28 s


@pytest.fixture
def session(video, model56, processor56):
    """With two events, whatever the scores of an untrained scorer are."""
    session = VideoSession(video, model56, processor56, num_frames=4)
    scores = session.scores.clone().fill_(0.1)
    scores[5:25], scores[30:43] = 0.9, 0.8  # 3.2 to 16.0 s, 19.2 to 27.52 s
    session.encoder.scores = lambda: scores
    return session


@pytest.fixture
def batches(model56, monkeypatch):
    """The number of rows of each call of `generate`."""
    rows, generate = [], type(model56).generate

    def counted(self, inputs=None, *args, **kwargs):
        rows.append(len(kwargs["input_ids"]))
        return generate(self, inputs, *args, **kwargs)

    monkeypatch.setattr(type(model56), "generate", counted)
    return rows


def one_by_one(session, questions: list[Question], **options) -> dict[Question, str]:
    chats = [(question, session.chat(question.span_s, question.context)) for question in questions]
    return {question: chat.ask(question.words, **options) for question, chat in chats}


def test_a_batch_answers_as_one_by_one(session):
    spans = [(3.2, 16.0), (19.2, 27.52)]
    questions = [Question("What happens in this video, and who is to be seen?"), Question("Why?")]
    questions += [Question(words, span, CONTEXT) for span in spans for words in (JUDGEMENT, ANALYSIS)]
    questions += [Question(CAPTION, (start_s, start_s + 4)) for start_s in (4, 8, 20)]
    alone = one_by_one(session, questions, **LONG)
    assert len({*alone.values()}) > 3  # they tell questions apart
    for size in (1, 2, 3, 32):
        assert answer_all(session, questions, size, **LONG) == alone


def test_all_levels_are_equal_at_any_batch_size(session, batches):
    levels = [describe_levels(session, batch_size=size, **LONG) for size in (1, 4, 16)]
    assert levels[0] == levels[1] == levels[2]
    assert [len(event["clips"]) for event in levels[0]["events"]] == [3, 2]
    # 3 questions about the whole and each event, one a clip
    assert batches[:14] == [1] * 14 and batches[14:] == [4, 4, 4, 2, 14]


def test_a_question_that_is_there_twice_is_asked_once(session, batches, video, model56, processor56):
    told = []
    questions = [Question("What?"), Question("Why?"), Question("What?"), Question("What?", (3.2, 16.0))]
    answers = answer_all(session, questions, on_answer=lambda *counts: told.append(counts), **LONG)
    assert batches == [3] and told == [(1, 3), (2, 3), (3, 3)] and len(answers) == 3
    batches.clear()
    prompts = [DEFAULT_PROMPT, "What?", "What?"]
    options = {"granularity": ["video"], "event_threshold": 1.0, "max_new_tokens": 3}
    analysis = analyze_video(video, model56, processor56, prompts, **options)
    assert sum(batches) == 3  # the usual question is the description of the whole; judgement; "What?"
    assert [one["question"] for one in analysis.answers] == [DEFAULT_PROMPT, "What?", "What?"]
    assert analysis.answer == analysis.annotation["description"] and analysis.annotation["judgement"]


def test_what_is_encoded_is_encoded_once(session):
    whole, encoded, spans = session.encoded(), session.encoded, []
    session.encoded = lambda *part: spans.append(part) or encoded(*part)
    questions = [Question(words, (3.2, 16.0), CONTEXT) for words in (JUDGEMENT, ANALYSIS)] + [Question("What?")]
    answer_all(session, questions, 2, whole=whole, max_new_tokens=1)
    assert spans == [((3.2, 16.0), CONTEXT)]


def test_what_is_done_for_one_row_alone_is_done_one_by_one(session, batches, processor56, capsys):
    questions = [Question("What?"), Question("Why?")]
    alone = answer_all(session, questions, 1, **LONG)
    assert answer_all(session, questions, prompt_lookup_num_tokens=2, **LONG) == alone and batches == [1] * 4
    streamer = TextStreamer(processor56.tokenizer, skip_prompt=True, skip_special_tokens=True)
    assert answer_all(session, questions, 8, streamer=streamer, **LONG) == alone and batches == [1] * 6
    assert all(answer in capsys.readouterr().out for answer in [*alone.values()][:1])


def test_several_sequences_a_row_and_beams(session, model56, processor56):
    questions = [Question("What?"), Question("Why?", (3.2, 16.0))]
    alone = answer_all(session, questions, 1, num_beams=2, **LONG)
    assert answer_all(session, questions, 2, num_beams=2, **LONG) == alone
    many = {"num_beams": 2, "num_return_sequences": 2, "return_dict_in_generate": True}
    assert answer_all(session, questions, 2, **many, **LONG) == alone


def test_padding_is_no_part_of_a_question(session, model56, processor56):
    """Rows of very different lengths, each with its own frames."""
    videos = [session.encoded((0, 10)), session.encoded((10, 20))]
    turns = [[("Why?", None)], [("Is there a person who runs, falls or throws something? " * 8, None)]]
    with passes_of(model56.model.language_model) as passes:
        both = answer_batch(model56, processor56, turns, videos, **LONG)
    mask = passes[0]["attention_mask"]
    assert both == [answer_batch(model56, processor56, [t], [v], **LONG)[0] for t, v in zip(turns, videos)]
    assert mask is not None and len(passes[0]["inputs_embeds"]) == 2


def test_batches_hold_so_many_tokens_of_frames(processor56, session):
    tokens = processor56.image_seq_length
    assert [default_batch_size(processor56, 16384 // tokens // n) for n in (1, 3, 100)] == [1, 3, 8]
    assert default_batch_size(processor56, 16384) == 1
    with pytest.raises(ValueError, match="`batch_size` must be at least 1, got 0"):
        answer_all(session, [Question("What?")], 0)


def test_words_for_pictures_are_refused_before_anything_is_asked(session, batches, processor56):
    with pytest.raises(ValueError, match="holds <video>, which stands for pictures"):
        answer_all(session, [Question("What?"), Question(f"Is {processor56.video_token} red?")])
    with pytest.raises(ValueError, match="which stands for pictures"):
        VideoChat(session.encoded(), session.model, processor56).ask(processor56.image_token)
    assert not batches


def test_the_command_line_takes_a_batch_size(video, checkpoint56, batches, capsys):
    line = ["analyze", str(video), "--model", str(checkpoint56), "--device", "cpu", "--json", "--max-new-tokens", "4"]
    said = []
    for size in ("1", "2"):
        assert cli.main([*line, "--granularity", "video", "--prompt", "What?", "--batch-size", size]) == 0
        said.append(capsys.readouterr().out)
    strip = [text[: text.index('"seconds"')] for text in said]
    assert strip[0] == strip[1] and max(batches) == 2
    assert cli.main([*line, "--batch-size", "0"]) == 1
    assert "--batch-size must be at least 1, got 0" in capsys.readouterr().err
