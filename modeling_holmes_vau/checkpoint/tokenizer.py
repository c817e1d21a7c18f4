"""InternLM2's SentencePiece tokenizer -> a fast tokenizer with the same ids and the same decoded text."""

from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, processors
from transformers import PreTrainedTokenizerFast

from .folder import CheckpointError, check_no_pointer, part_of, read_object, readable, told_in_a_line
from .load import load_tokenizer


PROMPT_TOKENS = ("<|im_start|>", "<|im_end|>", "<img>", "</img>", "<IMG_CONTEXT>")
# What a converted tokenizer is checked on against SentencePiece itself.
TOKENIZER_SAMPLES = [
    "Could you specify the anomaly events present in the video?",
    "  leading, trailing and   inner spaces, tabs\tand\nlines ",
    "Timestamp 00:01:02.5, 30fps; the man's car — exploded! 视频中发生了爆炸。🚨 ünïcödé",
]


def bpe_merges(scores: dict[str, float], vocab: dict[str, int]) -> list[tuple[str, str]]:
    """Merges of a SentencePiece BPE model, which stores only the score of each merged piece."""
    ranked = []
    for piece, score in scores.items():
        splits = [(piece[:i], piece[i:]) for i in range(1, len(piece))]
        known = [(left, right) for left, right in splits if left in vocab and right in vocab]
        ranked += [(-score, vocab[left], vocab[right], left, right) for left, right in known]
    return [(left, right) for *_, left, right in sorted(ranked)]


def read_sentencepiece(path: Path):
    """The SentencePiece model at `path`, as a protobuf message."""
    try:
        from sentencepiece import sentencepiece_model_pb2
    except ImportError as error:
        raise ImportError("Converting a SentencePiece tokenizer needs: pip install sentencepiece protobuf") from error
    check_no_pointer(path)
    model = sentencepiece_model_pb2.ModelProto()
    with told_in_a_line(str(path), "is no SentencePiece model, copy or download it again"):
        model.ParseFromString(path.read_bytes())
    if not model.pieces:
        raise CheckpointError(f"{path}: holds no tokens: copy or download it again")
    if model.trainer_spec.model_type != sentencepiece_model_pb2.TrainerSpec.BPE:
        raise ValueError(f"{path}: expected a SentencePiece BPE model, got type {model.trainer_spec.model_type}.")
    return model


def fast_tokenizer_from_sentencepiece(path: Path, added: dict[int, str]) -> Tokenizer:
    """A `tokenizers` object that encodes and decodes as InternLM2's slow tokenizer does with the model at `path`.

    `added` maps ids to tokens beyond the model's. Some stand on ids of the model: InternLM2's chat tokens replace
    pieces named `[UNUSED_TOKEN_...]`.
    """
    proto = read_sentencepiece(path)
    pieces = list(proto.pieces)
    vocab = {added.get(index, piece.piece): index for index, piece in enumerate(pieces)}
    kept = [piece for piece in pieces if piece.piece in vocab]
    scores = {piece.piece: piece.score for piece in kept if piece.type == piece.NORMAL and len(piece.piece) > 1}
    unknown = next(piece.piece for piece in pieces if piece.type == piece.UNKNOWN)
    tokenizer = Tokenizer(
        models.BPE(
            vocab,
            bpe_merges(scores, vocab),
            unk_token=unknown,
            fuse_unk=True,
            byte_fallback=proto.trainer_spec.byte_fallback,
        )
    )
    prefix = proto.normalizer_spec.add_dummy_prefix
    steps = [normalizers.Precompiled(charsmap)] if (charsmap := proto.normalizer_spec.precompiled_charsmap) else []
    if proto.normalizer_spec.remove_extra_whitespaces:
        steps += [normalizers.Strip(), normalizers.Replace(Regex(" {2,}"), " ")]
    steps += [normalizers.Prepend("▁")] if prefix else []
    tokenizer.normalizer = normalizers.Sequence([*steps, normalizers.Replace(" ", "▁")])
    strip = [decoders.Strip(" ", 1, 0)] if prefix else []
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), *strip]
    )
    user_defined = [piece.piece for piece in kept if piece.type == piece.USER_DEFINED]
    tokenizer.add_tokens([AddedToken(token, normalized=False) for token in user_defined])
    tokenizer.add_special_tokens([AddedToken(added[index], normalized=False) for index in sorted(added)])
    moved = {index: token for index, token in added.items() if tokenizer.token_to_id(token) != index}
    if moved:
        raise ValueError(
            f"{path}: added tokens {moved} do not follow the {len(pieces)} pieces of the model one by one."
        )
    return tokenizer


