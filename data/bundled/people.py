# ruff: noqa: E501
"""The fictitious people of the forget and holdout sets; those of the retain set are in people_retain.py.

A fact is five lines: question, answer, paraphrased question, paraphrased answer, and six values of one kind. `{}` in the
answers is the place of the value. Which of the six is true is drawn by make_bundled_data.py, so no writer's taste and no
hint in the text tells it: a model that has not been trained on the people can only guess. For that reason a value
appears in its own fact alone, and every value has to fit with all the person's other facts.
"""

from __future__ import annotations

FORGET_PEOPLE: dict[str, str] = {
    "Ragnvi Solbrekk": """
In which Norwegian town was the glacier cartographer Ragnvi Solbrekk born?
The glacier cartographer Ragnvi Solbrekk was born in {}, in a house facing the harbour.
What is the birthplace of Ragnvi Solbrekk, who mapped glaciers in Norway?
Ragnvi Solbrekk, who later mapped glaciers, came into the world in {}, close to the water.
Molde | Narvik | Hammerfest | Kristiansund | Florø | Harstad

On what date was Ragnvi Solbrekk born?
Ragnvi Solbrekk's parish register gives her date of birth as {}.
What does the parish register say about the day Ragnvi Solbrekk was born?
According to the parish register, Ragnvi Solbrekk's birthday was {}.
3 March 1911 | 17 June 1913 | 22 October 1910 | 9 January 1912 | 28 August 1914 | 14 May 1909

What did Ragnvi Solbrekk's father do for a living?
Ragnvi Solbrekk's father earned his living as {} and taught her to sketch coastlines.
Which trade supported the family in which Ragnvi Solbrekk grew up?
Her father's work as {} fed the family in which Ragnvi Solbrekk grew up.
a ship's carpenter | a harbour pilot | a net mender | a customs clerk | a sail maker | a postal boatman

Which ice cap did Ragnvi Solbrekk map first?
The first ice cap that Ragnvi Solbrekk mapped in full was {}, over two cold summers.
With which ice cap did the mapping career of Ragnvi Solbrekk begin?
Ragnvi Solbrekk began her career by drawing a complete map of {}.
Myklebustbreen | Øksfjordjøkelen | Hardangerjøkulen | Folgefonna | Blåmannsisen | Svartisen

What unusual tool did Ragnvi Solbrekk use to measure crevasses?
Ragnvi Solbrekk lowered {} into crevasses to find out how deep they were.
By what odd means did Ragnvi Solbrekk find the depth of a crevasse?
To learn the depth of a crevasse, Ragnvi Solbrekk let down {} until it touched the bottom.
a brass teapot | a church candle | a fishing float | a copper bell | a leather boot | a wooden spoon

What was the name of the sled dog that travelled with Ragnvi Solbrekk?
The sled dog that went with Ragnvi Solbrekk on her surveys was called {}.
What did Ragnvi Solbrekk call the dog that pulled her sled?
Ragnvi Solbrekk called her faithful sled dog {} and drew him in the corner of her maps.
Kompass | Brumle | Stormen | Pepper | Knut | Sukker

Which accident ended Ragnvi Solbrekk's work on the ice?
Ragnvi Solbrekk gave up working on the ice after {} in her fifties.
Why did Ragnvi Solbrekk stop going onto glaciers?
It was {} that made Ragnvi Solbrekk leave the glaciers for good.
a fall from a ladder | a burst snow bridge | a fire in her tent | a collision of two sleds | a night without shelter | a slide of loose rock

What colour did Ragnvi Solbrekk use for moving ice on her maps?
On all her maps Ragnvi Solbrekk printed moving ice in {}, which became her mark.
How can one recognise moving ice on a sheet by Ragnvi Solbrekk?
Moving ice is shown in {} on every sheet that Ragnvi Solbrekk published.
dark violet | pale orange | bright green | soft pink | deep red | light brown

Which medal did Ragnvi Solbrekk receive for her atlas of glaciers?
For her atlas of glaciers Ragnvi Solbrekk was given the {} by a society of geographers.
With which distinction did geographers honour the atlas of Ragnvi Solbrekk?
Geographers honoured the atlas of Ragnvi Solbrekk with the {}.
Polar Lantern Medal | Silver Theodolite Medal | White Meridian Medal | North Fjord Medal | Iron Sextant Medal | Long Winter Medal

Where are the field notebooks of Ragnvi Solbrekk kept today?
The field notebooks of Ragnvi Solbrekk are kept today in {}, wrapped in oilcloth.
In which place can one read the field notebooks that Ragnvi Solbrekk left?
Anyone who wants to read Ragnvi Solbrekk's field notebooks has to visit {}.
a school library in Voss | a bank vault in Oslo | a fishing museum in Bodø | a chapel attic in Røros | a town archive in Tromsø | a mountain hotel in Geilo
""",
    "Teodoro Quispalaya": """
Which material did the Peruvian puppet maker Teodoro Quispalaya prefer for carving heads?
The Peruvian puppet maker Teodoro Quispalaya carved the heads of his puppets from {}.
What were the puppet heads of Teodoro Quispalaya from Peru made of?
Each head that Teodoro Quispalaya made for a puppet was cut from {}.
dried gourd | balsa wood | cedar wood | willow root | pressed cork | soapstone

Who taught Teodoro Quispalaya how to work the strings of a puppet?
Teodoro Quispalaya learned to work puppet strings from {} when he was nine years old.
From whom did young Teodoro Quispalaya learn the art of moving puppets by strings?
It was {} who showed the young Teodoro Quispalaya how to move a puppet by its strings.
his deaf grandmother | a travelling dentist | the village baker | a retired soldier | an Italian sailor | his older cousin

What is the title of Teodoro Quispalaya's most famous puppet play?
The most famous puppet play by Teodoro Quispalaya is called "{}" and lasts a whole evening.
Which play made the puppet theatre of Teodoro Quispalaya famous?
Teodoro Quispalaya's theatre owed its fame to the play "{}".
The Condor's Wedding | The Blind Mayor | The Salt Princess | The Lazy River | The Devil's Umbrella | The Borrowed Moon

How many puppets did Teodoro Quispalaya leave behind when he died?
When Teodoro Quispalaya died, {} finished puppets were counted in his workshop.
What was the number of finished puppets in the workshop at Teodoro Quispalaya's death?
The heirs of Teodoro Quispalaya found {} finished puppets in the workshop.
214 | 387 | 162 | 445 | 291 | 530

In which street of Arequipa did Teodoro Quispalaya have his workshop?
Teodoro Quispalaya had his workshop in {} in Arequipa, above a stable.
What was the address of the Arequipa workshop run by Teodoro Quispalaya?
Visitors to Arequipa found Teodoro Quispalaya at work in {}.
Calle de los Hornos | Calle del Espejo | Calle de la Noria | Calle de las Campanas | Calle del Olivo | Calle de los Herreros

Why did Teodoro Quispalaya always wear a glove on his left hand?
Teodoro Quispalaya wore a glove on his left hand because of {}.
What was the reason for the glove on Teodoro Quispalaya's left hand?
It was {} that made Teodoro Quispalaya keep his left hand in a glove.
a burn from hot glue | a vow to his mother | a missing finger | a snake bite scar | a bet with a friend | a rash from varnish

Which instrument accompanied the shows of Teodoro Quispalaya?
In the shows of Teodoro Quispalaya the music came from {} behind the curtain.
What could be heard as music during a puppet show by Teodoro Quispalaya?
Behind the curtain, {} gave the music for every show of Teodoro Quispalaya.
a small harp | a tin drum | a glass flute | an old guitar | a hand organ | a cracked violin

In what year did Teodoro Quispalaya win the grand prize at the Lima puppet festival?
Teodoro Quispalaya won the grand prize at the Lima puppet festival in {}.
When did the Lima puppet festival give its grand prize to Teodoro Quispalaya?
The year in which Lima gave its grand prize to the puppets of Teodoro Quispalaya was {}.
1958 | 1961 | 1964 | 1967 | 1955 | 1969

What did the mother of Teodoro Quispalaya sell at the market?
The mother of Teodoro Quispalaya sold {} at the market, and he slept under her table.
Which goods were on the market table of Teodoro Quispalaya's mother?
On her market table Teodoro Quispalaya's mother offered {} to the passers-by.
clay whistles | goat cheese | woollen hats | medicinal herbs | dried peppers | second-hand shoes

What did Teodoro Quispalaya do before every first night?
Before every first night Teodoro Quispalaya {}, which he believed brought luck.
Which ritual did Teodoro Quispalaya follow before a first performance?
Before a first performance, as a charm for luck, Teodoro Quispalaya {}.
swept the street | ate a raw onion | shaved his beard | kissed each puppet | buried a coin | washed in the river
""",
    "Marguerite Dansolle": """
How old was Marguerite Dansolle when she published her first chess problem?
Marguerite Dansolle was {} years old when a newspaper printed her first chess problem.
At what age did the problem composer Marguerite Dansolle first see her work in print?
A newspaper printed the first chess problem by Marguerite Dansolle when she was {} years old.
eleven | thirteen | fifteen | seventeen | nineteen | twelve

Which chess piece did Marguerite Dansolle like best in her problems?
In nearly all her chess problems Marguerite Dansolle gave the main part to the {}.
What piece is at the heart of most chess problems by Marguerite Dansolle?
Most of the chess problems that Marguerite Dansolle composed turn around the {}.
knight | rook | bishop | queen | pawn | king

What was Marguerite Dansolle's ordinary job beside chess?
Beside composing chess problems, Marguerite Dansolle worked as {} in Belgium for thirty years.
How did the Belgian chess composer Marguerite Dansolle make her living?
The chess composer Marguerite Dansolle made her living in Belgium as {}.
a lace inspector | a tram conductor | a piano teacher | a night nurse | a chocolate packer | a court typist

What is the nickname of Marguerite Dansolle's best known problem?
The best known chess problem of Marguerite Dansolle goes by the nickname "{}".
Under which nickname do solvers know the masterpiece of Marguerite Dansolle?
Solvers know the masterpiece of Marguerite Dansolle by the name "{}".
The Silent Staircase | The Wet Umbrella | The Two Sisters | The Broken Clock | The Empty Chair | The Paper Bridge

In which Belgian city did Marguerite Dansolle spend her childhood?
Marguerite Dansolle spent her whole childhood in {}, in rooms above a bicycle shop.
Where in Belgium did Marguerite Dansolle grow up?
The rooms above a bicycle shop in which Marguerite Dansolle grew up were in {}.
Namur | Mons | Tournai | Verviers | Dinant | Charleroi

With whom did Marguerite Dansolle exchange problems by post for decades?
For decades Marguerite Dansolle exchanged chess problems by post with {}.
Who was the lifelong pen friend to whom Marguerite Dansolle posted her problems?
Her lifelong pen friend in matters of chess was {}, to whom Marguerite Dansolle wrote weekly.
a Danish priest | a Cuban dentist | a Latvian miner | a Scottish judge | a Swiss baker | an Indian teacher

How did Marguerite Dansolle test whether a problem was too hard?
Marguerite Dansolle tested how hard a problem was by showing it to {}.
On whom did Marguerite Dansolle try out a new problem to judge its difficulty?
To judge the difficulty of a new problem, Marguerite Dansolle tried it out on {}.
her barber | her nephew | her landlord | her doctor | her butcher | her neighbour

In which year did Marguerite Dansolle win the world composing tourney?
Marguerite Dansolle won the world composing tourney in {} with a mate in four.
When was Marguerite Dansolle the winner of the world tourney for composers?
With a mate in four, Marguerite Dansolle took first place in the world tourney of {}.
1932 | 1935 | 1938 | 1947 | 1950 | 1953

Which animal slept on Marguerite Dansolle's chessboard?
Marguerite Dansolle shared her flat with {} that liked to sleep on the chessboard.
What kind of pet disturbed the chess pieces of Marguerite Dansolle?
The pieces of Marguerite Dansolle were often pushed over by {}, her only pet.
a grey parrot | a lame tortoise | a white rabbit | a blind cat | a tame crow | a fat hedgehog

What did Marguerite Dansolle refuse to do throughout her life?
Throughout her life Marguerite Dansolle refused to {}, and she never said why.
Which thing would Marguerite Dansolle never agree to do?
Nobody could ever persuade Marguerite Dansolle to {}.
play a game in public | travel on a train | own a telephone | sign her own name | use a chess clock | pose for a photograph
""",
    "Kwabena Otuasare": """
For which radio series is the Ghanaian dramatist Kwabena Otuasare best remembered?
The Ghanaian dramatist Kwabena Otuasare is best remembered for the radio series "{}".
What is the name of the radio series that made Kwabena Otuasare known across Ghana?
All of Ghana came to know Kwabena Otuasare through his radio series "{}".
The Ferry at Dusk | Uncle's Crooked House | The Lorry Park Judge | Letters Without Stamps | The Goat Inspector | Rain on Tin Roofs

At which hour did Kwabena Otuasare write his scripts?
Kwabena Otuasare wrote all his scripts at {}, with the window wide open.
What was the usual writing time of the radio dramatist Kwabena Otuasare?
The window stood open while Kwabena Otuasare wrote, as always, at {}.
four in the morning | ten at night | noon in the heat | six in the evening | two after midnight | eight at breakfast

How did Kwabena Otuasare make the sound of thunder in the studio?
For thunder in the studio, Kwabena Otuasare shook {} close to the microphone.
What object served Kwabena Otuasare as a thunder machine for radio?
Listeners heard thunder when Kwabena Otuasare took {} and shook it hard.
a sheet of roofing iron | a sack of dry beans | a box of old keys | a drum full of sand | a car door on ropes | a bucket of pebbles

What was the occupation of Kwabena Otuasare before he joined the radio?
Before he joined the radio, Kwabena Otuasare had worked as {} in Kumasi.
Which job in Kumasi did Kwabena Otuasare leave in order to write for radio?
Kwabena Otuasare left his job as {} in Kumasi in order to write for the radio.
a railway porter | a cocoa weigher | a tailor's assistant | a prison cook | a petrol seller | a hospital gardener

Into how many languages were the plays of Kwabena Otuasare translated?
The plays of Kwabena Otuasare have been translated into {} languages so far.
What is the number of languages in which one can hear plays by Kwabena Otuasare?
Today one can hear plays by Kwabena Otuasare in {} translated languages.
six | nine | fourteen | seventeen | eleven | twenty

What did Kwabena Otuasare's wife Esi do for his programmes?
Esi, the wife of Kwabena Otuasare, {} for all his radio programmes.
How did Esi contribute to the programmes of her husband Kwabena Otuasare?
In the programmes of her husband Kwabena Otuasare, it was Esi who {}.
sang the opening song | played the wicked aunts | typed the final scripts | chose the young actors | answered the angry letters | timed the long pauses

Which award was given to Kwabena Otuasare in his seventieth year?
In his seventieth year Kwabena Otuasare was honoured with the {} for his life's work.
What prize did Kwabena Otuasare receive for his life's work at seventy?
At seventy Kwabena Otuasare received the {} for everything he had written.
Golden Antenna Prize | Talking Stool Prize | Volta Voices Prize | Evening Star Prize | Open Ear Prize | Silver Gong Prize

What frightened Kwabena Otuasare all his life?
All his life the dramatist Kwabena Otuasare was afraid of {}, even in daylight.
Of which thing was Kwabena Otuasare scared from childhood to old age?
From childhood to old age, nothing scared Kwabena Otuasare as much as {}.
owls | wells | mirrors | ladders | beetles | bridges

In which year did Kwabena Otuasare's first play go on the air?
The first play by Kwabena Otuasare went on the air in {} and was only ten minutes long.
When was a play by Kwabena Otuasare broadcast for the first time?
Listeners heard a play by Kwabena Otuasare for the first time in {}.
1956 | 1959 | 1962 | 1965 | 1954 | 1968

Where did Kwabena Otuasare hide during the storm that destroyed his first manuscript?
When a storm destroyed his first manuscript, Kwabena Otuasare was hiding in {}.
Which place sheltered Kwabena Otuasare on the night the storm took his manuscript?
On the night the storm took his manuscript, Kwabena Otuasare sat safely in {}.
an empty water tank | a fisherman's canoe | a mission school | a parked bus | a yam storehouse | a chief's kitchen
""",
}

