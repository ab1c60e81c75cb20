"""Words that are names and something else as well, and the words beside a name that tell which.

`ordinary_name("rose")` is True: a row with it alone may mean the flower. `function_word("the")`: it names nobody.
"""

from __future__ import annotations

from data.finding.text import fold, words_of


def _words(text: str) -> frozenset[str]:
    return frozenset(fold(word) for word in text.split())


MONTHS = _words(
    "january february march april may june july august september october november december januar februar marz maerz "
    "mai juni juli oktober dezember janvier fevrier mars avril juin juillet aout septembre octobre novembre decembre "
    "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre"
)
# written with a capital although they name nobody
TIMES = MONTHS | _words("monday tuesday wednesday thursday friday saturday sunday easter christmas")
# first names, surnames and brands that are words of English; flowers, stones, virtues, animals, trades, products
WORDS = TIMES | _words(
    "access ace alphabet amazon amber amity angel apple art autumn axe baker ball banks barber basil bay beam bear "
    "bell best bill birdie bishop black blackberry blaze bliss block blossom box brave bright brook brooke brown "
    "buck bud bunny bush butler cage camel caribou case cash caterpillar cell champion chance charity chase "
    "chastity cherry chip christian chrome church clemency clementine cliff cloud clover coach colt comfort "
    "constance continental converse cook coral crane cross crown crystal daisy dale dart dash dawn day dean delta "
    "destiny dial diamond dick dodge dot dove drew duke dusty earl earnest echo edge epic eve excel explorer "
    "express faith felicity fern field fields figure finch fisher flint flow ford forest fossil fox gain galaxy gap "
    "gem general ginger glen go gold goldie good grace grant gray green grey guardian guess guy happy harmony hazel "
    "heath heather hill hills hive holly honesty honor honour hope iris ivory ivy jade jaguar jasmine jasper jay "
    "joy joyful justice kindle king kitty knight lake lamb lane lark laurel law liberty life lily linear little "
    "long lotus lucky major mark mars marsh melody mercury mercy meta miles miller mini mirror misty modesty moody "
    "moon moss myrtle nature nest noble notion ocean office olive opal opera oracle orange outlook pace page "
    "paramount patience pearl penny people pepper phoenix pig pioneer pleasance polo pope poppy porter potter power "
    "powers price primrose prince progress prudence puma queen rain raven ray reed rich river rock rose rosemary "
    "roses ruby rush rust rusty safari saffron sage sandy sapphire science serenity sharp shell shepherd short "
    "signal silver skip sky skye slack small spark speaker spring sprint square standard staples star steam steel "
    "sterling stone storm stormy street stripe strong subway summer sun sunny surface swan swift tailor target "
    "teams temperance tide time times tower trinity uber united unity universal vans verity victory violet virgin "
    "visa ward white will willow windows winter wise wish wolf woods word young zoom"
)
FUNCTION = _words(
    "the a an and or but nor so yet if then than of in on at by for to from with without as into onto over under about "
    "is are was were be been being am do does did has have had having it its he him his she her hers they them their "
    "we us our you your i me my this that these those who whom whose which what when where why how not no yes all any "
    "each some will would can could may might must shall should there here also just only very too up out off "
    "der die das den dem des ein eine einer eines und oder aber nicht ist sind war von zu mit im auf er sie es wir ich "
    "le la les un une des du de et ou est dans pour que qui il elle el los las y en es por con una uno lo gli e che "
    "het een van och og ett av til som ja on se että "
    "и в не на что он она 的 了 是 在 和 与 は が の を に へ と も で や"
)
# among them, those that are no name with a capital either
NEVER = _words("the and or of is are was were with from that this they them der und oder nicht les het een och og")
ARTICLES = _words(
    "a an the this that these those my your his her its our their some any no every each another one "
    "der die das den dem des ein eine einen einem einer le la les un une el los las una"
)
TITLES_BEFORE = _words("aunt auntie uncle queen king prince princess president professor doctor saint")
COMPANY = _words("inc ltd gmbh ag corp llc plc ceo cfo cto shareholders founder employees")
SAID = _words(
    "said says asked asks told tells replied replies answered wrote writes thinks thought believes explained added "
    "laughed smiled nodded cried shouted whispered announced announces launched launches released sued hired acquired"
)


def ordinary_name(word: str) -> bool:
    """Whether a folded word without capitals is both a name and an ordinary word."""
    return word in WORDS or word in FUNCTION


def function_word(name: str) -> bool:
    """Whether a name consists of words that name nobody: the, of the. Some are names with a capital: An, The Who."""
    words = words_of(fold(name))
    plain = [word.lower() for word in words]
    if not words or not all(word in FUNCTION for word in plain):
        return False
    return words == plain or (len(words) == 1 and plain[0] in NEVER)
