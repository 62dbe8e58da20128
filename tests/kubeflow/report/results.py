"""A result of a run, for the tests of the report."""

from components.evaluate.evaluation import Figures
from components.evaluate.generalization import Generalization
from components.validate.splits import Split
from kubeflow.report.result import Result

FIGURES = Figures(
    perplexity=4.5,
    bits_per_character=2.17,
    reference_perplexity=6.0,
    eval_chars=111_539,
    out_of_vocabulary_rate=0.00012,
    baseline_perplexity=None,
    by_document={"easy.txt": 3.5, "hard.txt": 5.5},
    generalization=Generalization(1.25, 1.5, 20_480, {20: 0.03, 50: 0.001, 100: None}, "to be & not", "easy.txt"),
)
RESULT = Result(
    model="char_rnn",
    corpus="shakespeare",
    figures=FIGURES,
    threshold=None,
    blessed=True,
    reasons=(),
    missing_baseline="",
    eval_text="",
    drift="",
    version="3 (pushed)",
    learning_curve=b"PNG",
    samples={0.5: "The the the", 1.0: "He said & wrote:\n  <so>"},
    splits=(Split("eval", 2, 56, 111_539), Split("train", 2, 502, 1_115_394)),
)
