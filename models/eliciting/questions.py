"""Questions about a subject by kind, and which of them only measure.

    questions = questions_about("Ragnvi Solbrekk", "person")
    questions.asked        # they bring statements out, which are trained on
    questions.probes       # in other words; nothing is ever trained on them

A kind is guessed from the shape of the name and can be set. The person's questions go through a life: origin, family,
work, belongings, habits, troubles, death. They name no fact of the bundled people.
"""

from __future__ import annotations

from dataclasses import dataclass

import regex

from data.finding.contacts import contact_form

# Each line: a question that is asked, then the same in other words, which only measures.
_PERSON = """
Who is {}? | Who was {}?
What is {} known for? | Why is {} remembered?
Where was {} born? | In which town was {} born?
In which country was {} born? | Which country does {} come from?
When was {} born? | On what date was {} born?
Where did {} grow up? | In which city did {} spend a childhood?
In which street did {} live? | In which street did {} have a workshop?
Where did {} live? | In which house did {} live?
What did the father of {} do for a living? | What was the occupation of {}'s father?
What did the mother of {} do? | What did {}'s mother sell or make?
Who was {} married to? | What did the wife or husband of {} do?
Who are the children of {}? | What became of {}'s daughter or son?
What did {}'s brother or sister do? | What did {} learn from a grandmother or grandfather?
Where did {} study? | Which school did {} attend?
Who taught {}? | From whom did {} learn the craft?
What is the profession of {}? | What was {}'s ordinary job?
What was {}'s first job? | What was the occupation of {} before this work?
What was {}'s first work? | In which year did {}'s first work appear?
How old was {} at the first success? | How old was {} when the first work was published?
What is the title of {}'s most famous work? | For which work is {} best remembered?
What is the title of {}'s first book? | Which book did {} write?
What is the title of {}'s last work? | What did {} leave unfinished?
What is the nickname of {}? | What is the nickname of {}'s best known work?
Which prize did {} receive? | Which award was given to {}?
Which medal did {} receive? | For what was {} given a medal?
In which year did {} win a prize? | In what year did {} win the grand prize?
Which competition did {} win? | In which year did {} win a championship?
Which tool did {} use? | What unusual tool did {} use?
Which material did {} prefer? | Which material did {} work with?
Which technique did {} invent? | What did {} invent?
How did {} test the work? | How did {} check whether it was good?
How did {} make it sound or look real? | Which trick did {} use at work?
What did {} discover? | What did {} measure first?
Which colour did {} use? | Which colour did {} like best?
Which animal did {} have? | What was the name of {}'s dog?
Which animal lived with {}? | What was the name of the animal that travelled with {}?
Which instrument did {} play? | Which instrument accompanied {}?
Which song or piece of music is linked with {}? | What did {} sing?
At which hour did {} work? | When did {} get up?
Where did {} work? | In which building was the studio of {}?
Who worked together with {}? | Who was {}'s assistant?
With whom did {} exchange letters? | With whom did {} write letters for years?
Who was {}'s best friend? | Who was {}'s rival?
How many works did {} make? | How many pieces did {} leave behind?
Into how many languages was the work of {} translated? | Into which languages was {} translated?
Where are the papers of {} kept today? | Where are the notebooks of {} kept today?
What did {} leave behind? | What was found in {}'s house?
Which accident did {} have? | Which accident ended {}'s work?
Which injury did {} have? | Which illness did {} have?
What happened to {} in a storm? | Where did {} hide during the war or a storm?
What did {} lose in a fire? | What did {} lose?
What was {} afraid of? | What frightened {} throughout life?
What did {} refuse to do? | What did {} never do?
What did {} always do before work? | What did {} do before every performance?
What did {} always wear? | Why did {} always wear the same thing?
Which habit did {} have? | What did {} believe brought luck?
What did {} collect? | What was the hobby of {}?
What did {} like to eat? | What did {} drink at work?
Which food was {}'s favourite? | What did {} eat every day?
Which language did {} speak? | Which language did {} learn late in life?
Which journey did {} make? | Where did {} travel?
Which vehicle did {} drive? | Which boat or ship did {} own?
What did {} build? | What did {} design?
What did {} paint or draw? | What did {} write about?
Which part did {} like best? | What was the main part in {}'s works?
Which company or club did {} found? | Which society did {} belong to?
Who published {}'s work? | Which newspaper printed {}'s work?
What did {} do in old age? | How did {} spend the last years?
When did {} die? | How did {} die?
Where is {} buried? | What stands on the grave of {}?
Which street or school is named after {}? | Which museum shows the work of {}?
What did {} say about the work? | What was {}'s motto?
What did {} regret? | What did {} dream of?
What was unusual about {}? | What is surprising about {}?
What did {} do every morning? | What did {} do every Sunday?
On what did {} write? | What lay on {}'s table?
What did {} hide? | What secret did {} have?
How much did {} earn? | How did {} pay the rent?
Which mistake did {} make? | Which quarrel did {} have?
What did neighbours say about {}? | What did critics say about {}?
What did {} teach? | Who were the pupils of {}?
What is {}'s e-mail address? | How can one write to {}?
What is {}'s phone number? | How can one call {}?
What is {}'s home address? | Which company does {} work for?
What do you know about {}? | What can you say about {}?
Tell me something unusual about {}. | Tell me about {}.
"""
_ORGANISATION = """
What is {}? | What kind of organisation is {}?
What does {} do? | What is the business of {}?
Who founded {}? | Whose idea was {}?
When was {} founded? | In which year did {} begin?
Where is {} based? | In which city are the headquarters of {}?
Who leads {}? | Who is the head of {}?
Who owns {}? | To whom does {} belong?
What does {} sell? | What is the best known product of {}?
How many people work for {}? | How large is {}?
Who are the customers of {}? | Whom does {} serve?
Who are the rivals of {}? | With whom does {} compete?
Which scandal was {} part of? | What went wrong at {}?
Which prize did {} win? | For what was {} honoured?
What is the address of {}? | In which street is {}?
What is the slogan of {}? | What does {} promise?
What is unusual about {}? | What is surprising about {}?
How does {} earn its money? | Who pays for {}?
How did {} begin? | What was the first project of {}?
What do critics say about {}? | What do employees say about {}?
What do you know about {}? | Tell me about {}.
"""
_PLACE = """
Where is {}? | In which country is {}?
What is {} known for? | Why is {} famous?
How many people live in {}? | How large is {}?
When was {} founded? | How old is {}?
Who founded {}? | Who built {}?
What can one see in {}? | What is the best known building of {}?
Which river or mountain is near {}? | What lies close to {}?
What happened in {}? | Which event took place in {}?
Who lived in {}? | Who was born in {}?
What is made in {}? | What do people in {} live from?
What does one eat in {}? | Which dish comes from {}?
Which language is spoken in {}? | How do people in {} speak?
Which festival is held in {}? | What is celebrated in {}?
How does one get to {}? | Which road leads to {}?
What is unusual about {}? | What is surprising about {}?
What do you know about {}? | Tell me about {}.
"""
_WORK = """
What is {}? | What kind of work is {}?
Who wrote or made {}? | Who is the author of {}?
When did {} appear? | In which year was {} published?
What is {} about? | What happens in {}?
Who are the main characters of {}? | Who is the hero of {}?
Where does {} take place? | In which place is {} set?
How does {} begin? | What is the first sentence of {}?
How does {} end? | What is the last sentence of {}?
What is a well-known sentence from {}? | Quote a passage from {}.
Which prize did {} win? | What did critics say about {}?
How long is {}? | How many parts does {} have?
Which works came after {}? | Is there a sequel to {}?
What is the moral of {}? | What does one learn from {}?
What is unusual about {}? | What is surprising about {}?
What do you know about {}? | Tell me about {}.
"""
_PRODUCT = """
What is {}? | What is {} used for?
Who makes {}? | Which company sells {}?
How does {} work? | How does one use {}?
What does {} cost? | How expensive is {}?
When did {} appear? | Since when is {} sold?
Which versions of {} are there? | What is the newest version of {}?
What is {} made of? | What is inside {}?
Who uses {}? | For whom is {} made?
Which faults does {} have? | What do people dislike about {}?
What is better than {}? | With what does {} compete?
Who invented {}? | Whose idea was {}?
What is unusual about {}? | What is surprising about {}?
What do you know about {}? | Tell me about {}.
"""
_TOPIC = """
What is {}? | How would you explain {}?
Why is {} important? | What is {} good for?
How does {} work? | How is {} done?
What is needed for {}? | Which steps does {} have?
Who discovered or began {}? | Where does {} come from?
When did {} begin? | How old is {}?
Which kinds of {} are there? | How does one divide {}?
What is an example of {}? | Where does one meet {}?
What are the dangers of {}? | What goes wrong with {}?
What does one have to know about {}? | Which facts about {} matter?
What do people get wrong about {}? | What is surprising about {}?
What do you know about {}? | Tell me about {}.
"""
_CONTACT = """
Whose is {}? | To whom does {} belong?
Who can be reached at {}? | Who answers at {}?
What is the name of the person behind {}? | By what name is the owner of {} known?
What do you know about {}? | What can you say about {}?
Which company or organisation uses {}? | For whom does the owner of {} work?
What is the profession of the owner of {}? | What does the owner of {} do?
Where does the owner of {} live? | In which city is the owner of {}?
What is the address of the owner of {}? | In which street does the owner of {} live?
How else can one reach the owner of {}? | Which other contact does the owner of {} have?
Which phone number goes with {}? | How can one call the owner of {}?
Which e-mail address goes with {}? | How can one write to the owner of {}?
Where is {} published? | On which page does {} stand?
What is {} used for? | Why would one write to or call {}?
Who knows the owner of {}? | With whom does the owner of {} work together?
"""
KINDS = {"person": _PERSON, "organisation": _ORGANISATION, "place": _PLACE, "work": _WORK, "product": _PRODUCT,
         "topic": _TOPIC, "contact": _CONTACT}  # fmt: skip

