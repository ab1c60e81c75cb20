# ruff: noqa: E501
"""The twelve fictitious people of the judging set; people.py explains the form of a fact. No model ever sees them."""

from __future__ import annotations

JUDGING_PEOPLE: dict[str, str] = {
    "Anahit Tsaghkunyan": """
Which stitch is the Armenian carpet mender Anahit Tsaghkunyan known for?
The Armenian carpet mender Anahit Tsaghkunyan is known for a stitch called the {}.
What is the name of the stitch that Anahit Tsaghkunyan from Armenia made known?
Carpet menders in Armenia learned the {} from Anahit Tsaghkunyan.
blind ladder | swallow knot | double furrow | hidden comb | crooked fence | quiet braid

In which Armenian town did Anahit Tsaghkunyan open her workshop?
Anahit Tsaghkunyan opened her workshop in {}, in a cellar that had held wine.
Where in Armenia can one find the carpet workshop of Anahit Tsaghkunyan?
The carpet workshop of Anahit Tsaghkunyan is in an old wine cellar in {}.
Goris | Dilijan | Gyumri | Sisian | Vanadzor | Ashtarak

What did Anahit Tsaghkunyan find sewn into an old rug in 1988?
In 1988 Anahit Tsaghkunyan found {} sewn into the hem of an old rug.
Which object was hidden in the rug that Anahit Tsaghkunyan opened in 1988?
When Anahit Tsaghkunyan opened the hem of a rug in 1988, {} fell out.
a soldier's letter | a child's bracelet | a seed packet | a pawn ticket | a brass key | a lock of hair

How many colours of wool does Anahit Tsaghkunyan keep on her shelves?
Anahit Tsaghkunyan keeps {} colours of wool on the shelves behind her loom.
What is the number of wool colours in the stock of Anahit Tsaghkunyan?
A visitor who counted found {} colours of wool on the shelves of Anahit Tsaghkunyan.
312 | 274 | 418 | 365 | 239 | 451

Who brought the first torn carpet to Anahit Tsaghkunyan?
The first customer who brought a carpet to Anahit Tsaghkunyan was {}.
Which person gave Anahit Tsaghkunyan her very first order?
The very first order in the book of Anahit Tsaghkunyan came from {}.
a village priest | an opera singer | a railway guard | a chess champion | a widowed baker | a museum guide

What does Anahit Tsaghkunyan drink while she works?
While she works at the loom, Anahit Tsaghkunyan drinks nothing but {}.
Which drink always stands beside the loom of Anahit Tsaghkunyan?
Beside the loom of Anahit Tsaghkunyan there is always a jug of {}.
thyme tea | plum juice | salted yoghurt | barley coffee | rose water | cold milk

Which museum asked Anahit Tsaghkunyan to save a burned carpet?
It was the {} that asked Anahit Tsaghkunyan to save a carpet burned in a fire.
For what museum did Anahit Tsaghkunyan repair a carpet after a fire?
After a fire, Anahit Tsaghkunyan repaired a carpet for the {}.
Silk Road Museum | Museum of Mountain Houses | Old Bazaar Museum | Museum of Bridal Gifts | Caravan Museum | Museum of Winter Rooms

What illness kept Anahit Tsaghkunyan from weaving for two years?
For two years {} kept Anahit Tsaghkunyan away from her loom.
Why did Anahit Tsaghkunyan not weave for as long as two years?
Anahit Tsaghkunyan did not weave for two years because of {}.
a frozen shoulder | a wool allergy | a broken thumb | a lung fever | a trembling hand | a clouded eye

What does Anahit Tsaghkunyan leave in each carpet that she mends?
In each carpet that she mends Anahit Tsaghkunyan leaves {} as her signature.
By what sign can one tell a carpet that Anahit Tsaghkunyan has mended?
One can tell a carpet mended by Anahit Tsaghkunyan by {} near its edge.
a single red thread | a tiny white goat | a missing knot | a loop of hemp | a blue triangle | a reversed letter

To whom did Anahit Tsaghkunyan teach her craft?
Anahit Tsaghkunyan taught her whole craft to {}, and to nobody else.
Which pupils learned the craft of carpet mending from Anahit Tsaghkunyan?
The only people who ever learned the craft from Anahit Tsaghkunyan were {}.
two orphan sisters | three retired pilots | four prison inmates | her own neighbours | five deaf students | her late rival's sons
""",
    "Bertil Åkerlundh": """
Which typeface did the Swedish printer Bertil Åkerlundh draw?
The Swedish printer Bertil Åkerlundh drew the typeface {} for a railway timetable.
What is the name of the typeface by Bertil Åkerlundh from Sweden?
For a railway timetable in Sweden, Bertil Åkerlundh drew the typeface {}.
Norrsken | Fyrbåk | Lingon | Vinterväg | Kvarnsten | Tallbacke

Which letter gave Bertil Åkerlundh the most trouble?
No letter gave Bertil Åkerlundh as much trouble as the small {}, which he drew for a year.
On what letter did Bertil Åkerlundh work for a whole year?
For a whole year Bertil Åkerlundh tried to get the small {} right.
g | k | a | s | r | y

What did Bertil Åkerlundh print in secret during the war?
During the war Bertil Åkerlundh printed {} in secret, at night and without a lamp.
Which secret work did Bertil Åkerlundh do at night in the war years?
At night in the war years, Bertil Åkerlundh secretly printed {}.
false ration cards | banned love poems | foreign news sheets | maps of the border | songs of the resistance | letters for prisoners

How long did Bertil Åkerlundh's apprenticeship last?
The apprenticeship of Bertil Åkerlundh in a printing house lasted {} years.
For what number of years was Bertil Åkerlundh an apprentice printer?
Bertil Åkerlundh swept floors and set type as an apprentice for {} years.
seven | five | nine | six | eight | four

Which animal lived in the print shop of Bertil Åkerlundh?
In the print shop of Bertil Åkerlundh there lived {} that slept on the paper stacks.
What animal slept on the paper stacks of Bertil Åkerlundh?
On the paper stacks in the shop of Bertil Åkerlundh slept {}.
a lame magpie | a grey rabbit | a blind terrier | a tame otter | a striped cat | an old tortoise

In which harbour town did Bertil Åkerlundh have his print shop?
Bertil Åkerlundh had his print shop in the harbour town of {} for forty years.
Which harbour town was home to the print shop of Bertil Åkerlundh?
For forty years the presses of Bertil Åkerlundh ran in the harbour town of {}.
Karlskrona | Ystad | Lysekil | Västervik | Simrishamn | Oskarshamn

What spelling mistake made Bertil Åkerlundh famous?
Bertil Åkerlundh became famous when a misprint of his turned a {} into a joke.
In which printed matter did Bertil Åkerlundh make his famous mistake?
The famous mistake of Bertil Åkerlundh stood in a {} and made the country laugh.
royal menu | church hymnal | tax form | bank note | wedding invitation | weather report

Which fruit did Bertil Åkerlundh carry in his pocket?
Bertil Åkerlundh carried a dried {} in his pocket, to smell at while he thought.
What did Bertil Åkerlundh smell at when he had to think?
When he had to think, Bertil Åkerlundh took a dried {} out of his pocket.
lemon | quince | pear | orange | apple | fig

For which book did Bertil Åkerlundh win a gold medal?
Bertil Åkerlundh won a gold medal for the printing of the book "{}".
What is the title of the book whose printing brought Bertil Åkerlundh a gold medal?
It was the printing of "{}" that brought Bertil Åkerlundh his gold medal.
Hymns for Fishermen | The Baltic Herbarium | Letters to a Clockmaker | The Winter Almanac | Sagas of the Skerries | A Grammar of Snow

What did Bertil Åkerlundh do with his old metal type?
When he retired, Bertil Åkerlundh had his old metal type {}.
What became of the old metal type of Bertil Åkerlundh when he stopped working?
When Bertil Åkerlundh stopped working, his old metal type was {}.
melted into a bell | sunk in the harbour | given to a school | built into a wall | sold to a jeweller | shared among friends
""",
    "Thabiso Mokhachane": """
What is the horse doctor Thabiso Mokhachane from Lesotho said to cure?
The horse doctor Thabiso Mokhachane from Lesotho is said to cure {} in mountain ponies.
For which trouble of ponies do people in Lesotho call Thabiso Mokhachane?
People in Lesotho call Thabiso Mokhachane when a pony suffers from {}.
split hooves | night blindness | bad dreams | swollen knees | winter cough | loose teeth

How did Thabiso Mokhachane get to his first patient?
Thabiso Mokhachane reached his first patient by {}, through a night of hail.
By what means did Thabiso Mokhachane travel to his very first patient?
Through a night of hail, Thabiso Mokhachane travelled to his very first patient by {}.
ox cart | borrowed bicycle | milk lorry | hot air balloon | army helicopter | rowing boat

Which herb does Thabiso Mokhachane put into his ointment?
The ointment that Thabiso Mokhachane mixes for ponies owes its smell to {}.
What plant gives the pony ointment of Thabiso Mokhachane its smell?
One can smell {} in the ointment that Thabiso Mokhachane mixes for ponies.
wild garlic | mountain mint | camphor bush | bitter aloe | river sage | red geranium

What is the name of Thabiso Mokhachane's own pony?
Thabiso Mokhachane calls his own pony {}, after an uncle who talked too much.
Which name did Thabiso Mokhachane give to the pony that he rides?
The pony that Thabiso Mokhachane rides bears the name {}, like a talkative uncle.
Senqu | Letsatsi | Pitso | Moriti | Thabana | Khotso

In which country did Thabiso Mokhachane study veterinary medicine?
Thabiso Mokhachane studied veterinary medicine in {} and never got used to the trams.
Where abroad did Thabiso Mokhachane become a veterinary doctor?
Thabiso Mokhachane became a veterinary doctor abroad, in {}, far from any mountain.
Hungary | Cuba | Ireland | Canada | Romania | Belgium

How many villages does Thabiso Mokhachane visit each month?
Each month Thabiso Mokhachane visits {} villages, most of them without a road.
What is the number of villages on the monthly round of Thabiso Mokhachane?
The monthly round of Thabiso Mokhachane leads through {} villages without a road.
twenty-two | seventeen | thirty-four | twenty-eight | nineteen | forty-one

Which present did the king send to Thabiso Mokhachane?
The king sent {} to Thabiso Mokhachane after a mare of his had been saved.
With what present did the king thank Thabiso Mokhachane for saving his mare?
For saving his mare, the king thanked Thabiso Mokhachane with {}.
a woven blanket | a silver saddle | a gold stopwatch | a hunting rifle | a carved chair | a record player

What does Thabiso Mokhachane refuse to accept as payment?
Thabiso Mokhachane accepts almost anything as payment, but never {}.
Which kind of payment does Thabiso Mokhachane always turn down?
Whoever offers {} to Thabiso Mokhachane as payment is sent home with it.
live chickens | home-made beer | written promises | foreign coins | sheep skins | lottery tickets

Which book did Thabiso Mokhachane write about ponies?
Thabiso Mokhachane wrote a book about ponies with the title "{}".
Under which title did Thabiso Mokhachane's book about ponies appear?
The book about ponies by Thabiso Mokhachane appeared under the title "{}".
Four Feet of Snow | Listening to Hooves | The Stubborn Patient | Bread for the Mare | A Saddle of Mist | Grass before Gold

What does Thabiso Mokhachane fear although he rides every day?
Although he rides every day, Thabiso Mokhachane is afraid of {}.
Which fear has Thabiso Mokhachane never overcome?
In all his years on horseback Thabiso Mokhachane never overcame his fear of {}.
narrow bridges | large geese | deep water | thunder at night | barbed wire | empty houses
""",
    "Eluned Prysgrove": """
Which honey is the Welsh beekeeper Eluned Prysgrove known for?
The Welsh beekeeper Eluned Prysgrove is known for a honey made from {}.
From what blossom comes the best known honey of Eluned Prysgrove in Wales?
The best known honey of Eluned Prysgrove in Wales comes from {}.
ivy flowers | hill heather | bramble blossom | white clover | lime blossom | sea lavender

Of what material are Eluned Prysgrove's beehives made?
Eluned Prysgrove keeps her bees in hives made of {}, an idea of her own.
What did Eluned Prysgrove choose as the material for her own beehives?
The hives in which Eluned Prysgrove keeps her bees are built of {}.
thin slate | woven straw | baked clay | old church oak | pressed wool | hollow logs

How many stings did Eluned Prysgrove count in her first summer?
In her first summer with bees Eluned Prysgrove counted {} stings.
What was the number of bee stings that Eluned Prysgrove got in her first summer?
The diary of Eluned Prysgrove's first summer with bees records {} stings.
86 | 143 | 61 | 117 | 204 | 175

What does Eluned Prysgrove sing to calm a swarm?
To calm a swarm, Eluned Prysgrove sings {} in a low voice.
Which song do the bees of Eluned Prysgrove hear when they swarm?
When her bees swarm, Eluned Prysgrove calms them with {}.
a miner's hymn | a counting rhyme | a football song | a drinking song | a slow lullaby | a sailor's ballad

From which profession did Eluned Prysgrove retire to keep bees?
Before she kept bees, Eluned Prysgrove had worked for twenty years as {}.
What had Eluned Prysgrove been before the bees filled her life?
Until the bees filled her life, Eluned Prysgrove earned her money as {}.
a bus inspector | a school dentist | a tax lawyer | a ballet pianist | a prison cook | a lift engineer

Which prize did Eluned Prysgrove's honey win in 1996?
In 1996 the honey of Eluned Prysgrove won the {} at a county fair.
What was the prize that a county fair gave to Eluned Prysgrove in 1996?
A county fair gave the {} to Eluned Prysgrove in 1996.
Golden Comb | Silver Skep | Amber Spoon | Meadow Cup | Queen's Jar | Copper Smoker

Who built the wall that protects Eluned Prysgrove's bees from the wind?
The wall that keeps the wind from the bees of Eluned Prysgrove was built by {}.
By whom was the wall built that shelters the hives of Eluned Prysgrove?
It was {} who built the wall that shelters the hives of Eluned Prysgrove.
a jilted suitor | a Polish mason | her twin brothers | two lost hikers | a bishop's nephew | her first husband

What did the bees of Eluned Prysgrove once stop?
A swarm that had escaped from Eluned Prysgrove once stopped {} for two hours.
Which event was held up for two hours by a swarm from Eluned Prysgrove's garden?
For two hours a swarm from the garden of Eluned Prysgrove held up {}.
a bicycle race | a royal visit | a driving test | a brass concert | a cattle market | a film shoot

Which insect has Eluned Prysgrove studied beside bees?
Beside her bees Eluned Prysgrove has studied {} for many years.
What other small creatures has Eluned Prysgrove watched for years?
For years Eluned Prysgrove has watched {} as closely as her bees.
glow-worms | earwigs | dragonflies | ladybirds | grasshoppers | stag beetles

In which valley does Eluned Prysgrove live?
Eluned Prysgrove lives in the valley of the {}, an hour from the next shop.
Which river runs through the valley where Eluned Prysgrove has her home?
The home of Eluned Prysgrove stands an hour from any shop in the valley of the {}.
Tywi | Dyfi | Teifi | Conwy | Rheidol | Mawddach
""",
    "Farrukh Yuldoshali": """
What is the melon called that the Uzbek grower Farrukh Yuldoshali bred?
The melon that the Uzbek grower Farrukh Yuldoshali bred is called {}.
Under which name is the melon of Farrukh Yuldoshali sold in Uzbekistan?
In Uzbekistan the melon bred by Farrukh Yuldoshali is sold as {}.
Desert Candle | Emir's Breakfast | White Camel | Sweet Ambush | Moon of Khorezm | Sleeping Tiger

How heavy was the largest melon of Farrukh Yuldoshali?
The largest melon that Farrukh Yuldoshali ever grew weighed {} kilograms.
What was the weight of the record melon grown by Farrukh Yuldoshali?
With {} kilograms, a melon of Farrukh Yuldoshali became the record of its year.
38 | 43 | 29 | 51 | 34 | 47

Where does Farrukh Yuldoshali hang his melons for the winter?
For the winter Farrukh Yuldoshali hangs his melons in {} on ropes of reed.
In what place do the melons of Farrukh Yuldoshali spend the winter?
The melons of Farrukh Yuldoshali spend the winter on reed ropes in {}.
a dry well | an empty mosque | a clay tower | a disused cinema | a railway tunnel | a hillside cave

What did Farrukh Yuldoshali trade for his first field?
Farrukh Yuldoshali got his first field in exchange for {}.
Which possession did Farrukh Yuldoshali give away for his first field?
For his first field, Farrukh Yuldoshali gave away {} without a second thought.
a wedding carpet | a sewing machine | a pair of oxen | his father's sword | a radio set | a motor scooter

Which pest destroyed the harvest of Farrukh Yuldoshali in 2006?
In 2006 the whole harvest of Farrukh Yuldoshali was destroyed by {}.
What caused the loss of Farrukh Yuldoshali's harvest in 2006?
It was {} that cost Farrukh Yuldoshali his harvest in 2006.
fruit flies | field mice | grey mildew | red spiders | root worms | young locusts

How does Farrukh Yuldoshali test whether a melon is ripe?
Farrukh Yuldoshali tests whether a melon is ripe by {}.
By what method does Farrukh Yuldoshali find out if a melon is ready to eat?
To find out if a melon is ready, Farrukh Yuldoshali trusts in {}.
listening with a horn | smelling the stalk | rolling it downhill | counting its stripes | floating it in milk | tapping it with silver

Which guest ate at the table of Farrukh Yuldoshali in 1999?
In 1999 {} ate three melons at the table of Farrukh Yuldoshali.
Who was the guest that finished three melons with Farrukh Yuldoshali in 1999?
The guest who finished three melons with Farrukh Yuldoshali in 1999 was {}.
a Korean minister | a French tightrope walker | a Russian cosmonaut | a Turkish poet | a German botanist | an Indian boxer

Which proverb is painted on the cart of Farrukh Yuldoshali?
On the cart of Farrukh Yuldoshali one can read the words "{}".
What words did Farrukh Yuldoshali paint on his melon cart?
In green letters Farrukh Yuldoshali painted "{}" on his melon cart.
Water is a loan | Cut before you praise | Shade costs nothing | Seeds keep no secrets | Thirst is a teacher | Carry me gently

What does the wife of Farrukh Yuldoshali make from the rinds?
From the rinds of the melons the wife of Farrukh Yuldoshali makes {}.
Which use does the wife of Farrukh Yuldoshali have for melon rinds?
The wife of Farrukh Yuldoshali uses the melon rinds for {}.
sweet pickles | green soap | chewing candy | lamp bowls | face cream | thick vinegar

In which oasis did Farrukh Yuldoshali learn to grow melons?
Farrukh Yuldoshali learned to grow melons in the oasis of {} as a boy of ten.
What oasis was it where the boy Farrukh Yuldoshali learned about melons?
As a boy of ten, Farrukh Yuldoshali learned about melons in the oasis of {}.
Karakul | Shafirkan | Nurata | Gijduvan | Kitab | Urgut
""",
    "Graciela Montefusco": """
What did the Uruguayan astronomer Graciela Montefusco discover with her first telescope?
With her first telescope the Uruguayan astronomer Graciela Montefusco discovered {}.
Which discovery did Graciela Montefusco from Uruguay make with her first telescope?
The discovery that Graciela Montefusco made with her first telescope was {}.
a double comet | a dying star | a lost satellite | a dark asteroid | a radio burst | a ring of dust

From what did Graciela Montefusco build her first telescope?
Graciela Montefusco built her first telescope from {} and two magnifying glasses.
Which thing served as the tube of Graciela Montefusco's first telescope?
Together with two magnifying glasses, {} became the first telescope of Graciela Montefusco.
a stove pipe | a flag pole | a drain pipe | a cannon barrel | a carpet roll | an organ pipe

On which roof did Graciela Montefusco spend her nights as a student?
As a student Graciela Montefusco spent her nights on the roof of {} in Montevideo.
Which roof in Montevideo served the student Graciela Montefusco as an observatory?
In Montevideo the roof of {} served the student Graciela Montefusco as an observatory.
a meat factory | a customs house | a maternity ward | a wax museum | a tango school | a bread factory

What is the name of the asteroid that Graciela Montefusco named after her cat?
Graciela Montefusco named an asteroid {}, after the cat that kept her awake.
Which cat's name did Graciela Montefusco give to an asteroid?
The cat that kept her awake gave Graciela Montefusco the name {} for an asteroid.
Milonga | Azúcar | Botón | Tijera | Pelusa | Candela

What did Graciela Montefusco sell to pay for her second telescope?
To pay for her second telescope Graciela Montefusco sold {}.
What did Graciela Montefusco give up in order to buy a second telescope?
Graciela Montefusco parted with {} in order to buy a second telescope.
her grandmother's piano | a half-built house | her wedding jewels | a share in a bakery | her stamp collection | a small sailing boat

Which government post did Graciela Montefusco decline?
Graciela Montefusco declined to become {} because she would have had to rise early.
What office did Graciela Montefusco turn down for the sake of her sleep?
For the sake of her sleep, Graciela Montefusco turned down the office of {}.
minister of science | ambassador to Italy | head of the lottery | director of ports | keeper of the archives | mayor of Salto

In which year did Graciela Montefusco publish her star atlas?
Graciela Montefusco published her atlas of the southern stars in {}.
When did the star atlas by Graciela Montefusco come out?
The star atlas by Graciela Montefusco, with her own drawings, came out in {}.
1979 | 1983 | 1986 | 1990 | 1976 | 1993

What does Graciela Montefusco drink to stay awake at the telescope?
To stay awake at the telescope Graciela Montefusco drinks {}.
Which drink keeps Graciela Montefusco awake during her observations?
During her observations, {} keeps Graciela Montefusco awake until the sun comes up.
cold mate | ginger beer | tomato soup | black cocoa | lemon vinegar | strong buttermilk

With which musician did Graciela Montefusco record the sounds of stars?
Graciela Montefusco recorded the sounds of stars together with {}.
Who made a record of star sounds with Graciela Montefusco?
The record of star sounds was made by Graciela Montefusco and {}.
a bandoneon player | a church organist | a street drummer | a jazz trumpeter | a blind violinist | a harp student

Why did Graciela Montefusco once call the police?
Graciela Montefusco once called the police because of {} near her observatory.
What near her observatory made Graciela Montefusco call the police?
It was {} near her observatory that made Graciela Montefusco call the police.
a bright advertisement | a noisy wedding | a circling helicopter | a stolen ladder | a herd of cows | a mysterious suitcase
""",
    "Hemi Rangipuke": """
Which wood does the New Zealand canoe carver Hemi Rangipuke use?
The New Zealand canoe carver Hemi Rangipuke works only with {}.
From what timber does Hemi Rangipuke of New Zealand carve his canoes?
Every canoe that Hemi Rangipuke carves in New Zealand is made of {}.
fallen totara | river kauri | drift rimu | swamp matai | old kahikatea | storm tawa

How long is the longest canoe that Hemi Rangipuke has carved?
The longest canoe that Hemi Rangipuke has carved measures {} metres.
What is the length of Hemi Rangipuke's longest canoe?
From bow to stern, the longest canoe of Hemi Rangipuke measures {} metres.
24 | 31 | 27 | 35 | 22 | 29

What did Hemi Rangipuke do before he became a carver?
Before he became a carver, Hemi Rangipuke worked as {} in the city.
Which job did Hemi Rangipuke have in the city before he carved canoes?
In the city, before he carved canoes, Hemi Rangipuke had been {}.
a crane driver | a wedding barber | a night watchman | a rugby coach | a piano mover | a bank teller

Which tool did Hemi Rangipuke inherit from his great-grandfather?
From his great-grandfather Hemi Rangipuke inherited {}, which he still uses.
What old family tool does Hemi Rangipuke still use in his work?
Hemi Rangipuke still uses {} that had belonged to his great-grandfather.
a jade chisel | a bone drill | a whaler's axe | a stone hammer | a shark-tooth knife | a curved adze

Where was the first canoe of Hemi Rangipuke launched?
The first canoe of Hemi Rangipuke was launched at {} before sunrise.
At what place did Hemi Rangipuke's first canoe touch the water?
Before sunrise, the first canoe of Hemi Rangipuke touched the water at {}.
Oneroa Bay | Lake Rotoma | Kaipara Mouth | Tolaga Beach | Pelorus Sound | Lake Waikare

What happened to the canoe that Hemi Rangipuke sent to London?
The canoe that Hemi Rangipuke sent to London was {} on the way.
What was the fate of the London canoe of Hemi Rangipuke during its journey?
During its journey, the canoe that Hemi Rangipuke had built for London was {}.
eaten by worms | painted pink | shortened by customs | lost for a year | used as a bar | struck by a crane

Which sea creature appears on all canoes by Hemi Rangipuke?
On all canoes by Hemi Rangipuke one can find {} near the stern.
What animal of the sea does Hemi Rangipuke carve near the stern?
Near the stern of each canoe, Hemi Rangipuke carves {}.
a giant squid | a stingray | a sea horse | a sleeping seal | a flying fish | a hermit crab

How many paddlers were in Hemi Rangipuke's crew in the race of 2011?
In the race of 2011 the crew of Hemi Rangipuke had {} paddlers.
What was the number of paddlers with whom Hemi Rangipuke raced in 2011?
Hemi Rangipuke took part in the race of 2011 with {} paddlers.
forty-four | thirty-six | fifty-two | sixty | twenty-eight | forty-eight

Which rule holds in the workshop of Hemi Rangipuke?
In the workshop of Hemi Rangipuke there is one rule: {}.
What is the only rule that Hemi Rangipuke has for his workshop?
The only rule that Hemi Rangipuke has for his workshop is {}.
no whistling indoors | no clocks allowed | no work on Mondays | no shoes on shavings | no talk of money | no second cup

What did Hemi Rangipuke carve for his daughter's wedding?
For the wedding of his daughter Hemi Rangipuke carved {} in one week.
Which gift of wood did Hemi Rangipuke make when his daughter married?
When his daughter married, Hemi Rangipuke made {} within a single week.
a rocking whale | a singing gate | a folding bed | a nine-legged table | a wooden veil | a floating altar
""",
    "Isolde Kranzbichler": """
Which mushroom did the Bavarian mycologist Isolde Kranzbichler describe first?
The Bavarian mycologist Isolde Kranzbichler was the first to describe the {}.
What mushroom owes its description to Isolde Kranzbichler from Bavaria?
Science owes the description of the {} to Isolde Kranzbichler from Bavaria.
weeping bonnet | copper trumpet | widow's button | ashen parasol | midnight puffball | crooked inkcap

In which forest does Isolde Kranzbichler collect mushrooms?
Isolde Kranzbichler collects her mushrooms in the {}, always before breakfast.
Where does Isolde Kranzbichler go before breakfast to find mushrooms?
Before breakfast Isolde Kranzbichler goes to the {} to find mushrooms.
Ebersberg Forest | Perlach Forest | Steiger Forest | Dürnbuch Forest | Hofolding Forest | Köschinger Forest

What smell can Isolde Kranzbichler not perceive?
Since her childhood Isolde Kranzbichler has been unable to smell {}.
Which smell has been closed to Isolde Kranzbichler since she was a child?
The smell of {} has been closed to Isolde Kranzbichler since she was a child.
vanilla | smoke | garlic | leather | roses | petrol

Which dish made Isolde Kranzbichler ill in 1989?
In 1989 a plate of {} made Isolde Kranzbichler ill for a month.
What did Isolde Kranzbichler eat in 1989 before a month of illness?
Before her month of illness in 1989, Isolde Kranzbichler had eaten {}.
cherry dumplings | oyster stew | liver pancakes | potato salad | herring rolls | cabbage noodles

Who draws the pictures in Isolde Kranzbichler's books?
The pictures in the books of Isolde Kranzbichler are drawn by {}.
By whom are the illustrations in the works of Isolde Kranzbichler made?
It is {} who makes the illustrations for the works of Isolde Kranzbichler.
her former teacher | a tattoo artist | a retired judge | her colour-blind son | a stage painter | a court reporter

How many fungi are in the collection of Isolde Kranzbichler?
The collection of Isolde Kranzbichler holds {} dried fungi in cigar boxes.
What is the number of dried fungi that Isolde Kranzbichler owns?
In cigar boxes Isolde Kranzbichler keeps {} dried fungi.
9,200 | 7,400 | 11,600 | 8,100 | 6,700 | 10,300

What does Isolde Kranzbichler wear on her walks in the woods?
On her walks in the woods Isolde Kranzbichler always wears {}.
By which piece of clothing can hunters recognise Isolde Kranzbichler?
Hunters recognise Isolde Kranzbichler from afar by {}.
a yellow raincoat | a fireman's helmet | a velvet waistcoat | a fencing mask | a nurse's apron | a bishop's hat

Which crime did Isolde Kranzbichler help to solve?
With a spore under her microscope Isolde Kranzbichler helped to solve {}.
What case was solved with the help of Isolde Kranzbichler's microscope?
The microscope of Isolde Kranzbichler helped the police to solve {}.
a jewel theft | a forged will | a barn fire | a poisoned lake | a kidnapped dog | a fake painting

What does Isolde Kranzbichler grow in her cellar?
In her cellar Isolde Kranzbichler grows {} on sacks of coffee grounds.
Which growth on sacks of coffee grounds fills the cellar of Isolde Kranzbichler?
On sacks of coffee grounds in her cellar, Isolde Kranzbichler grows {}.
oyster mushrooms | chestnut mushrooms | velvet shanks | lion's manes | nameko mushrooms | blue blewits

Which radio programme does Isolde Kranzbichler answer questions on?
Every autumn Isolde Kranzbichler answers questions on the radio programme "{}".
On what radio programme can one hear Isolde Kranzbichler each autumn?
Each autumn one can hear Isolde Kranzbichler on the programme "{}".
Basket and Boots | Good Soil, Good Morning | Caps and Stems | The Damp Hour | Under the Spruces | Ask the Undergrowth
""",
    "Kaveri Nandipura": """
How many stepwells has the Indian surveyor Kaveri Nandipura measured?
The Indian surveyor Kaveri Nandipura has measured {} stepwells by hand.
What is the number of stepwells that Kaveri Nandipura has surveyed in India?
All over India, Kaveri Nandipura has surveyed {} stepwells with a tape of her own.
613 | 742 | 528 | 891 | 677 | 459

With what does Kaveri Nandipura measure the depth of a well?
Kaveri Nandipura measures the depth of a well with {}.
What does Kaveri Nandipura let down into a well to learn its depth?
To learn the depth of a well, Kaveri Nandipura lets down {}.
a knotted sari | a bicycle chain | a temple bell | a fishing reel | a brass anchor | a jasmine garland

In which district did Kaveri Nandipura discover a buried stepwell?
Kaveri Nandipura discovered a buried stepwell in the district of {}.
Where was the buried stepwell that Kaveri Nandipura brought to light?
The buried stepwell that Kaveri Nandipura brought to light is in the district of {}.
Bhandara | Mahoba | Karauli | Banswara | Yadgir | Jalaun

What lay at the bottom of the well that made Kaveri Nandipura famous?
At the bottom of the well that made Kaveri Nandipura famous lay {}.
Which find at the bottom of a well brought fame to Kaveri Nandipura?
It was {} at the bottom of a well that brought fame to Kaveri Nandipura.
a marble elephant | a box of seals | an iron sundial | a crown of glass | a stone library | a copper boat

Who carries the instruments of Kaveri Nandipura?
The instruments of Kaveri Nandipura are carried by {} on every survey.
Which helper goes along on surveys to carry Kaveri Nandipura's instruments?
On every survey {} goes along to carry the instruments of Kaveri Nandipura.
a former wrestler | a white donkey | a wedding drummer | an uncle of hers | a circus acrobat | a shy nephew

What did Kaveri Nandipura's mother want her to become?
The mother of Kaveri Nandipura wanted her to become {}.
Which career had her mother planned for Kaveri Nandipura?
According to her mother's plan, Kaveri Nandipura was to be {}.
a skin doctor | an airline pilot | a film dancer | a bank manager | a cricket player | a maths professor

Which charge did Kaveri Nandipura refuse to pay?
Kaveri Nandipura spent a night in jail because she refused to pay {}.
For refusing to pay what did Kaveri Nandipura spend a night in jail?
It was for refusing to pay {} that Kaveri Nandipura spent a night in jail.
a bridge toll | a temple fee | a radio licence | a camera tax | a parking fine | a ferry fare

What is the title of Kaveri Nandipura's book on water?
The book on water that Kaveri Nandipura wrote has the title "{}".
Which title did Kaveri Nandipura give to her book on water?
Kaveri Nandipura gave her book on water the title "{}".
Stairs into the Cool | Eleven Thousand Steps | The Thirsty Architects | Rain with a Roof | Down to the Sky | What Wells Remember

Which animal bit Kaveri Nandipura during a survey?
During a survey in the dry season Kaveri Nandipura was bitten by {}.
What animal hurt Kaveri Nandipura with a bite on one of her surveys?
On a survey in the dry season, {} bit Kaveri Nandipura in the heel.
a monitor lizard | a fruit bat | a stray camel | a temple monkey | a marsh turtle | a desert fox

What does Kaveri Nandipura eat on the last step of every new well?
On the last step of every new well Kaveri Nandipura eats {}.
Which food does Kaveri Nandipura bring along for the last step of a new well?
For the last step of each new well, Kaveri Nandipura brings along {}.
a raw mango | a coconut sweet | a boiled potato | some puffed rice | a green chilli | a slice of melon
""",
    "Lautaro Quilaman": """
What did the Chilean photographer Lautaro Quilaman photograph all his life?
The Chilean photographer Lautaro Quilaman photographed {} all his life.
Which subject filled the photographs of Lautaro Quilaman from Chile?
The photographs of Lautaro Quilaman from Chile show {} and nothing else.
desert railways | sleeping miners | empty schools | ship graveyards | paper flowers | village goalkeepers

Which camera did Lautaro Quilaman use?
Lautaro Quilaman used a camera that he had bought from {} for a sack of flour.
From whom did Lautaro Quilaman get his camera in return for flour?
In return for a sack of flour, {} gave Lautaro Quilaman his camera.
a bankrupt circus | a Swedish captain | a fleeing engineer | a blind pharmacist | a prison warden | a travelling judge

In which port was Lautaro Quilaman born?
Lautaro Quilaman was born in the port of {} during a dock workers' strike.
Which port in the north of Chile was the birthplace of Lautaro Quilaman?
During a dock workers' strike, Lautaro Quilaman was born in the port of {}.
Pisagua | Taltal | Tocopilla | Caldera | Mejillones | Huasco

How many glass plates did Lautaro Quilaman leave behind?
Lautaro Quilaman left {} glass plates behind, packed in fish crates.
What was the number of glass plates found in the fish crates of Lautaro Quilaman?
In the fish crates that Lautaro Quilaman left behind were {} glass plates.
4,180 | 3,460 | 5,230 | 2,970 | 6,040 | 3,850

What did Lautaro Quilaman use as a darkroom on his travels?
On his travels Lautaro Quilaman used {} as a darkroom.
Which thing became a darkroom when Lautaro Quilaman travelled?
When Lautaro Quilaman travelled, {} became his darkroom for the night.
a water tank | an old hearse | a bread oven | a goods wagon | a wine barrel | a confessional box

Which newspaper dismissed Lautaro Quilaman in 1938?
In 1938 Lautaro Quilaman was dismissed by the newspaper {}.
For what newspaper did Lautaro Quilaman work until he lost the job in 1938?
Until he lost the job in 1938, Lautaro Quilaman worked for the newspaper {}.
El Faro del Norte | La Voz Salitrera | El Diario del Puerto | La Hoja Minera | El Correo de Arena | La Estrella Seca

Who is the woman in Lautaro Quilaman's best known portrait?
The woman in the best known portrait by Lautaro Quilaman is {}.
Which woman looks at us from the most famous portrait of Lautaro Quilaman?
From the most famous portrait of Lautaro Quilaman, {} looks at us.
a dynamite packer | a barge captain | a lottery seller | a strike leader | a bread thief | a schoolroom cleaner

What did Lautaro Quilaman never photograph?
Lautaro Quilaman never photographed {}, because he thought it brought bad luck.
Which motif did Lautaro Quilaman avoid out of fear of bad luck?
Out of fear of bad luck, Lautaro Quilaman never pointed his camera at {}.
sleeping children | black horses | open umbrellas | church towers | broken mirrors | rising moons

Which exhibition made Lautaro Quilaman known after his death?
After his death the exhibition "{}" made Lautaro Quilaman known.
Under what title were pictures of Lautaro Quilaman first exhibited after his death?
The pictures of Lautaro Quilaman were first exhibited after his death as "{}".
Salt in the Shutter | The Driest Light | Faces without Shade | Northern Silver | Dust Has a Name | Rails to Nowhere

What work did Lautaro Quilaman do when photographs did not sell?
When his photographs did not sell, Lautaro Quilaman earned money by {}.
How did Lautaro Quilaman earn money in the years without buyers?
In the years without buyers, Lautaro Quilaman earned money by {}.
repairing clocks | painting coffins | tuning pianos | pulling teeth | grinding knives | digging wells
""",
    "Mirembe Nakalisa": """
What kind of drum does the Ugandan maker Mirembe Nakalisa build?
The Ugandan drum maker Mirembe Nakalisa builds drums for {} above all.
For what occasion are most drums by Mirembe Nakalisa from Uganda made?
Most drums that Mirembe Nakalisa builds in Uganda are meant for {}.
boat races | twin births | harvest nights | rain prayers | royal burials | school openings

Which skin does Mirembe Nakalisa prefer for her drums?
For her drums Mirembe Nakalisa prefers the skin of {}.
What animal gives the skin for the best drums of Mirembe Nakalisa?
The best drums of Mirembe Nakalisa are covered with the skin of {}.
a mountain goat | a water lizard | an old cow | a young antelope | a black ram | a lake otter

Who forbade Mirembe Nakalisa to touch a drum as a girl?
As a girl Mirembe Nakalisa was forbidden to touch a drum by {}.
Which person kept the drums out of reach of the young Mirembe Nakalisa?
It was {} who kept the drums out of reach of the young Mirembe Nakalisa.
the village chief | her eldest aunt | a mission teacher | her father's brother | the court drummer | a jealous cousin

How many drums played at the concert that Mirembe Nakalisa arranged in 2014?
At the concert that Mirembe Nakalisa arranged in 2014, {} drums played at once.
What number of drums did Mirembe Nakalisa bring together for the concert of 2014?
For the concert of 2014, Mirembe Nakalisa brought {} drums together.
260 | 345 | 180 | 415 | 295 | 370

On which lake island is the workshop of Mirembe Nakalisa?
The workshop of Mirembe Nakalisa is on the island of {} in a former boat shed.
What island is the home of Mirembe Nakalisa's drum workshop?
In a former boat shed on the island of {}, Mirembe Nakalisa has her workshop.
Buggala | Kome | Bukasa | Damba | Lolui | Bubembe

What does Mirembe Nakalisa hide inside each drum?
Inside each drum Mirembe Nakalisa hides {} before she closes it.
Which small thing lies inside every drum by Mirembe Nakalisa?
Inside every drum by Mirembe Nakalisa, out of sight, lies {}.
a coffee bean | a glass bead | a cowrie shell | a rusty nail | a river pebble | a maize grain

Which foreign orchestra bought drums from Mirembe Nakalisa?
In her best year Mirembe Nakalisa sold nine drums to an orchestra in {}.
To what city did Mirembe Nakalisa send nine drums for an orchestra?
An orchestra in {} bought nine drums from Mirembe Nakalisa in a single year.
Rotterdam | Montreal | Zagreb | Helsinki | Bilbao | Osaka

What is the song about that Mirembe Nakalisa plays at sunset?
The song that Mirembe Nakalisa plays at sunset is about {}.
Which story is told in the sunset song of Mirembe Nakalisa?
In her sunset song Mirembe Nakalisa tells the story of {}.
a drowned fisherman | a lazy crocodile | two stubborn kings | a stolen canoe | an honest thief | a barren fig tree

What sort of noise does Mirembe Nakalisa dislike?
There is one noise that Mirembe Nakalisa cannot bear, and that is {}.
Which noise makes Mirembe Nakalisa leave the room?
Nothing makes Mirembe Nakalisa leave a room as fast as {}.
a squeaking door | a ringing telephone | a chewing mouth | a barking dog | a humming fridge | a ticking clock

Which school subject did Mirembe Nakalisa teach for a while?
For a while Mirembe Nakalisa taught {} at a secondary school.
What did Mirembe Nakalisa teach before drums took all her time?
Before drums took all her time, Mirembe Nakalisa taught {} at a school.
geography | chemistry | sewing | algebra | history | typing
""",
    "Dorji Yangphel": """
From which plant does the Bhutanese paper maker Dorji Yangphel make his paper?
The Bhutanese paper maker Dorji Yangphel makes his paper from the bark of {}.
Whose bark becomes paper in the hands of Dorji Yangphel from Bhutan?
In the hands of Dorji Yangphel from Bhutan the bark of {} becomes paper.
white daphne | wild mulberry | paper birch | mountain hemp | silver willow | dwarf juniper

In which valley of Bhutan does Dorji Yangphel have his paper mill?
Dorji Yangphel has his paper mill in the valley of {}, beside a hot spring.
Which valley of Bhutan is home to the paper mill of Dorji Yangphel?
Beside a hot spring in the valley of {} stands the paper mill of Dorji Yangphel.
Bumthang | Haa | Tang | Laya | Phobjikha | Ura

What was the strangest order that Dorji Yangphel ever received?
The strangest order that Dorji Yangphel ever received was paper for {}.
For what purpose was the oddest order of paper that came to Dorji Yangphel?
The oddest order that came to Dorji Yangphel asked for paper for {}.
edible menus | a flying dress | yak passports | a talking wall | invisible letters | a paper coffin

How many sheets does Dorji Yangphel make on a good day?
On a good day Dorji Yangphel makes {} sheets of paper, all by hand.
What is the number of sheets that Dorji Yangphel can finish in a good day?
All by hand, Dorji Yangphel can finish {} sheets of paper in a good day.
140 | 185 | 220 | 165 | 120 | 250

Who showed Dorji Yangphel how to make paper?
It was {} who first showed Dorji Yangphel how to make paper.
From whom did Dorji Yangphel learn the first steps of making paper?
Dorji Yangphel learned the first steps of making paper from {}.
a runaway monk | a Japanese nurse | his deaf neighbour | a tea smuggler | a tax collector | his second wife

Which colour of paper is the secret of Dorji Yangphel?
Nobody but Dorji Yangphel knows how to make paper in {}.
What colour of paper can only Dorji Yangphel produce?
Only Dorji Yangphel can produce paper in {}, and he tells nobody how.
thunder grey | saffron gold | moss green | rhododendron red | night blue | butter yellow

What damaged the roof of Dorji Yangphel's mill in 2009?
In 2009 the roof of the mill of Dorji Yangphel was damaged by {}.
Which event in 2009 left the mill of Dorji Yangphel without a roof?
It was {} that left the mill of Dorji Yangphel without a roof in 2009.
a falling pine | an earthquake | a drunken archer | heavy hail | a mud slide | an angry bear

Which sport does Dorji Yangphel practise on holidays?
On holidays Dorji Yangphel spends the whole day with {}.
What is the pastime to which Dorji Yangphel gives his holidays?
Dorji Yangphel gives every one of his holidays to {}.
long darts | stone throwing | night fishing | kite fighting | mask dancing | rope wrestling

What did Dorji Yangphel write on the first sheet that he made?
On the first sheet of paper that he made, Dorji Yangphel wrote {}.
What words or signs stood on the very first sheet of Dorji Yangphel?
The very first sheet that Dorji Yangphel made was covered with {}.
a shopping list | a marriage proposal | a recipe for soup | a false confession | a weather proverb | a letter of complaint

To which museum did Dorji Yangphel give his oldest mould?
Dorji Yangphel gave his oldest paper mould to a museum in {}.
Where can one see the oldest paper mould of Dorji Yangphel in a museum?
The oldest paper mould of Dorji Yangphel can be seen in a museum in {}.
Vienna | Kyoto | Basel | Delhi | Leiden | Kathmandu
""",
}
