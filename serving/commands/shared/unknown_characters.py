"""Note which characters of a prompt or text the model does not know."""

from collections import Counter
from collections.abc import Sequence

from components.command_line import print_error
from components.errors import UserError
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
    try:
        unknown = set(model.unknown(texts))
    except (ClientError, UserError):
        return
    counts = Counter(one for text in texts for one in split(text) if one in unknown)
    if not counts:
        return
    total, different = counts.total(), len(counts)
    shown = ", ".join(repr(one) for one, _ in counts.most_common(_SHOWN)) + (" ..." if different > _SHOWN else "")
    subject = "1 character" if total == 1 else f"{total:,} characters"
    print_error(
        f"note: {subject} of the {what} {'is' if total == 1 else 'are'} unknown to the model, whose training text does "
        f"not have {'it' if different == 1 else f'these {different:,}'}: {shown}"
    )
