"""Texts from texts: a causal language model of transformers on this machine, or any model behind a server."""

from abc import ABC, abstractmethod

from ..base.commands import first_line
from .answerer import NEW_TOKENS, Completion


class Writer(ABC):
    """What writes a text as a prompt asks for it."""

    @abstractmethod
    def write(self, prompt: str, schema: dict | None = None) -> Completion:
        """The text for a prompt, greedily.

        Args:
            prompt (`str`): What a user would say.
            schema (`dict`, *optional*): JSON schema that the text shall have, where the model can be held to one.
        """


class LocalWriter(Writer):
    """
    A causal language model of transformers.

    Args:
        model (`PreTrainedModel`), tokenizer (`PreTrainedTokenizerBase`): The checkpoint; the tokenizer has a chat
            template.
        max_new_tokens (`int`, *optional*, defaults to 1024): Longest text.
    """

    def __init__(self, model, tokenizer, max_new_tokens: int | None = None):
        self.model, self.tokenizer = model, tokenizer
        self.max_new_tokens = NEW_TOKENS if max_new_tokens is None else max_new_tokens

    def write(self, prompt: str, schema: dict | None = None) -> Completion:
        """The text for a prompt; `schema` is left aside: nothing holds a local model to it.

        Raises:
            `ValueError`: if prompt and text are longer than what the model holds.
        """
        messages = [{"role": "user", "content": prompt}]
        ids = self.tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        ids = ids.to(self.model.device)
        asked = ids["input_ids"].shape[1]
        context = self.model.config.get_text_config().max_position_embeddings
        if asked + self.max_new_tokens > context:
            raise ValueError(
                f"the prompt has {asked} tokens; with {self.max_new_tokens} of the text that is more than the "
                f"{context} that the model holds. Choose shorter videos, or a model that holds more."
            )
        pad = self.tokenizer.pad_token_id if self.tokenizer.pad_token_id is not None else self.tokenizer.eos_token_id
        options = {"do_sample": False, "num_beams": 1, "max_new_tokens": self.max_new_tokens, "pad_token_id": pad}
        new = self.model.generate(**ids, **options)[0, asked:]
        return Completion(self.tokenizer.decode(new, skip_special_tokens=True).strip(), asked, len(new))


def load_local_writer(
    name: str, device: str | None = None, dtype: str = "auto", max_new_tokens: int | None = None
) -> LocalWriter:
    """
    A causal language model on this machine.

    Args:
        name (`str`): Folder or Hub name.
        device (`str`, *optional*), dtype (`str`, *optional*, defaults to `"auto"`): As for
            `checkpoint.load.load_on_device`.
        max_new_tokens (`int`, *optional*): As for [`LocalWriter`].

    Raises:
        [`CheckpointError`]: one line, if it cannot be loaded, or has no chat template.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from ..checkpoint.folder import CheckpointError
    from ..checkpoint.load import check_device, quiet_transformers

    device = check_device(device)
    quiet_transformers()
    try:
        tokenizer = AutoTokenizer.from_pretrained(name)
        model = AutoModelForCausalLM.from_pretrained(name, dtype=dtype).to(device).eval()
    except Exception as error:  # whatever transformers, safetensors or the device say, it is about this checkpoint
        raise CheckpointError(
            f"--model {name}: is no language model that can be used here: {first_line(error)}"
        ) from error
    if not tokenizer.chat_template:
        raise CheckpointError(f"--model {name}: has no chat template; expected a language model tuned to chat")
    return LocalWriter(model, tokenizer, max_new_tokens)
