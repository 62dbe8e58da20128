"""Note which characters of a prompt, text or stop text the model does not know."""

from collections import Counter
from collections.abc import Sequence

from components.command_line import counted, print_error
from components.errors import UserError
from components.ingest.documents import END
from serving.client.errors import ClientError
from serving.client.unknown import split
from serving.commands.shared.model_source import Model

_SHOWN = 10  # different characters, at most


def note(model: Model, texts: Sequence[str], what: str) -> None:
    """Print a line on standard error if the model does not know some characters of texts.

    Args:
      model: whose result is printed already, so a model that does not answer this is no error.
      texts: prompts, or parts of a text.
      what: names them in the line.
    """
    unknown = _unknown(model, texts)
    counts = Counter(one for text in texts for one in split(text) if one in unknown)
    if not counts:
        return
    total, different = counts.total(), len(counts)
    shown = ", ".join(repr(one) for one, _ in counts.most_common(_SHOWN)) + (" ..." if different > _SHOWN else "")
    subject = counted(total, "character")
    print_error(
        f"note: {subject} of the {what} {'is' if total == 1 else 'are'} unknown to the model, whose training text does "
        f"not have {'it' if different == 1 else f'these {different:,}'}: {shown}"
    )


def note_stop(model: Model, stop: str) -> None:
    """Print a line on standard error if the model can never generate a stop text; arguments as for `note`."""
    unknown = _unknown(model, [stop])
    if END in unknown:
        print_error(
            "note: --until-end has no effect: the model was trained without corpus.documents, so none of its texts "
            "has an end"
        )
    elif unknown:
        shown = ", ".join(map(repr, sorted(unknown)))
        print_error(f"note: --stop has no effect: the training text of the model does not have {shown}")


def _unknown(model: Model, texts: Sequence[str]) -> set[str]:
    try:
        return set(model.unknown(texts))
    except (ClientError, UserError):
        return set()
