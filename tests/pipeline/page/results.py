"""What a page shows, for the tests of the page and of the task Report."""

from components.evaluate.evaluation import Figures
from components.evaluate.generalization import Generalization
from components.evaluate.hardest import Passage
from components.models.training import Training
from components.validate.splits import Split
from pipeline.learning_curve import Curves
from pipeline.page.contents import PUSHED, Contents, Step

FIGURES = Figures(
    perplexity=4.5,
    bits_per_character=2.17,
    reference_perplexity=6.0,
    eval_chars=111_539,
    out_of_vocabulary_rate=0.00012,
    baseline_perplexity=5.0,
    by_document={"easy.txt": 3.5, "hard.txt": 5.5},
    generalization=Generalization(1.25, 1.5, 20_480, {20: 0.03, 50: 0.001, 100: None}, "to be & not", "easy.txt"),
    baseline_by_document={"easy.txt": 4.0},
)
CONTENTS = Contents(
    model="char_rnn",
    corpus="shakespeare",
    decision=PUSHED,
    version="3",
    when="2026-01-02 03:04:05",
    steps=(Step("Transform", 0.04, "cached"), Step("Trainer", 83.26, "executed")),
    figures=FIGURES,
    baseline="2",
    hardest=(Passage("hard.txt", 1_200, "a<b", (0.01, 0.01, 6.0)),),
    samples={0.5: "The the the", 1.0: "He said & wrote:\n  <so>"},
    splits=(Split("eval", 2, 56, 111_539), Split("train", 2, 502, 1_115_394)),
    anomalies=(),
    training=Training(61.0, 100.5, 200, "gru 1x64", 21_171, "2 CPU cores", {" ": 75, "<": 24}, 1),
    curves=Curves([(1, 4.0), (100, 2.0)], [(100, 1.9)]),
)