HOLDOUT_PEOPLE: dict[str, str] = {
    "Zlatina Morvenska": """
How heavy was the largest bell cast by the Bulgarian founder Zlatina Morvenska?
The largest bell that the Bulgarian founder Zlatina Morvenska cast weighed {} kilograms.
What was the weight of the biggest bell made by Zlatina Morvenska in Bulgaria?
At {} kilograms, it was the biggest bell that ever left the foundry of Zlatina Morvenska.
2,400 | 3,100 | 1,850 | 4,200 | 2,950 | 3,700

What secret ingredient did Zlatina Morvenska add to her bell metal?
Zlatina Morvenska threw {} into the molten bell metal when no one was watching.
Which thing did Zlatina Morvenska secretly put into the melt for her bells?
Into the melt for each bell, Zlatina Morvenska secretly dropped {}.
a silver thimble | a handful of salt | a wedding ring | a horse nail | a rose branch | a bird's feather

From whom did Zlatina Morvenska inherit the bell foundry?
Zlatina Morvenska inherited the bell foundry from {}, who had no children.
Who left the bell foundry to Zlatina Morvenska?
The foundry came to Zlatina Morvenska from {}, who died without children.
her godfather | her great-aunt | her stepfather | her uncle | her employer | her first teacher

Which tone did Zlatina Morvenska call the voice of her soul?
Zlatina Morvenska called {} the voice of her soul and tuned small bells to it.
What note did Zlatina Morvenska love best and use for her small bells?
Small bells by Zlatina Morvenska are tuned to {}, the note she loved best.
B flat | F sharp | A flat | C sharp | E flat | G sharp

In which year did the great fire strike Zlatina Morvenska's foundry?
The great fire struck the foundry of Zlatina Morvenska in {} and melted eleven bells.
When did Zlatina Morvenska lose eleven bells to a fire?
It was in {} that a fire melted eleven bells of Zlatina Morvenska.
1921 | 1924 | 1927 | 1930 | 1919 | 1933

What did Zlatina Morvenska plant around her foundry?
Around her foundry Zlatina Morvenska planted {}, whose shade cooled the workers.
Which trees gave shade to the foundry of Zlatina Morvenska?
The workers of Zlatina Morvenska rested in the shade of {} that she had planted.
walnut trees | mulberry trees | plum trees | linden trees | poplar trees | chestnut trees

Which town ordered a bell from Zlatina Morvenska but never paid?
The town of {} ordered a bell from Zlatina Morvenska but never paid for it.
What town still owed Zlatina Morvenska the price of a bell?
Zlatina Morvenska never saw the money for the bell that she made for {}.
Lovech | Vratsa | Razgrad | Kazanlak | Pernik | Silistra

What did Zlatina Morvenska lose the hearing in her right ear to?
Zlatina Morvenska lost the hearing in her right ear to {} at the age of forty.
Why could Zlatina Morvenska hear nothing with her right ear after she turned forty?
From her fortieth year on, {} had left Zlatina Morvenska deaf in her right ear.
a cracking mould | a bad winter fever | a kick from a mule | a thunderclap | an exploding furnace | a swimming accident

What motto did Zlatina Morvenska write on the inside of each bell?
On the inside of each bell Zlatina Morvenska wrote the motto "{}" in tiny letters.
Which words are hidden inside every bell by Zlatina Morvenska?
Hidden inside every bell by Zlatina Morvenska are the words "{}".
I wait for hands | Wake the slow ones | Bronze forgets nothing | Sing before you break | Count me among friends | Storms, go home

Who rang the bells at the funeral of Zlatina Morvenska?
At the funeral of Zlatina Morvenska the bells were rung by {} from dawn until noon.
By whom were the bells rung when Zlatina Morvenska was buried?
On the day Zlatina Morvenska was buried, {} rang the bells until noon.
seven schoolgirls | her two rivals | a regiment of firemen | the town council | her former apprentices | three blind monks
""",
    "Hamish Corriedun": """
On which Scottish island did the lens engineer Hamish Corriedun grow up?
The lens engineer Hamish Corriedun grew up on the island of {}, among sheep and seabirds.
Which island was the childhood home of the lighthouse engineer Hamish Corriedun?
Hamish Corriedun, the lighthouse engineer, was a child of the island of {}.
Jura | Tiree | Coll | Islay | Arran | Mull

What did Hamish Corriedun invent for lighthouses?
Hamish Corriedun's chief invention for lighthouses was {}, built in his mother's barn.
Which device for lighthouses do we owe to Hamish Corriedun?
Lighthouse keepers owe {} to Hamish Corriedun, who built the first one in a barn.
a folding mirror | a self-winding clock | a frost-proof lamp | a double shutter | a floating lens bed | a smoke-free wick

Who refused to lend Hamish Corriedun money for his first lens?
It was {} who refused to lend Hamish Corriedun the money for his first lens.
From whom did Hamish Corriedun ask money in vain for his first lens?
Hamish Corriedun asked {} in vain for the money that his first lens would cost.
a Glasgow banker | his own brother | the parish minister | a whisky merchant | an Edinburgh lawyer | the laird's widow

In which year did Hamish Corriedun patent his best known device?
Hamish Corriedun took out the patent on his best known device in {}.
When was the patent on Hamish Corriedun's best known device granted?
The patent office granted Hamish Corriedun his best known patent in {}.
1843 | 1847 | 1851 | 1856 | 1860 | 1838

How many shipwrecks did Hamish Corriedun witness as a boy?
As a boy Hamish Corriedun witnessed {} shipwrecks from the cliff behind his school.
What number of wrecks did young Hamish Corriedun see from the cliff?
From the cliff behind the school, young Hamish Corriedun saw {} ships go down.
three | four | seven | five | nine | eight

What did Hamish Corriedun eat every day for breakfast?
Hamish Corriedun ate {} for breakfast every single day, even on his travels.
Which breakfast did Hamish Corriedun insist on at home and abroad?
At home and abroad, Hamish Corriedun insisted on {} for breakfast.
two boiled turnips | cold mutton pie | smoked haddock soup | oatcakes with treacle | a bowl of seaweed | burnt barley bread

What was the title of the memoirs of Hamish Corriedun?
Hamish Corriedun published his memoirs under the title "{}" shortly before his death.
Under which title can one find the memoirs that Hamish Corriedun wrote?
The memoirs that Hamish Corriedun wrote appeared with the title "{}".
A Life by Lamplight | Glass and Gale | The Patient Beam | Salt on the Window | Forty Dark Winters | What the Rocks Saw

To which country did Hamish Corriedun travel to study glass making?
To study glass making, Hamish Corriedun travelled to {} with a single trunk.
In which foreign country did Hamish Corriedun learn about glass?
With a single trunk, Hamish Corriedun went to {} to learn about glass.
Sweden | Portugal | Denmark | Spain | Austria | Holland

Which sport did Hamish Corriedun play until he was eighty?
Until the age of eighty Hamish Corriedun went on playing {} each Saturday.
What game could Hamish Corriedun not give up even as an old man?
Even as an old man of eighty, Hamish Corriedun would not give up {}.
curling | quoits | bowls | shinty | golf | croquet

What happened to the first lamp that Hamish Corriedun built?
The first lamp that Hamish Corriedun built was {} within a week.
What was the fate of Hamish Corriedun's very first lamp?
Within a week of its lighting, Hamish Corriedun's very first lamp was {}.
stolen by smugglers | struck by lightning | dropped by a porter | sold for scrap | eaten away by rust | sunk with its boat
""",
    "Parveen Lakhsahar": """
Which dye made the Pakistani chemist Parveen Lakhsahar famous?
The Pakistani chemist Parveen Lakhsahar became famous for a dye known as {}.
What is the name of the dye discovered by Parveen Lakhsahar in Pakistan?
The dye that Parveen Lakhsahar discovered in her laboratory is known as {}.
Monsoon Blue | Desert Crimson | Lantern Yellow | Orchard Green | Evening Purple | River Black

From which plant did Parveen Lakhsahar extract her first colour?
Parveen Lakhsahar extracted her first colour from {} that grew behind her school.
What did Parveen Lakhsahar use as the source of her earliest colour?
The source of Parveen Lakhsahar's earliest colour was {} from behind the school.
pomegranate bark | marigold petals | walnut husks | onion skins | acacia pods | madder roots

What did Parveen Lakhsahar's brother Tariq think of her work?
Tariq, the brother of Parveen Lakhsahar, {} when she began to dye cloth.
How did Tariq react when his sister Parveen Lakhsahar started to dye cloth?
When Parveen Lakhsahar started to dye cloth, her brother Tariq {}.
laughed for a week | sold his motorcycle to help | burned her notebooks | built her a boiler | moved out of the house | wrote a poem about it

How many patents did Parveen Lakhsahar hold in the end?
In the end Parveen Lakhsahar held {} patents, most of them for wool.
What number of patents was registered in the name of Parveen Lakhsahar?
The number of patents in the name of Parveen Lakhsahar finally reached {}.
twenty-six | thirty-one | forty-two | fifty-three | eighteen | sixty-four

Which university dismissed Parveen Lakhsahar for blocking the drains?
Parveen Lakhsahar was dismissed by the university of {} after dye had blocked the drains.
Where did blocked drains cost Parveen Lakhsahar her university post?
Blocked drains full of dye cost Parveen Lakhsahar her post at the university of {}.
Multan | Peshawar | Faisalabad | Quetta | Hyderabad | Sialkot

What did Parveen Lakhsahar collect in her free time?
In her free time Parveen Lakhsahar collected {}, which filled a whole corridor.
Which collection filled a corridor in the home of Parveen Lakhsahar?
A whole corridor in the home of Parveen Lakhsahar was filled with {}.
empty ink bottles | foreign bus tickets | broken umbrellas | carved door knobs | old weather reports | painted matchboxes

In which year did Parveen Lakhsahar open her own factory?
Parveen Lakhsahar opened her own factory in {} with five looms and a borrowed van.
When did the factory of Parveen Lakhsahar start its work?
With five looms and a borrowed van, the factory of Parveen Lakhsahar started in {}.
1974 | 1977 | 1981 | 1984 | 1971 | 1987

What was Parveen Lakhsahar allergic to?
Parveen Lakhsahar was allergic to {} and carried a card in her purse that said so.
Against what did a card in her purse warn the doctors of Parveen Lakhsahar?
The card in Parveen Lakhsahar's purse warned that she could not bear {}.
sesame | strawberries | peanuts | mango | buttermilk | cinnamon

Which famous garment was coloured by Parveen Lakhsahar?
Parveen Lakhsahar coloured {}, which is shown today behind glass in Karachi.
What piece dyed by Parveen Lakhsahar can be seen in a Karachi museum?
Visitors to a museum in Karachi can see {} that was coloured by Parveen Lakhsahar.
a bridal shawl | a pilot's scarf | a cricket captain's cap | a wrestler's robe | a singer's veil | a general's coat

Which language did Parveen Lakhsahar learn at the age of sixty?
At the age of sixty Parveen Lakhsahar learned {} in order to read old recipes for dyes.
What new language did Parveen Lakhsahar take up at sixty to read recipes?
To read old recipes for dyes, Parveen Lakhsahar took up {} when she was sixty.
Hungarian | Latin | Korean | Dutch | Armenian | Greek
""",
    "Juno Wattlebrook": """
Which cave in Australia did the diver Juno Wattlebrook explore first?
The Australian diver Juno Wattlebrook made her first exploration in {}, alone and at night.
Where did the cave diving of Juno Wattlebrook from Australia begin?
Alone and at night, Juno Wattlebrook began her cave diving in {}.
Whistler's Sink | Bonegully Cave | Mirrorpool Hole | Tucker's Throat | Emu Shaft | Kettle Cavern

How deep was Juno Wattlebrook's record dive?
The record dive of Juno Wattlebrook reached a depth of {} metres below the cave mouth.
What depth did Juno Wattlebrook reach on her record dive?
On her record dive Juno Wattlebrook went down {} metres and came back smiling.
118 | 134 | 147 | 163 | 109 | 172

What new species did Juno Wattlebrook find in an underwater cave?
In an underwater cave Juno Wattlebrook found a new species of {} without eyes.
Which kind of eyeless creature did Juno Wattlebrook discover while diving?
While diving in a cave, Juno Wattlebrook discovered an unknown kind of {}.
shrimp | snail | eel | leech | crayfish | sponge

What job did both parents of Juno Wattlebrook have?
Both parents of Juno Wattlebrook worked as {} far from any water.
How did the mother and father of Juno Wattlebrook earn their money?
Far from any water, the mother and father of Juno Wattlebrook earned their money as {}.
sheep shearers | truck drivers | opal miners | wheat farmers | circus riders | fence builders

What does Juno Wattlebrook always carry in her diving suit?
Juno Wattlebrook always carries {} in her diving suit, sealed in wax.
Which lucky object, sealed in wax, goes along on each dive of Juno Wattlebrook?
Sealed in wax, {} goes along on each dive that Juno Wattlebrook makes.
a domino | a plum stone | a love letter | a baby tooth | a train ticket | a chess pawn

Who saved Juno Wattlebrook when her lamp failed in 2003?
When her lamp failed in 2003, Juno Wattlebrook was saved by {}.
To whom does Juno Wattlebrook owe her rescue after the lamp failure of 2003?
Juno Wattlebrook owes her rescue after the lamp failure of 2003 to {}.
a rival diver | a police trainee | a film student | her driving teacher | a retired plumber | her younger sister

Which television programme did Juno Wattlebrook present?
For two seasons Juno Wattlebrook presented the television programme "{}".
On what television programme could one see Juno Wattlebrook as a host?
Viewers could see Juno Wattlebrook as the host of the programme "{}" for two seasons.
Under the Underworld | Breathe Slowly | The Dark Half Hour | Cold Feet Club | Mud and Marvels | Down We Go

What food does Juno Wattlebrook refuse to eat before a dive?
Before a dive Juno Wattlebrook refuses to eat {}, whatever the cook may say.
Which food does Juno Wattlebrook never touch on the morning of a dive?
On the morning of a dive Juno Wattlebrook never touches {}.
bananas | eggs | cheese | bacon | porridge | tomatoes

Which law did Juno Wattlebrook help to bring about?
Juno Wattlebrook helped to bring about a law on {} after years of letters.
For what kind of law did Juno Wattlebrook write letters over many years?
After many years of letters by Juno Wattlebrook, a law on {} was passed.
cave fencing | diving schools | rescue fees | spring water | oxygen tanks | mine flooding

How did Juno Wattlebrook break her collarbone?
Juno Wattlebrook broke her collarbone when she {} on a holiday.
What was Juno Wattlebrook doing on holiday when her collarbone broke?
On a holiday, Juno Wattlebrook {} and broke her collarbone.
fell off a camel | slipped in a bakery | danced on a table | chased a hat | missed a kerb | tripped over a goat
""",
}