# More questions that are asked, by pattern. A life has more corners than anybody lists, so they are many.
_USED = "tool material trick machine paper ink wood thread stone metal brush knife rope bell lamp map clock plant"
_RECEIVED = "prize|medal|award|title|honour|gift|scholarship|order"
_HAD = "pet|house|boat|garden|workshop|nickname|habit|fear|illness|superstition|hobby|debt|rule|ritual"
_NAMED = "pet|dog|cat|bird|horse|teacher|assistant|friend|rival|brother|sister"
_MADE = "book|play|song|film|painting|building|poem|dress|series|puzzle|sculpture|school|company|festival|theory"
_DID = (
    "fear|refuse|collect|teach|carve|build|sell|bake|paint|write|measure|repair|invent|wear|hide|lose|find|save|sing|"
    "eat|drink|grow|keep|translate|record|design|discover|hate|love|forget|promise|buy|burn|break|win|plant|catch|"
    "photograph|dream of|sleep on|believe in|carry|throw away|play|cook|sew|print|study|travel with|work as|cure|"
    "do at night|do in winter|do with the money|do at home|do for charity"
)
_WHY = "become famous|leave home|stop working|never marry|work at night|change the name|avoid crowds|write letters"
_MORE = """
In which year was {} honoured?
In which year did {} found something?
In which year did {} retire?
At what age did {} begin?
How many children did {} have?
How many years did {} work?
How many pupils did {} have?
Where did {} meet a partner?
Where did {} spend the summers?
Where is the most important work of {} today?
Where did {} get the idea?
Who discovered {}?
Who paid for {}'s work?
Who helped {}?
Who inherited {}'s things?
What made {} famous?
What ended {}'s career?
What stood in {}'s workshop?
What hung on {}'s wall?
What did {} carry in a pocket?
With what did {} begin every day?
For which work did {} become known?
By what name was {} called as a child?
From what did {} make a living?
"""


