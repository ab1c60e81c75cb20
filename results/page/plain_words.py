"""The page's words for people who have never read a paper: methods, verdicts, attacks."""

from __future__ import annotations

FAMILIES = {  # as in the METHODS table: what the page calls them, and what the field does
    "gradient": ("Push it away", "gradient-based"),
    "data_augmentation": ("Teach other answers", "data augmentation"),
    "regularization": ("Hold the rest still", "regularisation"),
    "distillation": ("Learn from a teacher", "distillation"),
    "fine_tuning": ("Train on the rest", "fine-tuning"),
}
AUTO = ("Let it search for the best way", "auto")  # the family, and the only method in it
AUTO_TEXT = (
    "**Tries several methods with several settings, and keeps the one that forgets most while the rest stays within "
    "your limit.** Use it when you have time and no reason to choose a method yourself.  \n<small>Known weakness: it "
    "judges by rows of its own, some 40 of each kind, and a handful of trials finds no more than a good start.</small>"
)
TIMES = [("10 minutes", "10m"), ("30 minutes", "30m"), ("1 hour", "1h"), ("3 hours", "3h")]
# fmt: off
VERDICTS = {  # the word in evaluation.json: a headline and a sentence for people
    "FORGOTTEN": ("Forgotten, and the rest is intact",
        "By every test that was run it answers as if it had never met it."),
    "SUPPRESSED": ("It no longer says it, but can be brought to",
        "The answers are gone, but attacks bring some of it back."),
    "OVER-FORGOTTEN": ("It lost more than it should", "More went than you asked for; what, is listed below."),
    "INCOMPLETE": ("Some of it is still there",
        "It still finds the true answers too likely. Another method, or more steps, may get further."),
    "COLLAPSED": ("The model broke", "It lost its ability to answer at all: do not use it."),
    "UNCERTIFIED": ("Done, but not proven",
        "A proof needs a model that never met it, to compare with. Judge by the numbers and the answers below."),
}
HARDLY_KNOWN = ("It hardly knew this to begin with",
    "Even before, it found the true words unlikely, so there was little to forget, and little can be shown. Judge by "
    "the numbers and the answers below.")
# fmt: on
