import numpy as np
import pytest
import torch
from PIL import Image

from modeling_holmes_vau import HolmesVAUProcessor
from modeling_holmes_vau.processing_holmes_vau import flatten_videos
from tests.videos import moving_square, write_video


FRAME = "<img>" + "<IMG_CONTEXT>" * 4 + "</img>"


def text_of(processor, inputs, row=0):
    return processor.decode(inputs["input_ids"][row]).replace("</s>", "").removeprefix("<s>")


def test_prompt_layout(processor56):
    inputs = processor56(videos=moving_square(40), text="What?", num_frames=2, return_tensors="pt")
    system, user = text_of(processor56, inputs).split("<|im_end|>", 1)
    assert system.startswith("<|im_start|>system\n你是由上海人工智能实验室") and system.endswith("人工智能助手。")
    assert user == f"<|im_start|>user\nFrame1: {FRAME}\nFrame2: {FRAME}\nWhat?<|im_end|><|im_start|>assistant\n"
    assert inputs["input_ids"][0, 0] == processor56.tokenizer.bos_token_id


def test_turns_are_joined_without_newlines(processor56):
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "video"}, {"type": "text", "text": "a"}]},
        {"role": "assistant", "content": "b"},
        {"role": "user", "content": "c"},
    ]
    text = processor56.apply_chat_template(messages, add_generation_prompt=True)
    assert text == (
        "<|im_start|>system\nBe brief.<|im_end|><|im_start|>user\n<video>\na<|im_end|>"
        "<|im_start|>assistant\nb<|im_end|><|im_start|>user\nc<|im_end|><|im_start|>assistant\n"
    )


def test_every_kind_of_video_gives_the_same_input(processor56, tmp_path):
    array = moving_square(100)
    expected = processor56(videos=array, text="What?", return_tensors="pt")
    assert expected["pixel_values_videos"].dtype == torch.uint8
    kinds = {
        "tensor": torch.from_numpy(array),
        "channels first": array.transpose(0, 3, 1, 2),
        "arrays": list(array),
        "images": [Image.fromarray(frame) for frame in array],
        "list of one": [array],
        "nested": [[array]],
    }
    for kind, video in kinds.items():
        inputs = processor56(videos=video, text="What?", return_tensors="pt")
        assert inputs.keys() == expected.keys()
        assert all(torch.equal(inputs[name], expected[name]) for name in expected), kind
    path = write_video(tmp_path / "clip.mp4", frames=array)
    for video in (path, str(path)):
        pixels = processor56(videos=video, text="What?", return_tensors="pt")["pixel_values_videos"]
        assert pixels.shape == expected["pixel_values_videos"].shape
        assert (pixels.float() - expected["pixel_values_videos"].float()).abs().mean() < 8  # compression


def test_batches_are_padded_on_the_left(processor56):
    videos = [moving_square(100), moving_square(30)]
    inputs = processor56(videos=videos, text=["Why?", "What happens in the video?"], num_frames=2, return_tensors="pt")
    assert inputs["attention_mask"][0, 0] == 0 and inputs["attention_mask"][:, -1].all()
    assert inputs["video_num_frames"].tolist() == [7, 4]  # 30 frames: 0 and 16, and the middles 7 and 21
    assert inputs["video_selected"].tolist() == [[-1, -1], [1, 3]]
    assert inputs["video_frame_indices"].tolist() == [0, 16, 32, 48, 64, 80, 96, 0, 7, 16, 21]
    assert inputs["video_dense_mask"].tolist()[7:] == [True, False, True, False]


def test_segments_and_strides(processor56):
    inputs = processor56(
        videos=moving_square(300), text="a", fps=10.0, segment_s=(5.0, 25.0), frame_stride=20, num_frames=4,
        return_tensors="pt",
    )  # fmt: skip
    assert inputs["video_frame_indices"].tolist() == list(range(50, 250, 20))


def test_segment_equals_the_cut_clip(processor56):
    array = moving_square(300)
    whole = processor56(videos=array, text="a", fps=10.0, segment_s=(5.0, 8.0), num_frames=4, return_tensors="pt")
    cut = processor56(videos=array[50:80], text="a", num_frames=4, return_tensors="pt")
    assert torch.equal(whole["pixel_values_videos"], cut["pixel_values_videos"])
    assert (whole["video_frame_indices"] - 50).tolist() == cut["video_frame_indices"].tolist()
    assert torch.equal(whole["video_selected"], cut["video_selected"])


def test_images_take_internvl_tiles(processor56, model56):
    image = Image.fromarray(moving_square(1)[0])
    inputs = processor56(images=image, text="What is this?", return_tensors="pt")
    tiles = len(inputs["pixel_values"])
    assert text_of(processor56, inputs).count("<IMG_CONTEXT>") == 4 * tiles
    assert inputs["pixel_values"].shape[1:] == (3, 56, 56)
    assert model56.generate(**inputs, max_new_tokens=2).shape[1] == inputs["input_ids"].shape[1] + 2
    one = processor56(images=[image], text=["a"], images_kwargs={"crop_to_patches": False}, return_tensors="pt")
    assert len(one["pixel_values"]) == 1


def test_text_alone_and_lists(processor56):
    assert processor56(text="Why?")["input_ids"][0] == processor56.tokenizer("Why?")["input_ids"]


def test_saved_numbers_come_back(processor56, tmp_path):
    processor56.save_pretrained(tmp_path)
    loaded = HolmesVAUProcessor.from_pretrained(tmp_path)
    numbers = {k: v for k, v in processor56.to_dict().items() if k not in ("auto_map", "image_processor")}
    assert {k: loaded.to_dict()[k] for k in numbers} == numbers
    assert loaded.chat_template == processor56.chat_template
    assert loaded.image_processor.size == processor56.image_processor.size
    assert (loaded.image_size, loaded.image_seq_length, loaded.num_frames) == (56, 4, 12)


def test_flatten_videos():
    video = np.zeros((2, 4, 4, 3), np.uint8)
    assert flatten_videos("a.mp4") == (["a.mp4"], None)
    assert flatten_videos(["a.mp4", "b.mp4"]) == (["a.mp4", "b.mp4"], None)
    assert flatten_videos([["a.mp4"], [], ["b.mp4", "c.mp4"]]) == (["a.mp4", "b.mp4", "c.mp4"], [1, 0, 2])
    assert len(flatten_videos([video, video])[0]) == 2 and len(flatten_videos(list(video))[0]) == 1


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ({"videos": "a.mp4"}, ValueError, "`text` is required"),
        ({"text": "a", "audio": [1.0]}, ValueError, "`audio` is not supported"),
        ({"text": "a", "videos": "a.mp4", "images": [1]}, ValueError, "both `images` and `videos`"),
        ({"text": "a", "videos": []}, ValueError, "must be a path"),
        ({"text": ["a", "b"], "videos": ["a.mp4"]}, ValueError, r"1 video\(s\) for 2 prompt"),
        ({"text": "<video> <video>", "videos": ["a.mp4"]}, ValueError, r"ask for \[2\]"),
        ({"text": "a", "videos": "/nowhere/a.mp4"}, ValueError, "/nowhere/a.mp4"),
        ({"text": "a", "video": "a.mp4"}, TypeError, "Unknown argument.*video"),
    ],
)
def test_mistakes_are_named(processor56, arguments, error, said):
    with pytest.raises(error, match=said):
        processor56(**arguments)