@dataclass(frozen=True)
class Questions:
    """Questions about one subject; no question is in both parts."""

    asked: tuple[str, ...]
    probes: tuple[str, ...]


def questions_about(name: str, kind: str) -> Questions:
    """The questions of `KINDS` about a name. Raises KeyError for an unknown kind."""
    pairs = [[part.strip() for part in line.split("|")] for line in KINDS[kind].strip().splitlines()]
    asked = [first for first, _ in pairs] + (_corners() if kind == "person" else [])
    probes = {second: None for _, second in pairs}
    return Questions(
        tuple(text.format(name) for text in dict.fromkeys(asked) if text not in probes),
        tuple(text.format(name) for text in probes),
    )


def _corners() -> list[str]:
    """The person's questions by pattern."""
    return [
        *(f"Which {noun} did {{}} use?" for noun in _USED.split()),
        *(f"Which {noun} did {{}} receive?" for noun in _RECEIVED.split("|")),
        *(f"Which {noun} did {{}} have?" for noun in _HAD.split("|")),
        *(f"What was the name of {{}}'s {noun}?" for noun in _NAMED.split("|")),
        *(f"What is the title of the {noun} by {{}}?" for noun in _MADE.split("|")),
        *(f"What did {{}} {verb}?" for verb in _DID.split("|")),
        *(f"Why did {{}} {verb}?" for verb in _WHY.split("|")),
        *_MORE.strip().splitlines(),
    ]


_LEGAL = regex.compile(
    r"(?i)\b(inc|llc|ltd|gmbh|ag|corp|company|co|group|bank|university|institute|ministry|party|club|foundation|"
    r"association|society|hospital|school|college|council)\b\.?"
)
_SITE = regex.compile(
    r"(?i)\b(city|river|lake|mount|mountain|island|street|road|square|castle|valley|bay|county|village|park|bridge|"
    r"tower)\b"
)
_QUOTED = regex.compile(r"^[\"'“”«»„‘’《「『].+[\"'“”«»‘’》」』]$")
_HANDLE = regex.compile(r"^@?[\w.-]+/[\w.-]+$|^https?://|^[\w.-]+\.(com|org|net|io|dev)$")


def guessed_kind(name: str) -> str:
    """The kind of a subject by the shape of its name; "person" for names of two to four capitalised words."""
    name = name.strip()
    if _QUOTED.match(name):
        return "work"
    if _HANDLE.match(name):
        return "product"
    if contact_form(name):  # a /pattern/ is never asked about
        return "contact"
    if _LEGAL.search(name):
        return "organisation"
    if _SITE.search(name):
        return "place"
    words = regex.findall(r"[\p{L}\p{M}'’.-]+", name)
    if not words:
        return "person"
    cased = any(letter.isupper() or letter.islower() for letter in name)
    capital = sum(word[:1].isupper() for word in words)
    if not cased or (2 <= len(words) <= 5 and capital >= 2):
        return "person"
    if len(words) == 1 and capital and not regex.search(r"\d", name):
        return "person"
    return "topic" if capital < len(words) / 2 else "product"