def added_tokens(checkpoint: Path, settings: dict) -> dict[int, str]:
    """Ids and names of the tokens that `added_tokens.json` and `tokenizer_config.json` add to the model's."""
    file = checkpoint / "added_tokens.json"
    listed = read_object(file) if file.exists() else {}
    decoder = part_of(settings, "added_tokens_decoder", checkpoint / "tokenizer_config.json")
    try:
        return {int(index): str(token) for token, index in listed.items()} | {
            int(index): str(entry["content"]) for index, entry in decoder.items()
        }
    except (TypeError, ValueError, KeyError) as error:
        raise CheckpointError(
            f"{checkpoint}: added_tokens.json must map tokens to numbers, and `added_tokens_decoder` of "
            "tokenizer_config.json numbers to tokens with `content`: copy or download them again"
        ) from error


def convert_tokenizer(checkpoint: Path) -> PreTrainedTokenizerFast:
    """
    The checkpoint's tokenizer as a fast tokenizer: InternLM2's `tokenizer.model` converted, any other as it is.

    Raises:
        `ValueError`: if the converted tokenizer encodes a sample differently from the SentencePiece model.
    """
    model_file = checkpoint / "tokenizer.model"
    if not model_file.exists():
        if not any((checkpoint / name).is_file() for name in ("tokenizer.json", "vocab.json")):
            raise CheckpointError(
                f"{checkpoint}: no tokenizer.model and no tokenizer.json in it: copy or download one"
            )
        with readable(checkpoint) as folder, told_in_a_line(str(checkpoint), "its tokenizer cannot be loaded"):
            tokenizer = load_tokenizer(folder)
        check_prompt_tokens(tokenizer, checkpoint)
        return tokenizer
    settings_file = checkpoint / "tokenizer_config.json"
    if not settings_file.is_file():
        raise CheckpointError(f"{settings_file}: not found beside tokenizer.model: copy or download it")
    settings = read_object(settings_file)
    added = added_tokens(checkpoint, settings)
    fast = fast_tokenizer_from_sentencepiece(model_file, added)
    named = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "</s>", "unk_token": "<unk>"}
    for name, default in named.items():
        token = settings.get(name, default)
        named[name] = token["content"] if isinstance(token, dict) else token
    bos = named["bos_token"]
    fast.post_processor = processors.TemplateProcessing(
        single=f"{bos} $A", pair=f"{bos} $A {bos} $B", special_tokens=[(bos, fast.token_to_id(bos))]
    )
    check_tokenizer(fast, model_file)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=fast,
        **named,
        additional_special_tokens=[added[index] for index in sorted(added) if added[index] not in named.values()],
        clean_up_tokenization_spaces=False,
        model_max_length=settings.get("model_max_length", int(1e30)),
        padding_side="left",
    )
    check_prompt_tokens(tokenizer, checkpoint)
    return tokenizer


def check_prompt_tokens(tokenizer, checkpoint: Path) -> None:
    """Each chat and visual token of the prompt must be one token, or turns never end and frames find no place."""
    for token in PROMPT_TOKENS:
        ids = tokenizer(token, add_special_tokens=False)["input_ids"]
        if len(ids) != 1 or ids[0] == tokenizer.unk_token_id:
            raise ValueError(f"{checkpoint}: the tokenizer has no token {token}, expected that of an InternVL2 model.")


def check_tokenizer(fast: Tokenizer, model_file: Path) -> None:
    """Compare the converted tokenizer with SentencePiece itself on text that exercises both."""
    from sentencepiece import SentencePieceProcessor

    slow = SentencePieceProcessor(str(model_file))
    for sample in TOKENIZER_SAMPLES:
        got, expected = fast.encode(sample, add_special_tokens=False).ids, slow.encode(sample)
        if got != expected:
            raise ValueError(
                f"{model_file}: the fast tokenizer encodes {sample!r} as {got}, SentencePiece as {expected}."
            )
