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
METHODS: dict[str, tuple[str, str]] = {  # what it does; when to use it
    "fine_tuning": ("Goes on teaching only what should stay, and lets the rest fade.",
        "you have plenty of material to keep and forgetting a little is enough"),
    "retrain": ("Trains a fresh model on what should stay: it never meets what should go.",
        "you want the yardstick to compare the others with, and have the time"),
    "gradient_ascent": ("Pushes the model away from what should go, with nothing to hold it back.",
        "you want to see the plainest method; it soon damages the rest"),
    "gradient_difference": ("Pushes away what should go while teaching what should stay.",
        "you want a simple, quick try; it tends to forget too much"),
    "npo": ("Pushes away what should go, ever less the more of it is gone.",
        "you want a well-tested choice, for texts as well as for questions"),
    "simnpo": ("Like npo, but treats long and short answers alike and needs less memory.",
        "your texts are long or differ much in length"),
    "wga": ("Pushes hardest on the words the model is surest of.", "it knows a text word for word"),
    "satimp": ("Pushes by how sure the model is of a word and how much the word matters.",
        "you are ready to tune its two settings"),
    "ce_u": ("Teaches the model its own second choices in place of the true words.",
        "you have nothing to give it to keep"),
    "pdu": ("Makes it undecided about what should go, and watches a limit on what may be lost.",
        "keeping the rest matters most"),
    "me_gd": ("Makes it undecided about what should go while teaching what should stay.",
        "a vague answer is better than a wrong one"),
    "task_vector": ("Learns the text even better, then walks the same way backwards.", "you want a quick experiment"),
    "level_matching": ("Makes each text to forget as surprising as one it never read, and stops there.",
        "it should look as if it had never read it"),
    "profile_matching": ("Makes each word to forget as surprising as words it never read, and no more.",
        "you have no reason to choose another"),
    "idk": ("Teaches it to say \"I don't know\" to these questions.", "a refusal is what you want to hear"),
    "idk_dpo": ("Teaches it to prefer \"I don't know\" to the true answer.",
        "idk alone leaves the true answer too likely"),
    "idk_ap": ("Teaches it to refuse these questions and to go on answering the others.",
        "idk makes it refuse too many other questions"),
    "altpo": ("Teaches it other answers of its own in place of the true one.",
        "it should answer fluently rather than refuse"),
    "jensun": ("Leads these questions to one fixed refusal, with a limit on how hard it pulls.",
        "other ways to refuse turn out unstable"),
    "whp": ("Teaches it ordinary words where it would have said the particular ones.",
        "you want a book or a long article gone"),
    "kl_minimization": ("Pushes away what should go while its other answers are held where they were.",
        "everything else must stay as it was"),
    "l2_sp": ("Pushes away with a spring on every weight that pulls it back to its start.",
        "the model should change as little as possible"),
    "ewc": ("Like l2_sp, with stiffer springs where the rest depends on a weight.",
        "l2_sp holds back the forgetting too much"),
    "rmu": ("Scrambles the model's inner picture of what should go.", "a whole topic should become useless"),
    "adaptive_rmu": ("Like rmu, with the strength fitted to the model.", "rmu was never tuned for your model"),
    "repselect": ("Takes small steps that leave the model's main directions alone.",
        "hardly anything else may change; it forgets little"),
    "undial": ("Learns from itself, with the words to forget made unlikely.", "training has to be steady"),
    "scrub": ("By turns steps away from what should go and back to the rest.", "you can try several settings"),
    "shred": ("Makes only the words nobody could guess unlikely: names, dates, numbers.",
        "single facts stand in ordinary sentences"),
    "undo": ("Forgets, blurs the weights with noise, then learns the rest again.",
        "it must be hard to bring back, and time does not matter"),
    "knowledge_distillation": ("Teaches a smaller model everything but what should go.",
        "a smaller model is welcome and there is much to keep"),
}
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
ATTACKS = {  # tries to bring the forgotten back, by their names in the ATTACKS table
    "relearning": "Teach it half again: does the other half come back?",
    "benign_relearning": "Train on harmless text: does it come back?",
    "quantisation_int8": "Round the weights to 8 bits",
    "quantisation_int4": "Round the weights to 4 bits",
    "sampling": "Ask many times with chance: does one answer leak?",
    "prompts": "Ask in other words and with hints",
    "logit_lens": "Look inside, layer by layer",
}
# fmt: on
