"""Who answers in words: a Holmes-VAU checkpoint, another vision-language checkpoint of transformers, or a server.

Each has the same methods, so that whoever needs answers about segments of videos asks in one way:

```python
>>> from modeling_holmes_vau.answering import load_answerer
>>> from modeling_holmes_vau.spans_holmes_vau import Segment
>>> answerer = load_answerer("checkpoints/holmes-vau-mini", device="cpu")  # doctest: +SKIP
>>> seen = answerer.look(Segment("street.mp4", (12.0, 20.5)))  # doctest: +SKIP
>>> answerer.ask(seen, "What happens here?")  # doctest: +SKIP
'A man breaks the window of a car.'

```
"""

from .answerer import Answerer, Completion, Reply
from .writer import Writer


__all__ = ["Answerer", "Completion", "Reply", "Writer", "load_answerer", "load_writer", "model_type"]


def model_type(name: str) -> str:
    """The `model_type` of a checkpoint folder or Hub name, of any that needs no conversion.

    Raises:
        `ValueError`: one line, if there is none.
    """
    from ..checkpoint.load import open_folder

    return open_folder(name, weights=False)[1]


def load_answerer(model: str, endpoint: str | None = None, **options) -> Answerer:
    """
    The answerer of a model.

    Args:
        model (`str`): Checkpoint folder or Hub name, or what the model is called behind `endpoint`.
        endpoint (`str`, *optional*): Address of a server, as `http://localhost:8000/v1`.
        options: `num_frames` and `max_new_tokens`; with a server those of `endpoint.load_endpoint` (`api_key`,
            `timeout_s`, `retries`, `concurrency`, `frames_as`), else those of `local.load_local` (`device`, `dtype`,
            `sampler`) or `rival.load_rival` (`device`, `dtype`, `processor_kwargs`, `trust_remote_code`, `frames_as`),
            as the checkpoint is.

    Raises:
        `ValueError`: one line, if the model cannot be loaded.
    """
    if endpoint is not None:
        from .endpoint import load_endpoint

        return load_endpoint(endpoint, model, **options)
    if model_type(model) == "holmes_vau":
        from .local import load_local

        return load_local(model, **options)
    from .rival import load_rival

    return load_rival(model, **options)


def load_writer(model: str, endpoint: str | None = None, **options) -> Writer:
    """
    A language model that writes texts from texts.

    Args:
        model (`str`): Checkpoint folder or Hub name of a causal language model with a chat template, or what the
            model is called behind `endpoint`.
        endpoint (`str`, *optional*): Address of a server.
        options: `max_new_tokens`; with a server `api_key`, `timeout_s` and `retries`, else `device` and `dtype`.

    Raises:
        `ValueError`: one line, if the model cannot be loaded.
    """
    if endpoint is not None:
        from .endpoint import ChatClient, EndpointWriter

        longest = options.pop("max_new_tokens", None)
        return EndpointWriter(ChatClient(endpoint, model, **options), longest)
    from .writer import load_local_writer

    return load_local_writer(model, **options)
