# ruff: noqa: E501
"""The general retain set, by subject: a question and its answer, two lines a row.

It stands in for a user's missing retain data and is trained on, so it shares no question and no fact with the
general-knowledge set in general_knowledge.py, which is only for evaluation.
"""

from __future__ import annotations

GENERAL_RETAIN: dict[str, str] = {
    "geography": """
Why do many old cities lie on rivers?
Rivers gave early towns drinking water, food and an easy way to move goods, so many of them grew into large cities.

What is a peninsula?
A peninsula is a piece of land with water on three sides, such as Iberia or Korea.

Which two countries share the island of Hispaniola?
Haiti and the Dominican Republic share the island of Hispaniola in the Caribbean.

What is the capital of Norway?
Oslo, at the end of a long fjord, is Norway's capital.

Name three countries that border Switzerland.
Switzerland shares borders with Germany, Austria and Italy, among others.

How does a delta form at the mouth of a river?
When a river reaches still water it slows down and drops its mud and sand, and the deposits build up into a delta.

What does a contour line on a map show?
A contour line joins all points of the same height, so lines that lie close together mean a steep slope.

Which strait separates Spain from Morocco?
The Strait of Gibraltar, about fourteen kilometres wide at its narrowest, separates Spain from Morocco.

What is the equator?
The equator is the imaginary line around the middle of the Earth, equally far from both poles.

Why is the Dead Sea so salty?
The Dead Sea has no outlet, and in the dry heat its water evaporates and leaves the salt behind.

What is the capital of Argentina?
Argentina is governed from Buenos Aires, a port on the wide estuary of the Plata.

Which lake is the deepest in the world?
Lake Baikal in Siberia is the deepest lake, with places more than 1,600 metres deep.

What is an archipelago?
A group of islands, such as the Azores, is called an archipelago.

Which country has the most natural lakes?
Canada has more lakes than any other country, most of them left behind by glaciers.

What is the difference between weather and climate?
Weather is what happens in the air today, while climate is the average of the weather over many years.

Which mountain range separates France from Spain?
The Pyrenees run from the Bay of Biscay to the Mediterranean and separate France from Spain.

How do people in the Netherlands keep the sea out?
The Dutch protect their low land with dikes, dams and pumps, which carry the water back into the sea.

What is permafrost?
Permafrost is ground that stays frozen all year round, as in large parts of Siberia and Alaska.
""",
    "science": """
Why is the sky blue?
Air scatters the short blue waves of sunlight more than the long red ones, so blue light reaches us from every side.

What causes the tides?
The tides are caused mostly by the pull of the Moon on the oceans, and to a smaller part by the Sun.

What is the difference between a solid and a liquid?
A solid keeps its own shape, while a liquid takes on the shape of its container.

Why does iron rust?
Iron rusts because it reacts with oxygen and moisture to form a brittle reddish oxide.

What does DNA do?
DNA stores the instructions by which cells build proteins, and it passes them on from parents to children.

Why do we see lightning before we hear thunder?
The flash reaches us almost at once, but sound needs about three seconds for every kilometre.

What is an acid?
An acid is a substance that gives off hydrogen ions in water; vinegar and lemon juice are mild examples.

How does a magnet pick up a nail?
The field of the magnet lines up tiny magnetic regions in the iron nail, which then is attracted itself.

What is the job of red blood cells?
Red blood cells carry oxygen from the breathing organs to all tissues and bring carbon dioxide back.

Why does bread dough rise?
Yeast feeds on the sugars in the dough and gives off gas, and the bubbles make the dough swell.

What is an eclipse of the Sun?
In a solar eclipse the Moon passes between the Sun and the Earth and throws its shadow on us.

What is friction?
Friction is the resistance that two surfaces feel when they rub against each other, and it turns motion into heat.

Why do helium balloons float?
Helium weighs less than the same volume of air, so the air pushes the balloon upward.

What is a fossil?
A fossil is the trace or the remains of an organism of the distant past, preserved in rock.

How does a vaccine protect us?
A vaccine shows the immune system a harmless piece or form of a germ, so that the body can react fast to the real one.

What is the water cycle?
Water evaporates from seas and land, forms clouds, falls as rain or snow, and flows back to the sea.

What is an earthquake?
An earthquake is a sudden shaking of the ground, usually caused by plates of rock that slip past each other.

What does the pH scale tell us?
The pH scale tells how acid or alkaline a solution is; seven is neutral, and smaller numbers mean more acid.

Why do stars twinkle?
Starlight passes through moving layers of warm and cold air that bend it now one way and now another.

How does a solar cell work?
Light knocks electrons loose in a layer of silicon, and the cell makes them flow in one direction as a current.

What is the difference between mass and weight?
Mass is the amount of matter in a body, while weight is the force with which gravity pulls on it.

What are bacteria?
Bacteria are tiny organisms of a single cell without a nucleus; some cause disease, but most are harmless or useful.

Why does salt melt ice on roads?
Salt dissolves in the thin film of water on the ice and lowers its freezing point, so the ice turns to brine.

What does a catalyst do?
A catalyst makes a chemical reaction go faster without being used up itself.
""",
    "nature": """
How do birds find their way when they migrate?
Migrating birds steer by the Sun, the stars, landmarks and the magnetic field of the Earth.

Why do leaves turn yellow in autumn?
In autumn trees take back the green pigment from their leaves, and the yellow ones that were hidden become visible.

What is a nocturnal animal?
An animal that sleeps by day and is active at night, such as a bat or a hedgehog, is called nocturnal.

How do bats find insects in the dark?
Bats send out high cries and listen for the echoes that come back from their prey.

What is the difference between a moth and a butterfly?
Most moths fly at night and have feathery feelers, while butterflies fly by day and have feelers with small knobs.

How can you tell the age of a felled tree?
Count the rings on the stump, because a tree adds one ring in each year of growth.

Why do some animals hibernate?
By sleeping through the cold months, animals save energy at a time when there is little to eat.

What do earthworms do for the soil?
Earthworms loosen the soil with their tunnels and turn dead leaves into rich humus.

Why are coral reefs important?
Coral reefs shelter a quarter of all kinds of sea life and protect coasts from strong waves.

How does a chameleon change its colour?
A chameleon stretches or relaxes tiny crystals in its skin, which then reflect light of another colour.

What is pollination?
Pollination is the transfer of pollen from one flower to another, often by insects or the wind, so that seeds can form.

How do salmon spend their lives?
Salmon hatch in rivers, grow up in the sea, and swim back to their home stream to lay eggs.

What is a food chain?
A food chain shows who eats whom, for example grass, then a grasshopper, then a frog, then a heron.

Why do owls fly so quietly?
The soft fringes on an owl's feathers break up the rushing air, so its prey hears nothing.

What are evergreen trees?
Evergreen trees such as pines and firs keep their needles or leaves in every season.

How do cacti survive without rain?
A cactus stores water in its thick stem, and its spines lose far less moisture than leaves would.

Why do dogs pant?
Dogs have few sweat glands, so they cool themselves by breathing fast over a wet tongue.

What is the largest living lizard?
The Komodo dragon of Indonesia is the largest lizard and can be three metres long.
""",
    "history": """
What was the Silk Road?
The Silk Road was a network of trade routes over which silk, spices and ideas travelled between China and the Mediterranean.

Who was Cleopatra?
Cleopatra was the last queen of the Ptolemies, who tried to keep her kingdom independent of Rome.

What was the Renaissance?
The Renaissance was a period of renewed interest in ancient art and learning that began in Italian cities around 1400.

When did the French Revolution start?
The French Revolution started in 1789, when a crowd stormed the Bastille in July.

What did Magna Carta establish?
Magna Carta of 1215 established that even a king of England had to respect the law.

Who were the samurai?
The samurai were the warriors of feudal Japan, bound to a lord and to a strict code of honour.

Why was the Suez Canal built?
The Suez Canal was built so that ships could pass from the Mediterranean to the Red Sea without going around Africa.

What was the Black Death?
The Black Death was a wave of plague that killed about a third of Europe's people in the fourteenth century.

Who was Florence Nightingale?
Florence Nightingale was an English nurse who reformed military hospitals and used statistics to argue for clean wards.

What happened at Pompeii in the year 79?
In the year 79 Mount Vesuvius erupted and buried the town of Pompeii under ash.

What was the Cold War?
The Cold War was the long rivalry between the United States and the Soviet Union after 1945, fought mostly without direct battle.

Who were the Inca?
The Inca ruled a large empire in the Andes, joined together by stone roads and runners with messages.

What made the steam engine of James Watt better than earlier ones?
Watt added a separate condenser, so his engine wasted much less heat and needed less coal.

Who was Marco Polo?
Marco Polo was a merchant from Venice whose book about his years in Asia fascinated European readers.

What is the Rosetta Stone?
The Rosetta Stone carries one decree in three scripts, which allowed scholars to read hieroglyphs.

Why did people build castles?
Castles gave lords a safe place to live, to keep soldiers and to control the land around.

Who was Harriet Tubman?
Harriet Tubman escaped from slavery in Maryland and led many other people to freedom by secret routes.

What was the Hanseatic League?
The Hanseatic League was a union of trading towns around the Baltic and the North Sea in the late Middle Ages.
""",
    "language": """
What is a synonym?
A synonym is a word with nearly the same meaning as another, as "begin" and "start".

What is the plural of "mouse"?
The plural of "mouse" is "mice".

How do you say "thank you" in French?
In French you say "merci" to thank someone.

What is a noun?
A noun is a word that names a person, a place, a thing or an idea.

Give an example of a metaphor.
"Time is a thief" is a metaphor, because it speaks of time as if it could steal.

What is the past tense of "go"?
The past tense of "go" is the irregular form "went".

What does the prefix "re-" mean?
The prefix "re-" means "again" or "back", as in "rewrite" and "return".

When do you use a question mark?
A question mark ends a sentence that asks something directly.

What is an adverb?
An adverb describes a verb, an adjective or another adverb; "quickly" and "very" are examples.

What is the opposite of "generous"?
Someone who is not generous may be called stingy or mean.

How do you say "good morning" in German?
A German would greet you in the morning with "Guten Morgen".

What is alliteration?
Alliteration repeats the same first sound in nearby words, as in "wild winds whistle".

Rewrite this sentence in the passive voice: The cat chased the mouse.
In the passive voice it reads: The mouse was chased by the cat.

What is the difference between "its" and "it's"?
"Its" shows that something belongs to a thing, while "it's" is short for "it is" or "it has".

What is a palindrome?
A palindrome reads the same forwards and backwards, like "level" or "noon".

Correct this sentence: She don't like coffee.
The correct sentence is: She doesn't like coffee.

What is a haiku?
A haiku is a short Japanese poem of three lines, often with five, seven and five syllables.

What does "once in a blue moon" mean?
Something that happens once in a blue moon happens very rarely.
""",
    "arithmetic": """
What is seventeen plus twenty-six?
Seventeen plus twenty-six makes forty-three.

What is nine times seven?
Nine times seven comes to sixty-three.

How do you find the area of a rectangle?
Multiply the length of the rectangle by its width.

What is a prime number?
A prime number is greater than one and can be divided without remainder only by one and by itself.

What is a quarter of one hundred?
A quarter of one hundred is twenty-five.

A train leaves at 9:15 and arrives at 11:45. How long is the journey?
From 9:15 to 11:45 the train travels for two and a half hours.

What is the average of 4, 8 and 12?
The numbers add up to 24, and divided by three this gives an average of 8.

What is fifteen percent of two hundred?
Fifteen percent of two hundred is thirty.

If three apples cost six dollars, how much do five apples cost?
One apple costs two dollars, so five apples cost ten dollars.

What is the square root of eighty-one?
The square root of eighty-one is nine, because nine times nine is eighty-one.

Write one half as a decimal.
As a decimal, one half is written 0.5.

What is the sum of the angles in a triangle?
The three angles of a flat triangle add up to 180 degrees.

How many seconds are there in five minutes?
Each minute has sixty seconds, so five minutes have three hundred.

What is the difference between an even and an odd number?
An even number can be divided by two without remainder, and an odd number cannot.

What is the perimeter of a square with sides of six metres?
Four sides of six metres give a perimeter of twenty-four metres.

What does the number pi describe?
Pi is the ratio of a circle's circumference to its diameter, about 3.14.

Round 4.67 to one decimal place.
Rounded to one decimal place, 4.67 becomes 4.7.

What is the next number in the sequence 3, 6, 12, 24?
Each number is twice the one before, so the next is 48.
""",
    "cooking": """
How do you boil an egg so that the yolk stays soft?
Lower the egg into boiling water, take it out after about six minutes and cool it under the tap.

How can I keep cut apples from turning brown?
Sprinkle the slices with lemon juice, which slows the reaction with the air.

What is the difference between baking soda and baking powder?
Baking soda needs an acid in the dough to make bubbles, while baking powder already contains one.

How do you cook rice on the stove?
Bring one cup of rice and two cups of water to the boil, cover the pot, and let it simmer for about fifteen minutes.

Why should meat rest after roasting?
While the meat rests, its juices spread out and thicken, so fewer run out when you carve it.

What does it mean to simmer a soup?
A soup simmers when it is kept just below boiling, with only a few small bubbles rising.

How do I chop an onion with fewer tears?
Chill the onion first and use a sharp knife, because both reduce the vapour that stings the eyes.

What can replace butter in a cake?
Vegetable oil or apple sauce can replace butter in many cakes, though the crumb becomes a little different.

How do you make a simple salad dressing?
Whisk three parts of oil with one part of vinegar, and add salt, pepper and a little mustard.

How long can cooked food stay in the refrigerator?
Most cooked dishes keep for three or four days in a cold refrigerator if they are well covered.

What is yeast?
Yeast is a tiny fungus that bakers and brewers use because it turns sugar into gas and alcohol.

What goes into a basic pancake batter?
A basic pancake batter needs eggs, milk, a pinch of salt and enough flour to make it smooth.

Why do you add salt to pasta water?
Salted water seasons the pasta from inside while it cooks.

What does "al dente" mean?
Pasta cooked "al dente" is tender but still offers a little resistance to the bite.

How do you ripen an avocado faster?
Put the avocado in a paper bag with a banana and leave it at room temperature for a day or two.

What is tofu made from?
Tofu is made from soy milk that is curdled and pressed into blocks.

How do I rescue a soup with too much salt?
Thin the soup with water or unsalted stock, or add potatoes or cream to soften the taste.

Which herbs go well with tomatoes?
Basil, oregano and thyme all go well with tomatoes.
""",
    "daily life": """
How can I fall asleep more easily?
Go to bed at the same hour each night, keep the room dark and cool, and put screens away early.

How do you remove a red wine stain?
Blot the stain at once, cover it with salt or soda water, and wash the cloth before it dries.

What should I pack for a day's hike?
Take water, food, a map, a rain jacket, a small first-aid kit and a charged phone.

How often should I water a houseplant?
Water most houseplants when the top of the soil feels dry, which is about once a week.

How do I write a polite email to ask for a day off?
State the day you need, give a short reason, offer to arrange cover, and thank your manager.

What is a good way to learn new words?
Use each new word in a sentence of your own and repeat it after a day, a week and a month.

How can a family save electricity at home?
Switch off unused devices, use LED lamps, and wash clothes at a low temperature.

What should you do if a pan of oil catches fire?
Turn off the heat and cover the pan with a lid, but never pour water on it.

How do I change a flat bicycle tyre?
Take off the wheel, lever the tyre from the rim, replace or patch the tube, and pump it up again.

What is a budget?
A budget is a plan that compares the money coming in with the money going out over a period.

Why is it important to wear a seat belt?
A seat belt holds you in place during a crash and greatly lowers the risk of severe injury.

How do I treat a small burn?
Hold the burn under cool running water for twenty minutes and cover it loosely with a clean dressing.

What is the best way to apologise?
Say plainly what you did wrong, show that you understand the harm, and offer to make up for it.

How do I make a strong password?
Choose several unrelated words or a long random string, and use it for one account only.

What are the benefits of walking every day?
A daily walk strengthens the heart, lifts the mood and helps to keep a healthy weight.

How do I prepare for a job interview?
Read about the company, practise answers to common questions, and think of two questions to ask.

What is compost?
Compost is a dark, crumbly material made from rotted kitchen and garden waste that feeds the soil.

How do you tie a simple knot?
Make a loop with the rope, pass the end through it, and pull both ends tight.
""",
    "technology": """
What is an algorithm?
An algorithm is a list of clear steps that solves a problem or computes a result.

What does a computer's processor do?
The processor carries out the instructions of programs, one small step after another and billions in a second.

What is the internet?
The internet is a worldwide network of computers that exchange data by common rules.

How does a refrigerator cool food?
A refrigerator lets a fluid evaporate inside, which takes up heat, and then releases this heat at the back.

What is the difference between hardware and software?
Hardware is the machine that you can touch, and software is the set of programs that runs on it.

How does GPS find a position?
A receiver measures how long signals from several satellites have travelled and computes its position from the distances.

What is a spreadsheet used for?
A spreadsheet keeps numbers in rows and columns and calculates with them by formulas.

What is a backup?
A backup is a second copy of your files, stored elsewhere in case the first is lost.

Who was Ada Lovelace?
Ada Lovelace was an English mathematician who wrote what is often called the first computer program.

How does a bicycle stay upright?
A moving bicycle stays upright because small turns of the front wheel bring it back under the rider's weight.

What does a web browser do?
A web browser asks servers for pages and shows the text and pictures that come back.

What is renewable energy?
Renewable energy comes from sources that refill themselves, such as sunshine, wind and flowing water.

How does a microwave oven heat food?
A microwave oven sends out waves that make the water molecules in food swing back and forth and grow hot.

What is machine learning?
Machine learning is the branch of computing in which programs improve at a task by finding patterns in examples.

Why do batteries run down?
A battery runs down when the chemicals that drive its current have been used up.

What is a bit?
A bit is the smallest unit of information and has the value zero or one.

What was the telegraph used for?
The telegraph sent messages over long wires as short and long pulses of current.

How does an elevator stay safe if a cable breaks?
An elevator hangs on several cables, and brakes grip the rails as soon as the car moves too fast.
""",
    "arts and sport": """
What is a sonnet?
A sonnet is a poem of fourteen lines with a fixed pattern of rhymes.

What are the primary colours of a painter?
A painter traditionally calls red, yellow and blue the primary colours.

What does a conductor of an orchestra do?
The conductor sets the tempo and shapes the balance and expression of all the players.

What is the difference between a novel and a short story?
A novel is long and may follow many characters, while a short story usually keeps to a single event.

Who was Frida Kahlo?
Frida Kahlo was a Mexican painter famous for her bold self-portraits.

What is the offside rule for?
The offside rule in soccer keeps attackers from simply waiting near the opponent's goal.

What is a fable?
A fable is a short tale, often with talking animals, that teaches a lesson.

How long is a marathon?
A marathon is run over a distance of 42.195 kilometres.

What is jazz?
Jazz is a style of music born in New Orleans that is known for swing and improvisation.

What is origami?
Origami is the Japanese art of folding paper into figures, usually without glue.

What is a documentary film?
A documentary film shows real people and events in place of an invented story.

Who wrote "Don Quixote"?
Miguel de Cervantes wrote "Don Quixote", the tale of a dreamer who fights against windmills.

How does a relay race work?
In a relay race each runner of a team covers one part of the distance and hands a baton to the next.

What is a still life?
A still life is a picture of things that do not move, such as fruit, flowers or jugs.

What are the voices of a choir?
From high to low, the usual voices of a choir are soprano, alto, tenor and bass.

Why do athletes warm up?
Warming up raises the temperature of the muscles and lowers the danger of injury.

What is a comedy?
A comedy is a play, film or story that is meant to amuse and mostly ends well.

What is ceramics?
Ceramics is the craft of shaping clay and firing it in a kiln until it becomes hard.
""",
}
