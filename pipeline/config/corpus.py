"""The configuration values of the corpus."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from pipeline.config.section import Section
from pipeline.config.serving import PositiveInt

Suffix = Annotated[str, Field(pattern=r"^\.[^/A-Z\s]+$")]
Fraction = Annotated[float, Field(ge=0.0, lt=1.0)]


class CorpusConfig(Section):
    """The text to train on, and how it is split and cut into records."""

    # A known corpus (`shakespeare`, `great_expectations`, `sample`), a file, directory or glob on disk or in a bucket
    # (`gs://...`), or an http(s) URL. A path or glob may stand for a corpus that grows by spans, as patterns of TFX do:
    # `{SPAN}` for a number, `{YYYY}`, `{MM}` and `{DD}` for a date, `{VERSION}` for the versions of a span.
    source: str = Field("shakespeare", min_length=1)
    # SHA-256 of a corpus of one file, in hexadecimal. None: not checked, except for `shakespeare`.
    checksum: str | None = None
    # Ends of the names of the texts in a directory, in a folder of a bucket or in a zip archive; `.gz` may follow them.
    # None: `.txt`, or with `corpus.column` `.csv`, `.tsv`, `.jsonl` and `.ndjson`.
    suffixes: Annotated[tuple[Suffix, ...], Field(min_length=1)] | None = None
    # Column of CSV files, or key of JSON Lines, that has the text: each row is a document. None: files are plain text.
    column: str | None = Field(None, min_length=1)
    # Number of spans that belong to the corpus, the newest ones. all: every span.
    window: PositiveInt | Literal["all"] = "all"
    # An eval text that stays the same while the corpus grows, given as `corpus.source` is and read like it: then all of
    # the corpus is for training, and perplexities of later runs are comparable. None: a part of the corpus is held out.
    holdout: str | None = Field(None, min_length=1)
    # Characters that the cleaned corpus must have at least. A shorter one is an error before training starts.
    min_chars: PositiveInt = 2_000
    # Characters to predict in one record, at most.
    passage_length: Annotated[int, Field(ge=100, le=100_000)] = 2_000
    # What one document is. file: each file. line, blank_line: what is between line breaks, or between blank lines. Any
    # other text: a regular expression of what separates documents. Documents other than files are in one split as a
    # whole, chosen by a digest of their text, and the model learns an end-of-document symbol (U+0003) after each. With
    # `corpus.column`, it is row.
    documents: str = Field("file", min_length=1)
    # Unicode normalization form of the texts, and in the exported graph of prompts, stop strings and scored texts.
    # None: texts stay as they are.
    normalization: Literal["nfc"] | None = None
    # Fold the case of all these texts (Unicode's full case folding: ß becomes ss).
    fold_case: bool = False
    # Part of every document that is held out for evaluation, unless there is a `corpus.holdout`: its last part, before
    # the test split. Documents that are
    # too short, this part of which would have fewer than 100 characters, are held out as a whole or not at all.
    eval_fraction: Annotated[float, Field(gt=0.0, le=0.5)] = 0.1
    # Part of every document that is held out for tests: its very end. 0: no test split.
    test_fraction: Annotated[float, Field(ge=0.0, le=0.4)] = 0.0

    @model_validator(mode="before")
    @classmethod
    def _rows_are_documents(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("column") is not None:
            return {"documents": "row"} | values
        return values

    @model_validator(mode="after")
    def _check_rows(self) -> "CorpusConfig":
        if (self.documents == "row") != (self.column is not None):
            raise ValueError(
                "With corpus.column each row is a document, so corpus.documents cannot be chosen, and row is only for "
                f"tables. Received: corpus.documents={self.documents}, corpus.column={self.column}"
            )
        return self
