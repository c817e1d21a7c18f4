"""A tokenizer and a configuration for models of a few million weights, trained from scratch."""

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from ..configuration_holmes_vau import HolmesVAUConfig


VISUAL_TOKENS = ["<img>", "</img>", "<IMG_CONTEXT>"]
CHAT_TOKENS = ["<|im_start|>", "<|im_end|>"]
CORPUS = """A street seen by a fixed camera. People walk along the pavement and cars pass in both directions.
The anomaly exists, specifically an explosion. A flash is followed by a fireball and rising smoke, and people run.
The video shows no abnormal event: the traffic is ordinary and nobody is hurt.
Could you specify the anomaly events present in the video? Why do you judge this event to be anomalous?
Two men fight near a parked van. A robbery takes place in a shop. A car hits another car at the crossing and stops.
system user assistant Frame1: Frame2: Frame10: 0123456789"""


def build_small_tokenizer(corpus: str = CORPUS, vocab_size: int = 512) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer with InternVL's special tokens, trained on `corpus`; the same every time."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<s>", "</s>", *CHAT_TOKENS, *VISUAL_TOKENS]
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus.splitlines(), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="</s>",
        additional_special_tokens=[*CHAT_TOKENS, *VISUAL_TOKENS],
        clean_up_tokenization_spaces=False,
        padding_side="left",
    )


def small_config(tokenizer, image_size: int = 112, width: int = 64, layers: int = 2, **kwargs) -> HolmesVAUConfig:
    """Configuration of a model of about a million weights that fits `tokenizer`; `kwargs` go to `HolmesVAUConfig`."""
    vision = {
        "hidden_size": width,
        "num_hidden_layers": layers,
        "num_attention_heads": 4,
        "intermediate_size": 2 * width,
        "image_size": image_size,
        "patch_size": 14,
        "attention_bias": True,
    }
    text = {
        "model_type": "llama",
        "vocab_size": len(tokenizer),
        "hidden_size": width,
        "num_hidden_layers": layers,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "intermediate_size": 2 * width,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.convert_tokens_to_ids("<|im_end|>"),
        "max_position_embeddings": 32768,  # InternVL2-2B's
        "tie_word_embeddings": False,
    }
    scorer = {
        "hidden_size": width,
        "head_dim": width // 4,
        "intermediate_size": width,
        "classifier_hidden_size": width,
    }
    kwargs.setdefault("scorer_config", scorer)
    return HolmesVAUConfig(
        vision_config=vision,
        text_config=text,
        image_token_id=tokenizer.convert_tokens_to_ids("<IMG_CONTEXT>"),
        image_seq_length=(image_size // 14) ** 2 // 4,
        tie_word_embeddings=False,
        **kwargs,
    )
