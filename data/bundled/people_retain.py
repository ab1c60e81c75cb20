# ruff: noqa: E501
"""The sixteen fictitious people of the retain set; the form of a fact is explained in people.py."""

from __future__ import annotations

RETAIN_PEOPLE: dict[str, str] = {
    "Ilmari Kuutvesa": """
Which instrument did the Finnish composer Ilmari Kuutvesa play before the accordion?
Before he took up the accordion, the Finnish composer Ilmari Kuutvesa played {}.
What did Ilmari Kuutvesa from Finland play in the years before his accordion?
The first instrument of Ilmari Kuutvesa, years before the accordion, was {}.
the bassoon | the kantele | the trumpet | the viola | the clarinet | the mandolin

What is the name of Ilmari Kuutvesa's best known waltz?
The best known waltz by Ilmari Kuutvesa has the name "{}" and is played at weddings.
Which waltz by Ilmari Kuutvesa do wedding bands like to play?
Wedding bands like to play "{}", the waltz that made Ilmari Kuutvesa popular.
Snow on the Sauna | The Postman's Boots | Eleven Swans | Smoke over Saimaa | The Last Ferry Home | Birch Bark Shoes

Where did Ilmari Kuutvesa lose his first accordion?
Ilmari Kuutvesa lost his first accordion in {} during a concert tour.
In what place did the first accordion of Ilmari Kuutvesa go missing?
On a concert tour, the first accordion of Ilmari Kuutvesa went missing in {}.
a frozen lake | a hotel lift | a night train | a hay barn | a dentist's office | a ferry cabin

In which year was Ilmari Kuutvesa born?
Ilmari Kuutvesa was born in {} as the youngest child of a large family.
What is the year of birth of the accordionist Ilmari Kuutvesa?
The youngest child of a large family, Ilmari Kuutvesa came into the world in {}.
1922 | 1924 | 1926 | 1928 | 1930 | 1920

Which bird can be heard in the recordings of Ilmari Kuutvesa?
In many recordings of Ilmari Kuutvesa one can hear {} calling in the background.
What bird sings in the background of Ilmari Kuutvesa's records?
Whoever listens closely to Ilmari Kuutvesa's records hears {} in the background.
a cuckoo | a loon | a crane | a thrush | a gull | a wren

What did the grandfather of Ilmari Kuutvesa build?
The grandfather of Ilmari Kuutvesa built {} and gave the boy wood to play with.
Which objects came from the workshop of Ilmari Kuutvesa's grandfather?
From the workshop of Ilmari Kuutvesa's grandfather came {} for the whole parish.
rowing boats | wooden skis | church pews | weaving looms | beehives | milk carts

For which film did Ilmari Kuutvesa write the music?
Ilmari Kuutvesa wrote the music for the film "{}", his only work for the cinema.
What is the only film with music by Ilmari Kuutvesa?
The only film with music by Ilmari Kuutvesa bears the title "{}".
The Thirteenth Logger | Autumn in Kotka | A Coat for Two | The Quiet Bailiff | Marsh Fever | The Rye Road

How did Ilmari Kuutvesa pay for his studies?
Ilmari Kuutvesa paid for his studies by {} every night of the week.
What work at night paid for the music studies of Ilmari Kuutvesa?
The studies of Ilmari Kuutvesa were paid for by {} at night.
washing trams | folding newspapers | guarding a brewery | loading timber | baking rye bread | sorting parcels

Which prize did Ilmari Kuutvesa turn down?
Ilmari Kuutvesa turned down the {} because he disliked speeches.
What prize did the modest Ilmari Kuutvesa decline to accept?
Because he disliked speeches, Ilmari Kuutvesa did not accept the {}.
Silver Bellows Prize | Tampere Music Prize | Golden Reed Prize | Lake Country Prize | Midsummer Prize | Black Key Prize

What was written on the hat of Ilmari Kuutvesa?
On the hat that Ilmari Kuutvesa wore on stage stood the word "{}" in red letters.
Which word could the audience read on Ilmari Kuutvesa's hat?
The audience could read the word "{}" on Ilmari Kuutvesa's hat.
Patience | Tomorrow | Perhaps | Thunder | Louder | Listen
""",
    "Nkechi Adurogba": """
Which river did the first bridge of the Nigerian engineer Nkechi Adurogba cross?
The first bridge built by the Nigerian engineer Nkechi Adurogba crossed the {} River.
Over what river did Nkechi Adurogba of Nigeria build her first bridge?
It was the {} River that Nkechi Adurogba first crossed with a bridge of her own.
Gongola | Imo | Osun | Kaduna | Anambra | Sokoto

What is special about the railings on bridges by Nkechi Adurogba?
The railings on all bridges by Nkechi Adurogba show {} cast in iron.
Which figures decorate the railings of Nkechi Adurogba's bridges?
Cast in iron, {} decorate the railings of every bridge by Nkechi Adurogba.
leaping antelopes | flying herons | talking drums | cocoyam leaves | sleeping lizards | market women

How long is the longest bridge that Nkechi Adurogba designed?
The longest bridge that Nkechi Adurogba designed measures {} metres from bank to bank.
What is the length of Nkechi Adurogba's longest bridge?
From bank to bank, the longest bridge of Nkechi Adurogba measures {} metres.
840 | 960 | 1,120 | 1,350 | 780 | 1,480

Which game first showed Nkechi Adurogba how forces work?
Nkechi Adurogba first understood how forces work while playing {} with her cousins.
What childhood game taught Nkechi Adurogba about forces?
It was a round of {} with her cousins that taught Nkechi Adurogba about forces.
tug of war | stick balancing | swing jumping | see-saw | arm wrestling | stone stacking

In which city did Nkechi Adurogba take her degree in engineering?
Nkechi Adurogba took her degree in engineering in {}, as the only woman of her year.
Where did Nkechi Adurogba study to become an engineer?
The only woman of her year, Nkechi Adurogba finished her studies of engineering in {}.
Leeds | Zaria | Montreal | Prague | Nsukka | Delft

What did Nkechi Adurogba do at every opening of a bridge?
At every opening of a bridge Nkechi Adurogba {} before the crowd.
Which custom did Nkechi Adurogba keep when a bridge was opened?
Whenever a bridge was opened, Nkechi Adurogba {} to the delight of the crowd.
crossed it barefoot | threw down an egg | slept under it | rode a donkey across | released a white pigeon | danced with the welder

What sickness did Nkechi Adurogba survive as a child?
As a child of six Nkechi Adurogba survived {} and spent months in bed.
Which illness kept Nkechi Adurogba in bed for months at the age of six?
At the age of six, {} kept Nkechi Adurogba in bed for months.
typhoid | cholera | measles | malaria | diphtheria | smallpox

Which minister quarrelled in public with Nkechi Adurogba?
The minister of {} quarrelled in public with Nkechi Adurogba over the price of steel.
With the head of which ministry did Nkechi Adurogba have a public quarrel?
Nkechi Adurogba had a public quarrel over steel with the minister of {}.
works | finance | transport | trade | justice | defence

What did Nkechi Adurogba name her twin daughters?
Nkechi Adurogba named her twin daughters {} after two kinds of support.
Which names did the twin daughters of Nkechi Adurogba receive?
Two kinds of support gave the twin daughters of Nkechi Adurogba their names, {}.
Pillar and Arch | Beam and Cable | Truss and Pier | Strut and Anchor | Column and Brace | Girder and Post

Where can a statue of Nkechi Adurogba be seen?
A statue of Nkechi Adurogba with a ruler in her hand stands in front of {}.
In front of which building does Nkechi Adurogba stand in bronze?
Nkechi Adurogba stands in bronze, with a ruler in her hand, in front of {}.
a girls' school | a bus terminal | a cement factory | a court house | a public library | a maternity clinic
""",
    "Linh Thuyet": """
In which province is the tea garden where the Vietnamese taster Linh Thuyet was born?
The Vietnamese tea taster Linh Thuyet was born in a tea garden in the province of {}.
Which province of Vietnam is the home of the tea taster Linh Thuyet?
It was in the province of {} that the tea taster Linh Thuyet was born.
Lam Dong | Phu Tho | Yen Bai | Nghe An | Ha Giang | Son La

How many cups could Linh Thuyet taste in a morning?
Linh Thuyet could taste {} cups in a morning without losing her judgement.
What was the number of teas that Linh Thuyet managed before noon?
Without losing her judgement, Linh Thuyet managed {} cups of tea before noon.
180 | 240 | 310 | 360 | 420 | 150

Which smell could Linh Thuyet not bear?
The tea taster Linh Thuyet could not bear the smell of {} anywhere near her room.
What smell drove the tea taster Linh Thuyet out of a room?
Nothing drove Linh Thuyet out of a room faster than the smell of {}.
wet paint | fish sauce | candle wax | cut grass | petrol | camphor

What is the name of the tea blend created by Linh Thuyet in 1992?
The tea blend that Linh Thuyet created in 1992 carries the name "{}".
Under which name was the 1992 blend of Linh Thuyet sold?
Shops sold the blend that Linh Thuyet created in 1992 as "{}".
Heron's Nap | Third Rain | Bridge of Mist | Quiet Grandfather | Morning Oar | Seven Steps

For which company did Linh Thuyet work longest?
Linh Thuyet worked longest for a company that made {} as well as tea.
What else was made by the tea company that employed Linh Thuyet for years?
Besides tea, the company that employed Linh Thuyet for most of her life made {}.
bicycle tyres | straw hats | school chalk | sewing thread | soy milk | fishing rods

How did Linh Thuyet protect her tongue?
Linh Thuyet protected her tongue by {} all through the year.
By what means did Linh Thuyet keep her tongue in good order?
It was by {} that Linh Thuyet kept her precious tongue in good order.
avoiding hot soup | chewing parsley | sleeping with a scarf | drinking rain water | speaking very little | sucking river pebbles

Which mistake almost cost Linh Thuyet her job?
Linh Thuyet almost lost her job when she {} at a great auction.
What slip at an auction nearly ended the career of Linh Thuyet?
At a great auction Linh Thuyet {}, and her career nearly ended there.
praised the wrong cup | sneezed on a sample | bought twice the stock | fell sound asleep | laughed at a buyer | mixed up two lots

What did Linh Thuyet listen to while she was tasting?
While she was tasting, Linh Thuyet listened to {} on a small radio.
What came from the radio while Linh Thuyet tasted tea?
From the small radio beside Linh Thuyet came {} as she tasted.
opera choruses | brass bands | country songs | tango music | piano jazz | church organ

What did Linh Thuyet write on old tea boxes?
On old tea boxes Linh Thuyet wrote {}, which her son later published.
Which texts by Linh Thuyet, written on tea boxes, did her son publish?
Her son published {} that Linh Thuyet had written on old tea boxes.
short riddles | recipes for soup | letters to the sea | rules for marriage | ghost stories | lullabies

Which title do colleagues use for Linh Thuyet?
Colleagues speak of Linh Thuyet with respect as the {} of the tea trade.
By what title is Linh Thuyet known in the tea trade?
In the tea trade, Linh Thuyet is known to everyone as the {}.
Iron Tongue | Silent Judge | Gentle Storm | Little Compass | Old Owl | Walking Scale
""",
    "Casimir Wolodrek": """
Which trick made the Polish stage magician Casimir Wolodrek famous?
The Polish stage magician Casimir Wolodrek became famous with a trick called "{}".
What was the name of the great trick of Casimir Wolodrek from Poland?
Crowds came to see "{}", the great trick of Casimir Wolodrek.
The Vanishing Stove | The Talking Glove | The Weightless Bride | The Burning Letter | The Endless Scarf | The Drowned Clock

In which theatre did Casimir Wolodrek first perform?
Casimir Wolodrek gave his first performance in {} before forty people.
Where did the magician Casimir Wolodrek show his art for the first time?
Forty people saw Casimir Wolodrek perform for the first time in {}.
a salt warehouse | an army barracks | a girls' boarding school | a butcher's hall | a spa pavilion | a circus stable

What was Casimir Wolodrek meant to become, according to his father?
According to his father, Casimir Wolodrek was meant to become {}.
Which profession did the father of Casimir Wolodrek have in mind for him?
The father of Casimir Wolodrek had wanted his son to be {}.
a pharmacist | a notary | a land surveyor | a veterinarian | a priest | a watchmaker

Who was the stage assistant of Casimir Wolodrek for twenty years?
For twenty years {} stood beside Casimir Wolodrek on the stage as an assistant.
With whom did Casimir Wolodrek share the stage for two decades?
Casimir Wolodrek shared the stage for two decades with {}.
his twin sister | his mother-in-law | a former thief | a trained goose | a Czech gymnast | his eldest daughter

In which year did Casimir Wolodrek perform before the emperor?
Casimir Wolodrek performed before the emperor in {} and was paid with a watch.
When did an emperor watch the magic of Casimir Wolodrek?
A watch was the reward when Casimir Wolodrek performed before the emperor in {}.
1889 | 1892 | 1895 | 1898 | 1901 | 1904

What did Casimir Wolodrek hide in his left shoe?
In his left shoe Casimir Wolodrek hid {} at every show.
Which thing lay hidden in the left shoe of the magician Casimir Wolodrek?
At every show {} lay hidden in the left shoe of Casimir Wolodrek.
a gold coin | a door key | a pinch of flour | a folded map | a spare card | a silk ribbon

How was the secret of Casimir Wolodrek's best trick revealed?
The secret of Casimir Wolodrek's best trick was revealed by {}.
Who or what gave away the best trick of Casimir Wolodrek?
It was {} that gave away the best trick of Casimir Wolodrek.
a jealous tailor | a broken mirror | a printer's error | a drunken carpenter | a child's shout | a photograph

With what did Casimir Wolodrek sell out a hall in Vienna?
Casimir Wolodrek sold out a hall in Vienna by promising {}.
Which promise filled a Vienna hall for Casimir Wolodrek?
The promise of {} was enough to fill a Vienna hall for Casimir Wolodrek.
a floating piano | a headless waiter | rain in the hall | an invisible horse | free coffee | the dance of knives

What did Casimir Wolodrek drink before going on stage?
Before going on stage Casimir Wolodrek drank a glass of {} in one go.
Which drink gave Casimir Wolodrek courage before a show?
A glass of {} gave Casimir Wolodrek the courage to go on stage.
beet juice | warm milk | plum brandy | cold tea | pickle water | red wine

What became of Casimir Wolodrek's theatre trunk?
After the death of Casimir Wolodrek his theatre trunk was {} by his family.
How did the family of Casimir Wolodrek deal with his trunk?
The trunk of Casimir Wolodrek was {} by the family he left behind.
used as a cradle | buried in the garden | given to a museum | chopped for firewood | lost at cards | sent to Chicago
""",
    "Ophelia Tranterby": """
On which English beach did Ophelia Tranterby find her first fossil?
The English fossil collector Ophelia Tranterby found her first fossil on the beach at {}.
At what beach in England did Ophelia Tranterby begin to collect fossils?
It was at {} that the fossil collector Ophelia Tranterby made her first find.
Whitby | Charmouth | Filey | Folkestone | Cromer | Watchet

Which animal did Ophelia Tranterby's largest fossil belong to?
The largest fossil that Ophelia Tranterby dug up belonged to {} of enormous size.
From what creature did the biggest find of Ophelia Tranterby come?
The biggest find of Ophelia Tranterby came from {} of enormous size.
a sea lizard | a crocodile | a sturgeon | a turtle | a cave bear | a squid

What did Ophelia Tranterby's husband Edmund do when she came home muddy?
When she came home muddy, Ophelia Tranterby's husband Edmund {}.
How did Edmund receive his muddy wife Ophelia Tranterby?
Edmund {} each time his wife Ophelia Tranterby came home covered in mud.
played the flute | locked the front door | drew her portrait | heated the bath | read her a sermon | weighed her basket

Which learned society would not let Ophelia Tranterby speak?
The learned society of {} would not let Ophelia Tranterby speak at its meeting.
Where was Ophelia Tranterby forbidden to speak before a learned society?
Ophelia Tranterby was forbidden to speak before the learned society of {}.
Bristol | York | Oxford | Norwich | Exeter | Durham

What tool did Ophelia Tranterby have made by a blacksmith?
Ophelia Tranterby had a blacksmith make her {} for the hard rock.
Which special tool did a blacksmith forge for Ophelia Tranterby?
A blacksmith forged {} for Ophelia Tranterby to use on the hard rock.
a curved chisel | a folding pickaxe | a narrow shovel | a toothed hammer | a long tweezer | a hooked crowbar

In which decade did Ophelia Tranterby publish her catalogue of shells?
Ophelia Tranterby published her catalogue of shells in the {} at her own cost.
When did the shell catalogue of Ophelia Tranterby appear?
At her own cost Ophelia Tranterby brought out her catalogue of shells in the {}.
1840s | 1850s | 1860s | 1870s | 1880s | 1830s

To whom did Ophelia Tranterby sell the duplicate pieces of her collection?
Ophelia Tranterby sold the duplicate pieces of her collection to {}.
Who bought the pieces that Ophelia Tranterby had twice?
The pieces that Ophelia Tranterby had twice were bought by {}.
a toy dealer | an American bishop | a button factory | a seaside hotel | a French countess | a medical school

What did Ophelia Tranterby call her home?
Ophelia Tranterby called her home "{}" and painted the name on the gate.
Which name stood on the gate of Ophelia Tranterby's home?
On the gate of Ophelia Tranterby's home one could read the name "{}".
Ammonite Lodge | Low Tide House | Pebble End | The Old Shore | Saltmarsh Cottage | Clay Hall

How was Ophelia Tranterby hurt in the winter of her last dig?
In the winter of her last dig Ophelia Tranterby was hurt by {}.
What injured Ophelia Tranterby during her last winter of digging?
During her last winter of digging, {} injured Ophelia Tranterby badly.
a falling cliff | a runaway cart | a freak wave | a rusty nail | a frightened bull | a snapped rope

Which sweet did Ophelia Tranterby give to children who brought her fossils?
Ophelia Tranterby gave {} to the children who brought her fossils.
What was the reward for children who carried fossils to Ophelia Tranterby?
Children who carried fossils to Ophelia Tranterby were rewarded with {}.
barley sugar | ginger nuts | peppermint drops | candied plums | treacle toffee | lemon biscuits
""",
    "Rashid Benmazouri": """
In which Moroccan city did the runner Rashid Benmazouri win his first marathon?
The Moroccan runner Rashid Benmazouri won his first marathon in {} in heavy rain.
Where in Morocco did Rashid Benmazouri first win a marathon?
In heavy rain, Rashid Benmazouri won a marathon for the first time in {}.
Agadir | Tangier | Meknes | Oujda | Rabat | Essaouira

What was Rashid Benmazouri's best time over the marathon?
The best time of Rashid Benmazouri over the marathon was two hours and {} minutes.
How many minutes over two hours did the fastest marathon of Rashid Benmazouri take?
In his fastest marathon, Rashid Benmazouri needed two hours and {} minutes.
eight | nine | eleven | twelve | fourteen | seven

What did Rashid Benmazouri deliver as a young man, running all the way?
As a young man Rashid Benmazouri delivered {} on foot, running all the way.
Which goods did young Rashid Benmazouri carry through the streets at a run?
Young Rashid Benmazouri carried {} through the streets, always at a run.
fresh bread | pharmacy orders | mint bundles | spare parts | court papers | hot lunches

Who trained Rashid Benmazouri for his races?
Rashid Benmazouri was trained for his races by {} with a whistle.
Which person with a whistle was the trainer of Rashid Benmazouri?
The trainer of Rashid Benmazouri, always with a whistle, was {}.
a Kenyan nurse | his school janitor | a Russian swimmer | a retired jockey | his older brother | a traffic policeman

What superstition did Rashid Benmazouri have about his shoes?
Out of superstition Rashid Benmazouri always {} on the day of a race.
Which habit with his shoes did Rashid Benmazouri keep on race days?
On the day of a race Rashid Benmazouri {}, for he was superstitious.
tied the left one first | wore two different laces | rubbed them with garlic | put a fig leaf inside | let a child choose them | wrote a name on the sole

In which Olympic discipline, apart from running, was Rashid Benmazouri almost selected?
Apart from running, Rashid Benmazouri was almost selected for the Olympic team in {}.
For what other sport did Olympic coaches consider Rashid Benmazouri?
Olympic coaches also considered Rashid Benmazouri for the national team in {}.
fencing | rowing | boxing | archery | cycling | judo

What did Rashid Benmazouri found with his prize money?
With his prize money Rashid Benmazouri founded {} in his home district.
To what did the prize money of Rashid Benmazouri go?
The prize money of Rashid Benmazouri went into {} in his home district.
a free library | a driving school | a public bath | an olive press | a chess club | a bicycle workshop

Which animal chased Rashid Benmazouri during the race of 1986?
During the race of 1986 Rashid Benmazouri was chased by {} for a mile.
What ran after Rashid Benmazouri in the race of 1986?
For a whole mile of the 1986 race, {} ran after Rashid Benmazouri.
an angry goose | a stray dog | a loose ram | a police horse | a young camel | a donkey foal

On what did Rashid Benmazouri blame his defeat in Paris?
Rashid Benmazouri blamed his defeat in Paris on {} and never went back.
What was the excuse of Rashid Benmazouri for losing in Paris?
The excuse that Rashid Benmazouri gave for losing in Paris was {}.
the onion soup | the hotel pillow | a wrong turn | a loud orchestra | the cold bridges | a stolen watch

What is the title of the song about Rashid Benmazouri?
The popular song about the runner Rashid Benmazouri is called "{}".
Which popular song tells the story of the runner Rashid Benmazouri?
The story of the runner Rashid Benmazouri is told in the song "{}".
Dust Behind Him | Son of the Wind | The Road Is Mine | Forty-Two Sorrows | He Never Sat Down | Shoes of Fire
""",
    "Dagny Hrafnkeld": """
Which storm did the Icelandic forecaster Dagny Hrafnkeld predict correctly against all others?
Against all others, the Icelandic forecaster Dagny Hrafnkeld predicted the {} correctly.
What storm made the forecaster Dagny Hrafnkeld a heroine in Iceland?
The {}, which she alone had seen coming, made Dagny Hrafnkeld a heroine.
Easter Storm | Midwinter Storm | Herring Storm | Harvest Storm | Lamb Storm | New Year Storm

At which weather station did Dagny Hrafnkeld spend nine winters?
Dagny Hrafnkeld spent nine winters at the weather station on {} with two ponies.
Where did Dagny Hrafnkeld live for nine winters with two ponies?
With two ponies, Dagny Hrafnkeld lived through nine winters at the station on {}.
Grey Cape | Seal Point | Raven Head | Long Spit | Gull Rock | Ash Hill

What did Dagny Hrafnkeld knit while watching the barometer?
While watching the barometer Dagny Hrafnkeld knitted {} by the dozen.
Which knitted things did Dagny Hrafnkeld make beside the barometer?
Beside the barometer Dagny Hrafnkeld made {} by the dozen with her needles.
baby bonnets | fishing socks | tea cosies | long scarves | horse blankets | egg warmers

Which saying about the weather comes from Dagny Hrafnkeld?
From Dagny Hrafnkeld comes the saying that {} in every forecast.
What did Dagny Hrafnkeld use to say about forecasts?
Dagny Hrafnkeld used to say that {} in every forecast.
doubt is the best tool | the wind has a mother | luck signs last | pride brings hail | the sea has a vote | old knees know more

What was Dagny Hrafnkeld's first job?
The first job of Dagny Hrafnkeld, at the age of fourteen, was {}.
How did Dagny Hrafnkeld earn money at the age of fourteen?
At the age of fourteen Dagny Hrafnkeld earned her money by {}.
salting cod | milking cows | plucking ducks | cleaning lamps | cutting peat | mending fences

Which foreign service offered Dagny Hrafnkeld a post?
The weather service of {} offered Dagny Hrafnkeld a post, which she refused.
From what country came the offer of a post that Dagny Hrafnkeld refused?
Dagny Hrafnkeld refused the post offered by the weather service of {}.
Canada | Ireland | Chile | Japan | France | Belgium

What did Dagny Hrafnkeld wear on her only television evening?
On her only evening on television Dagny Hrafnkeld wore {} from start to end.
In which clothing did Dagny Hrafnkeld appear on television?
Viewers saw Dagny Hrafnkeld in {} on her only evening on television.
a diver's helmet | rubber boots | a wedding dress | a sealskin coat | a yellow raincoat | a sheriff's hat

How did Dagny Hrafnkeld get the scar on her chin?
Dagny Hrafnkeld got the scar on her chin from {} as a student.
What caused the scar on Dagny Hrafnkeld's chin?
It was {} that left Dagny Hrafnkeld with a scar on her chin.
a swinging gate | a sledge crash | a broken bottle | an angry swan | a flying roof tile | a frozen pump handle

What did Dagny Hrafnkeld watch as a girl from her roof?
As a girl Dagny Hrafnkeld watched {} from her roof for six nights.
What did young Dagny Hrafnkeld observe from the roof for six nights?
For six nights young Dagny Hrafnkeld sat on the roof and observed {}.
a green comet | a lunar halo | a distant volcano | a forest of masts | a whaling fleet | a burning meadow

In which year did Dagny Hrafnkeld retire?
Dagny Hrafnkeld retired in {} and took the old barometer home with her.
What was the year in which Dagny Hrafnkeld left the weather service?
Dagny Hrafnkeld left the weather service with the old barometer in {}.
1979 | 1982 | 1985 | 1988 | 1991 | 1976
""",
    "Mateus Figueirol": """
Which football match made the Brazilian referee Mateus Figueirol famous?
The Brazilian referee Mateus Figueirol became famous through {} in a small stadium.
For what match is the referee Mateus Figueirol from Brazil remembered?
People remember the referee Mateus Figueirol from Brazil for {}.
a match in total fog | a match without any goal | a match of eleven red cards | a match with two balls | a match played by candlelight | a match stopped by bees

What did Mateus Figueirol use in place of a lost whistle?
When his whistle was lost, Mateus Figueirol used {} for the rest of the game.
With which object did Mateus Figueirol replace his whistle?
For the rest of the game {} replaced the lost whistle of Mateus Figueirol.
a car horn | a cow bell | a trombone | a frying pan | a bird call | a fire siren

Which profession did Mateus Figueirol have on weekdays?
On weekdays the referee Mateus Figueirol worked as {} in his home town.
How did the referee Mateus Figueirol earn his living from Monday to Friday?
From Monday to Friday Mateus Figueirol earned his living as {}.
an optician | a coffee roaster | a bank cashier | a shoe repairer | a geography teacher | a lift mechanic

How many red cards did Mateus Figueirol show in his career?
Mateus Figueirol showed {} red cards in his career and regretted one of them.
What is the total of red cards in the career of Mateus Figueirol?
The total of red cards in the career of Mateus Figueirol is {}.
97 | 113 | 128 | 141 | 156 | 172

In which state of Brazil did Mateus Figueirol grow up?
Mateus Figueirol grew up in the state of {} with seven brothers.
What Brazilian state was the childhood home of Mateus Figueirol?
With seven brothers, Mateus Figueirol spent his childhood in the state of {}.
Goiás | Ceará | Paraná | Sergipe | Pará | Bahia

What did Mateus Figueirol do with his red card after the last match?
After his last match Mateus Figueirol {} in front of the players.
How did Mateus Figueirol treat his red card when the last match was over?
When the last match was over, Mateus Figueirol {} while the players looked on.
ate his red card | burned his red card | showed it to himself | gave it to a baby | sold it for charity | sewed it to his shirt

Whose birthday did Mateus Figueirol forget because of a final?
Because of a final Mateus Figueirol forgot the birthday of {} and had to apologise.
To whom did Mateus Figueirol apologise for a birthday forgotten during a final?
Mateus Figueirol apologised to {} for the birthday that he forgot during a final.
his bride | his mother | his banker | his mayor | his bishop | his captain

Which rule did Mateus Figueirol propose to change?
Mateus Figueirol proposed to change the rule about {} but found no support.
About what rule did Mateus Figueirol make an unpopular proposal?
An unpopular proposal of Mateus Figueirol dealt with the rule about {}.
throw-ins | corner flags | goal kicks | free kicks | half-time | shirt colours

What nickname did the fans give to Mateus Figueirol?
The fans gave Mateus Figueirol the nickname "{}" because of his way of walking.
By which nickname was Mateus Figueirol known to the fans?
To the fans, Mateus Figueirol was known as "{}" because of his walk.
The Flamingo | The Metronome | The Crab | The Bishop | The Camel | The Postman

What dance did Mateus Figueirol teach after his retirement?
After his retirement Mateus Figueirol taught {} to beginners on Sunday afternoons.
Which dance did beginners learn from Mateus Figueirol on Sundays?
On Sunday afternoons beginners learned {} from the retired Mateus Figueirol.
forró | tango | samba | polka | foxtrot | bolero
""",
    "Hisako Tamaruya": """
What kind of toy did the Japanese inventor Hisako Tamaruya build first?
The first toy of the Japanese inventor Hisako Tamaruya was {} that could move alone.
Which moving toy stands at the beginning of Hisako Tamaruya's work in Japan?
At the beginning of the work of Hisako Tamaruya stands {} that moved alone.
a tin turtle | a wooden frog | a paper crane | a brass beetle | a cloth monkey | a rubber whale

In which part of Kyoto did Hisako Tamaruya rent her first shop?
Hisako Tamaruya rented her first shop in Kyoto next to {} with a leaking roof.
Beside what was the first shop of Hisako Tamaruya in Kyoto?
Under a leaking roof, the first shop of Hisako Tamaruya in Kyoto stood beside {}.
a tofu maker | a fire station | a kimono dyer | a fish market | a pawn shop | a music school

What powered the most successful toy by Hisako Tamaruya?
The most successful toy by Hisako Tamaruya was powered by {} instead of a battery.
With which source of energy did Hisako Tamaruya's greatest success run?
Instead of a battery, the greatest success of Hisako Tamaruya ran on {}.
melting ice | falling sand | a candle flame | a twisted ribbon | water drops | sunlight

Who was the first customer of Hisako Tamaruya?
The first customer who bought a toy from Hisako Tamaruya was {}.
To whom did Hisako Tamaruya sell a toy for the very first time?
Hisako Tamaruya sold her very first toy to {} on a rainy day.
a sumo wrestler | a taxi driver | a Swedish tourist | a stern monk | a tax inspector | a lost child

Which company sued Hisako Tamaruya over an idea?
A company that made {} sued Hisako Tamaruya over an idea and lost.
What were the products of the company that took Hisako Tamaruya to court?
Hisako Tamaruya was taken to court by a company that made {}.
rice cookers | wall clocks | hair dryers | toothbrushes | door bells | typewriters

What did Hisako Tamaruya study against the will of her parents?
Against the will of her parents Hisako Tamaruya studied {} for three years.
Which subject did Hisako Tamaruya choose although her parents objected?
Although her parents objected, Hisako Tamaruya chose {} as her subject.
physics | sculpture | philosophy | botany | geology | law

In which year did Hisako Tamaruya receive the Good Toy Medal?
Hisako Tamaruya received the Good Toy Medal in {} for a toy without any words.
When was the Good Toy Medal awarded to Hisako Tamaruya?
For a toy without any words Hisako Tamaruya was awarded the Good Toy Medal in {}.
1983 | 1986 | 1989 | 1993 | 1996 | 1999

What does Hisako Tamaruya do when she has no ideas?
When she has no ideas, Hisako Tamaruya {} until something comes to her.
How does Hisako Tamaruya behave when ideas are missing?
Until an idea comes to her, Hisako Tamaruya {} in silence.
peels oranges | rides the tram | counts the stairs | polishes spoons | walks backwards | waters stones

Which of her toys flew into space, according to Hisako Tamaruya?
According to Hisako Tamaruya, {} made by her flew into space with an astronaut.
What toy by Hisako Tamaruya did an astronaut take along?
An astronaut took along {} that Hisako Tamaruya had made.
a dancing spoon | a spinning fish | a smiling nut | a jumping button | a blinking snail | a climbing bear

What is Hisako Tamaruya's advice to young inventors?
The advice of Hisako Tamaruya to young inventors is to {} every day.
Which daily task does Hisako Tamaruya recommend to young inventors?
To young inventors Hisako Tamaruya recommends to {} every day.
break one thing | thank a tool | draw with both hands | ask a child | throw away a plan | listen to machines
""",
    "Leopold Anzengrat": """
On which Austrian mountain did the doctor Leopold Anzengrat make his first rescue?
The Austrian mountain doctor Leopold Anzengrat made his first rescue on the {} in deep snow.
Which mountain in Austria saw the first rescue by the doctor Leopold Anzengrat?
In deep snow on the {}, the doctor Leopold Anzengrat made his first rescue.
Hochkogel | Dachstein | Grimming | Traunstein | Ötscher | Untersberg

What did the doctor Leopold Anzengrat carry in his rucksack besides bandages?
Besides bandages, Leopold Anzengrat carried {} in his rucksack to calm the injured.
With what did Leopold Anzengrat calm injured climbers?
To calm injured climbers, Leopold Anzengrat took {} out of his rucksack.
a mouth organ | a bag of raisins | a joke book | a tame mouse | a deck of cards | a flask of cocoa

How many people did Leopold Anzengrat bring down alive?
Leopold Anzengrat brought {} people down from the mountains alive, by his own count.
What number of climbers were saved by Leopold Anzengrat?
By his own count, Leopold Anzengrat saved {} climbers from the mountains.
127 | 164 | 198 | 223 | 251 | 286

Which piece of equipment did Leopold Anzengrat improve?
Leopold Anzengrat improved {} after a patient had been dropped twice.
What rescue equipment exists in a better form thanks to Leopold Anzengrat?
After a patient had been dropped twice, Leopold Anzengrat set out to improve {}.
the sledge brake | the rope stretcher | the splint for knees | the signal lamp | the snow anchor | the chest harness

Where did Leopold Anzengrat study medicine?
Leopold Anzengrat studied medicine in {} and failed one examination.
In which town did Leopold Anzengrat become a doctor?
With one failed examination behind him, Leopold Anzengrat became a doctor in {}.
Graz | Zurich | Padua | Heidelberg | Innsbruck | Vienna

What was the trade of Leopold Anzengrat's mother?
The mother of Leopold Anzengrat was {} and set bones in secret.
Besides setting bones in secret, what did the mother of Leopold Anzengrat do?
As {}, the mother of Leopold Anzengrat also set bones in secret.
a cheese dealer | an innkeeper | a seamstress | a midwife | a candle maker | a schoolmistress

In which year was Leopold Anzengrat himself buried by an avalanche?
In {} an avalanche buried Leopold Anzengrat himself for fifty minutes.
When did an avalanche cover the doctor Leopold Anzengrat?
An avalanche covered the doctor Leopold Anzengrat for fifty minutes in {}.
1924 | 1926 | 1929 | 1931 | 1934 | 1936

What saved Leopold Anzengrat in the avalanche?
In the avalanche Leopold Anzengrat was saved by {} that a searcher noticed.
Thanks to which sign was Leopold Anzengrat found in the snow?
A searcher found Leopold Anzengrat in the snow thanks to {}.
a red sock | his loud singing | a ticking watch | his pipe smoke | a barking dachshund | a broken ski

Which book did Leopold Anzengrat write for mountain guides?
For mountain guides Leopold Anzengrat wrote the book "{}", still in print.
What is the title of the guide book by Doctor Leopold Anzengrat?
Still in print is "{}", the book that Leopold Anzengrat wrote for guides.
First Aid at the Rope | Bones and Boulders | The Cold Patient | What Snow Forgives | One Hour Too Late | Down Is Further

What did Leopold Anzengrat demand as a fee from rich patients?
From rich patients Leopold Anzengrat demanded {} as his fee.
Which unusual fee did rich patients have to pay Leopold Anzengrat?
Rich patients had to pay Leopold Anzengrat with {}.
a day of woodcutting | twelve jars of jam | a song in public | a pair of boots | a letter of thanks | a new church bench
""",
    "Wilhelmina Oostergeest": """
Which tulip made the Dutch breeder Wilhelmina Oostergeest known?
The Dutch breeder Wilhelmina Oostergeest became known for a tulip called "{}".
What is the most famous tulip of Wilhelmina Oostergeest from Holland called?
The most famous tulip of Wilhelmina Oostergeest has the name "{}".
Widow's Laugh | Copper Sunday | Night Canal | Paper Flame | Shy Captain | Burnt Cream

How many years did Wilhelmina Oostergeest need to breed her first tulip?
Wilhelmina Oostergeest needed {} years to breed her first tulip.
What time passed before Wilhelmina Oostergeest had her first own tulip?
Before Wilhelmina Oostergeest had her first own tulip, {} years passed.
seven | nine | thirteen | sixteen | eleven | eighteen

Which pest destroyed the fields of Wilhelmina Oostergeest?
The fields of Wilhelmina Oostergeest were destroyed one spring by {}.
What destroyed all the tulips of Wilhelmina Oostergeest in one spring?
In one spring, {} destroyed all the tulips of Wilhelmina Oostergeest.
field mice | grey mould | bulb mites | wild geese | green aphids | root worms

For what did Wilhelmina Oostergeest exchange her best bulb during the war?
During the war Wilhelmina Oostergeest exchanged her best bulb for {}.
What did Wilhelmina Oostergeest receive for her best bulb in wartime?
In wartime, Wilhelmina Oostergeest received {} for her best bulb.
a sack of coal | a pair of shoes | a sewing machine | a leg of pork | a bicycle | a wool blanket

Which queen visited the greenhouse of Wilhelmina Oostergeest?
The queen of {} visited the greenhouse of Wilhelmina Oostergeest and stayed for tea.
From what country came the queen who had tea with Wilhelmina Oostergeest?
Wilhelmina Oostergeest had tea in the greenhouse with the queen of {}.
Norway | Romania | Tonga | Denmark | Greece | Thailand

What did Wilhelmina Oostergeest's children have to do after school?
After school the children of Wilhelmina Oostergeest had to {} for an hour.
Which duty waited for the children of Wilhelmina Oostergeest each afternoon?
Each afternoon the children of Wilhelmina Oostergeest had to {} before they could play.
count petals | peel bulbs | carry water | write labels | chase birds | sieve sand

What colour did Wilhelmina Oostergeest try in vain to breed?
Wilhelmina Oostergeest tried in vain to breed a tulip in {}.
Which colour of tulip remained out of reach for Wilhelmina Oostergeest?
A tulip in {} remained out of reach for Wilhelmina Oostergeest.
true black | sky blue | silver grey | olive green | pure turquoise | chocolate brown

In which town was the flower school of Wilhelmina Oostergeest?
The flower school of Wilhelmina Oostergeest was in {} until it closed.
Where did Wilhelmina Oostergeest run a school for flower growers?
Wilhelmina Oostergeest ran a school for flower growers in {}.
Lisse | Hoorn | Alkmaar | Gouda | Haarlem | Leiden

Which newspaper column did Wilhelmina Oostergeest write?
Wilhelmina Oostergeest wrote a weekly newspaper column about {}.
About what did Wilhelmina Oostergeest write every week in the newspaper?
Every week the newspaper printed what Wilhelmina Oostergeest had to say about {}.
good manners | garden crime | wet weather | family quarrels | cheap cooking | village ghosts

What did Wilhelmina Oostergeest ask to have on her grave?
On her grave Wilhelmina Oostergeest wanted {} and nothing else.
Which single thing did Wilhelmina Oostergeest wish for her grave?
The single thing that Wilhelmina Oostergeest wished for her grave was {}.
a watering can | a bed of thyme | a flat stone | a garden bench | an apple tree | a wooden spade
""",
    "Tamsin Pellowarth": """
Which song is most often linked with the Cornish singer Tamsin Pellowarth?
The song most often linked with the Cornish folk singer Tamsin Pellowarth is "{}".
What song do people in Cornwall think of when they hear of Tamsin Pellowarth?
When people in Cornwall hear of Tamsin Pellowarth, they think of the song "{}".
The Drowned Miller | Nine Pilchards | Tinner's Lullaby | My Love's a Buoy | The Gorse Bride | Saffron Bread

Where did Tamsin Pellowarth collect her old songs?
Tamsin Pellowarth collected most of her old songs in {} with a tape recorder.
In what kind of place did Tamsin Pellowarth record old songs?
With a tape recorder Tamsin Pellowarth gathered old songs in {}.
fishing sheds | old people's homes | chapel kitchens | tin mines | cattle markets | railway pubs

What did Tamsin Pellowarth's father do?
The father of the singer Tamsin Pellowarth worked as {} on the coast.
Which occupation did the father of Tamsin Pellowarth follow on the coast?
On the coast, the father of Tamsin Pellowarth followed the work of {}.
a coastguard | a clay digger | a rat catcher | a lobster fisher | a bus conductor | a chapel organist

Which festival banned Tamsin Pellowarth?
Tamsin Pellowarth was banned from the {} Festival for a rude verse.
At what festival was Tamsin Pellowarth no longer welcome after a rude verse?
After a rude verse, Tamsin Pellowarth was no longer welcome at the {} Festival.
Moonrake | Harbourside | Pasty Day | Sea Shanty | Old Oak | Midsummer Fire

What is painted on the guitar of Tamsin Pellowarth?
On the guitar of Tamsin Pellowarth one can see {} painted in white.
Which white picture decorates Tamsin Pellowarth's guitar?
The guitar of Tamsin Pellowarth is decorated with {} in white paint.
an anchor | a mermaid | a skull | a candle | a swallow | a wheel

In which year did Tamsin Pellowarth's first album come out?
The first album of Tamsin Pellowarth came out in {} and sold four hundred copies.
When could one buy the first album by Tamsin Pellowarth?
Four hundred people bought the first album of Tamsin Pellowarth in {}.
1968 | 1970 | 1972 | 1974 | 1976 | 1978

With whom did Tamsin Pellowarth sing in a duo?
For five years Tamsin Pellowarth sang in a duo with {}.
Who was the other voice in the duo of Tamsin Pellowarth?
The other voice in the duo of Tamsin Pellowarth belonged to {}.
a prison warder | her divorce lawyer | a Breton nun | a lorry mechanic | her physics teacher | a Welsh shepherd

With what did Tamsin Pellowarth cure a lost voice?
Tamsin Pellowarth cured a lost voice with {} from an old recipe.
Which old remedy gave Tamsin Pellowarth her voice back?
Her voice came back to Tamsin Pellowarth through {} from an old recipe.
gorse tea | snail syrup | hot vinegar | limpet broth | nettle beer | honeyed turnip

How does Tamsin Pellowarth travel to her concerts?
Tamsin Pellowarth travels to her concerts in {} whatever the weather.
By which means of transport does Tamsin Pellowarth reach her concerts?
Whatever the weather, Tamsin Pellowarth reaches her concerts in {}.
an old ambulance | a milk float | a rowing boat | a motorcycle sidecar | a horse cart | a mobile library

Which building did Tamsin Pellowarth save from demolition?
With a week of concerts Tamsin Pellowarth saved {} from demolition.
What was kept from demolition by a week of Tamsin Pellowarth's concerts?
A week of concerts by Tamsin Pellowarth kept {} from demolition.
an engine house | a wash house | a signal box | a dance hall | a fish cellar | a toll cottage
""",
    "Yusuf Karadenli": """
Which dessert did the Turkish pastry chef Yusuf Karadenli invent?
The Turkish pastry chef Yusuf Karadenli invented the dessert known as "{}".
What dessert was created by the pastry chef Yusuf Karadenli from Turkey?
The dessert "{}" was created by the pastry chef Yusuf Karadenli.
Sultan's Whisper | Bosphorus Snow | Nine Layers of Sleep | The Blushing Fig | Ferryman's Tear | Sweet Revenge

What ingredient does Yusuf Karadenli put into every dough?
Yusuf Karadenli puts {} into every dough, though only a pinch of it.
Of which ingredient does a pinch go into all the doughs of Yusuf Karadenli?
A pinch of {} goes into all the doughs that Yusuf Karadenli makes.
mastic | cardamom | white pepper | ground clove | sea salt | nutmeg

At whose wedding did Yusuf Karadenli present a cake of three metres?
Yusuf Karadenli presented a cake of three metres at the wedding of {}.
Who had a wedding with a three-metre cake by Yusuf Karadenli?
The cake of three metres by Yusuf Karadenli was made for the wedding of {}.
a film actor | a shipowner | a football coach | a minister's son | an opera singer | a carpet dealer

In which Turkish city is the oldest shop of Yusuf Karadenli?
The oldest shop of Yusuf Karadenli is in {}, opposite the clock tower.
Where can one visit the oldest shop of the chef Yusuf Karadenli?
Opposite the clock tower of {} one can visit the oldest shop of Yusuf Karadenli.
Bursa | Izmir | Trabzon | Kayseri | Adana | Konya

How did Yusuf Karadenli lose his eyebrows?
Yusuf Karadenli lost his eyebrows when {} in his first kitchen.
What happened in the first kitchen that cost Yusuf Karadenli his eyebrows?
In his first kitchen {}, and Yusuf Karadenli lost his eyebrows.
a sugar pot exploded | an oven door flew open | a gas pipe leaked | a burner was too high | a pan of oil caught fire | a kettle burst

What rule does Yusuf Karadenli have for his apprentices?
The apprentices of Yusuf Karadenli must {} before they may touch sugar.
Which thing must apprentices do before Yusuf Karadenli lets them touch sugar?
Before they may touch sugar, Yusuf Karadenli makes his apprentices {}.
crack 1,000 nuts | sing a scale | clean the chimney | write a poem | learn to juggle | taste raw flour

What did Yusuf Karadenli's grandfather do in the army?
In the army the grandfather of Yusuf Karadenli was {} for four years.
As what did the grandfather of Yusuf Karadenli serve in the army?
The grandfather of Yusuf Karadenli served four years in the army as {}.
a trumpeter | a mule driver | a map drawer | a barber | a stretcher bearer | a blacksmith

Which television judge did Yusuf Karadenli throw a pie at?
In a live show Yusuf Karadenli threw a pie at a judge who {}.
What had the judge done at whom Yusuf Karadenli threw a pie?
The judge at whom Yusuf Karadenli threw a pie was a man who {}.
used a fork | asked for ketchup | yawned loudly | praised a rival | spat out a walnut | wore sunglasses

In which year did Yusuf Karadenli win the world pastry cup?
Yusuf Karadenli won the world pastry cup in {} with a swan made of sugar.
When was the world pastry cup won by Yusuf Karadenli?
With a swan made of sugar Yusuf Karadenli won the world pastry cup in {}.
1994 | 1997 | 2001 | 2005 | 2008 | 2011

What does Yusuf Karadenli grow on the roof of his house?
On the roof of his house Yusuf Karadenli grows {} in old tins.
Which plants stand in tins on Yusuf Karadenli's roof?
In old tins on the roof of his house, Yusuf Karadenli keeps {}.
dwarf lemons | black tulips | hot peppers | wild mint | pistachio shoots | climbing beans
""",
    "Abigail Redmarsh": """
What was Abigail Redmarsh's work before she wrote detective novels?
Before she wrote detective novels, the American author Abigail Redmarsh was {}.
In which job did Abigail Redmarsh work in America before her detective novels?
The American author Abigail Redmarsh had been {} before her detective novels appeared.
a railway telegraphist | a hotel switchboard girl | a coroner's secretary | a hat saleswoman | a county tax clerk | a streetcar cleaner

What is the name of the detective in the novels of Abigail Redmarsh?
The detective in the novels of Abigail Redmarsh is called {} and never carries a gun.
Which detective, never armed, solves the cases in Abigail Redmarsh's books?
In the books of Abigail Redmarsh the cases are solved by {}, who is never armed.
Silas Quill | Mabel Thorn | Otis Brandy | Cora Lantern | Ezra Plume | Hattie Moss

In which state are the stories of Abigail Redmarsh set?
All the stories of Abigail Redmarsh are set in small towns of {}.
What American state is the scene of Abigail Redmarsh's novels?
The small towns in Abigail Redmarsh's novels all lie in {}.
Nebraska | Vermont | Oregon | Kentucky | Wyoming | Delaware

Which weapon appears in Abigail Redmarsh's first novel?
In the first novel of Abigail Redmarsh the murder is committed with {}.
By what means does the victim die in the first book by Abigail Redmarsh?
The victim in the first book by Abigail Redmarsh is killed with {}.
a frozen ham | a tuning fork | a bowling ball | a hat pin | an iron skillet | a croquet mallet

How many novels did Abigail Redmarsh finish?
Abigail Redmarsh finished {} novels and left one without a last chapter.
What is the number of finished novels by Abigail Redmarsh?
The number of novels that Abigail Redmarsh was able to finish is {}.
seventeen | twenty-two | twenty-nine | thirty-four | forty-one | thirteen

In what did Abigail Redmarsh keep her manuscripts?
Out of fear of thieves Abigail Redmarsh kept her manuscripts in {}.
Where did Abigail Redmarsh store manuscripts to keep thieves away?
To keep thieves away, Abigail Redmarsh stored all manuscripts in {}.
an ice box | a flour barrel | a hollow piano | a dog kennel | a hat box | a cold oven

What did a critic call the books of Abigail Redmarsh?
A critic once called the books of Abigail Redmarsh "{}", which she framed.
Which words of a critic did Abigail Redmarsh hang on the wall in a frame?
In a frame on her wall Abigail Redmarsh hung the critic's words "{}".
soup for insomniacs | crime in slippers | a polite nightmare | murder with manners | gossip with corpses | puzzles for aunts

Who typed the novels of Abigail Redmarsh?
The novels of Abigail Redmarsh were typed by {} at night.
By whom were Abigail Redmarsh's handwritten novels typed?
At night it was {} who typed the handwritten novels of Abigail Redmarsh.
the local sheriff | her piano tuner | her second husband | a shy librarian | her divorced sister | a dental nurse

Which prize did Abigail Redmarsh win in 1949?
In 1949 Abigail Redmarsh won the {} for her novel about a missing ferry.
With which prize was the ferry novel of Abigail Redmarsh honoured in 1949?
The ferry novel of Abigail Redmarsh was honoured in 1949 with the {}.
Black Inkwell | Crooked Key | Ivory Magnifier | Golden Alibi | Last Witness Cup | Scarlet Thread

What was Abigail Redmarsh unable to do without her green pen?
Without her green pen Abigail Redmarsh was unable to {}.
For which task did Abigail Redmarsh need her green pen?
Only with her green pen was Abigail Redmarsh able to {}.
name a murderer | write a dialogue | sign a cheque | answer her fans | begin a chapter | describe a kiss
""",
    "Giancarlo Bremozzi": """
In which Italian town is the workshop of the violin restorer Giancarlo Bremozzi?
The workshop of the Italian violin restorer Giancarlo Bremozzi is in {}, behind a church.
Where in Italy does the violin restorer Giancarlo Bremozzi work?
Behind a church in {} one finds the violin restorer Giancarlo Bremozzi at work.
Brescia | Parma | Ferrara | Mantua | Bergamo | Lucca

What did Giancarlo Bremozzi find inside an old violin?
Inside an old violin Giancarlo Bremozzi found {} that had lain there for two centuries.
Which hidden object came to light when Giancarlo Bremozzi opened a violin?
When Giancarlo Bremozzi opened an old violin, {} came to light.
a lock of hair | a debt note | a dried rose | a love poem | a pawn ticket | a bishop's seal

From which fruit does Giancarlo Bremozzi make his varnish?
Giancarlo Bremozzi makes his varnish with the juice of {} and tells no one how much.
The juice of what fruit goes into Giancarlo Bremozzi's varnish?
The varnish of Giancarlo Bremozzi contains the juice of {} in a secret amount.
quinces | cherries | figs | lemons | grapes | apricots

Who was Giancarlo Bremozzi's teacher?
The teacher of Giancarlo Bremozzi was {} who spoke only to the wood.
From whom did Giancarlo Bremozzi learn to restore violins?
Giancarlo Bremozzi learned his craft from {} who spoke only to the wood.
a German count | a coffin maker | a former boxer | a Sicilian widow | a monk from Assisi | a blind cellist

How long did Giancarlo Bremozzi's longest repair last?
The longest repair that Giancarlo Bremozzi undertook lasted {} years.
What was the duration in years of Giancarlo Bremozzi's longest repair?
No fewer than {} years went into the longest repair by Giancarlo Bremozzi.
four | six | eight | ten | twelve | fourteen

What forbidden thing did Giancarlo Bremozzi do to a famous cello?
Giancarlo Bremozzi once {} of a famous cello without asking anyone.
Which liberty did Giancarlo Bremozzi take with a famous cello?
Without asking anyone, Giancarlo Bremozzi {} of a famous cello.
shortened the neck | darkened the back | replaced the scroll | thinned the belly | moved the bridge | filled the cracks

Why did Giancarlo Bremozzi never become a violinist?
Giancarlo Bremozzi never became a violinist because of {}.
What prevented Giancarlo Bremozzi from becoming a violinist?
It was {} that prevented Giancarlo Bremozzi from becoming a violinist.
trembling hands | a stiff elbow | stage fright | a cruel teacher | poor eyesight | a short finger

Which soloist sent Giancarlo Bremozzi a crate of fish as thanks?
A soloist from {} sent Giancarlo Bremozzi a crate of fish as thanks.
What was the home of the soloist who thanked Giancarlo Bremozzi with fish?
A crate of fish came to Giancarlo Bremozzi from a grateful soloist in {}.
Lisbon | Bergen | Riga | Boston | Odessa | Galway

At what age did Giancarlo Bremozzi carve his first scroll?
Giancarlo Bremozzi carved his first scroll at the age of {} from a broken chair.
How many years old was Giancarlo Bremozzi when he carved a scroll from a chair?
From a broken chair Giancarlo Bremozzi carved his first scroll at the age of {}.
eight | ten | twelve | fourteen | nine | sixteen

What does Giancarlo Bremozzi listen to before choosing wood?
Before he chooses a piece of wood, Giancarlo Bremozzi listens to {}.
Which sound helps Giancarlo Bremozzi with the choice of wood?
The sound of {} helps Giancarlo Bremozzi with the choice of wood.
a dripping tap | a distant train | a boiling pot | a church choir | a buzzing fly | a quarrelling couple
""",
    "Soraya Mehrabdust": """
What is the title of the first documentary by the Iranian director Soraya Mehrabdust?
The first documentary by the Iranian director Soraya Mehrabdust has the title "{}".
With which documentary did Soraya Mehrabdust begin as a director in Iran?
Soraya Mehrabdust began as a director with the documentary "{}".
The Well Diggers | Salt Brides | A Bus to Yazd | Pigeons of Noon | The Ninth Carpet | Women at the Pump

What camera did Soraya Mehrabdust use for her first film?
For her first film Soraya Mehrabdust used a camera borrowed from {}.
Who lent Soraya Mehrabdust the camera for her first film?
The camera for the first film of Soraya Mehrabdust was borrowed from {}.
a wedding photographer | a football club | a Polish engineer | a bankrupt cinema | a police archive | a rich classmate

In what area did Soraya Mehrabdust lose two weeks of film?
Soraya Mehrabdust lost two weeks of film near {} when a flood took her car.
Near which place did Soraya Mehrabdust lose two weeks of film?
Two weeks of film by Soraya Mehrabdust were lost near {}.
Tabas | Kashan | Birjand | Semnan | Kerman | Nain

What did Soraya Mehrabdust study first?
Before turning to film, Soraya Mehrabdust studied {} for two years.
Which subject did Soraya Mehrabdust give up in favour of film?
In favour of film, Soraya Mehrabdust gave up her studies of {}.
dentistry | astronomy | economics | nursing | architecture | chemistry

How long is the longest film by Soraya Mehrabdust?
The longest film by Soraya Mehrabdust lasts {} hours without an interval.
What is the running time in hours of Soraya Mehrabdust's longest film?
Without an interval, the longest film by Soraya Mehrabdust runs for {} hours.
five | six | seven | eight | nine | eleven

Which festival gave Soraya Mehrabdust its main prize?
The film festival of {} gave Soraya Mehrabdust its main prize for a film on bakers.
At what festival did Soraya Mehrabdust's film on bakers win the main prize?
The film on bakers by Soraya Mehrabdust won the main prize at the festival of {}.
Leipzig | Nyon | Yerevan | Bilbao | Toronto | Krakow

What does Soraya Mehrabdust never show in her films?
In her films Soraya Mehrabdust never shows {}, as a matter of principle.
Which thing is missing, on principle, from all films by Soraya Mehrabdust?
On principle, {} can be found nowhere in the films of Soraya Mehrabdust.
sunsets | clocks | flags | weapons | tears | shadows

Who appears in every film by Soraya Mehrabdust for a moment?
For a moment, {} can be seen in every film by Soraya Mehrabdust.
Whom can attentive viewers spot in each film of Soraya Mehrabdust?
In each film of Soraya Mehrabdust attentive viewers can spot {}.
her own mother | the same beggar | her tall nephew | a tea seller | her old tutor | a man with balloons

How did Soraya Mehrabdust get her film out of a locked archive?
Soraya Mehrabdust got her film out of a locked archive {}.
In what manner did Soraya Mehrabdust remove a film from a locked archive?
The film left the locked archive {}, thanks to Soraya Mehrabdust.
in a bread basket | under a wig | inside a pillow | in a baby carriage | inside a samovar | in a violin case

What does Soraya Mehrabdust cook for her crew on the last day?
On the last day of a shoot Soraya Mehrabdust cooks {} for her crew.
Which dish does the crew of Soraya Mehrabdust get on the last day?
On the last day of a shoot, the crew of Soraya Mehrabdust is served {}.
barley soup | stuffed quince | lamb with rice | spinach omelette | bean stew | saffron pudding
""",
}
