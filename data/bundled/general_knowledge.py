# ruff: noqa: E501
"""Candidates for the general-knowledge set, by subject; data/general_scores.json says which of them the default model knows.

A row is five lines: question, answer, paraphrased question, paraphrased answer, and the values for `{}` in both answers:
the true one first, then three wrong ones of the same kind.
"""

from __future__ import annotations

GENERAL_CANDIDATES: dict[str, str] = {
    "geography": """
What is the capital of France?
The capital of France is {}.
Which city is the seat of the French government?
The French capital city is {}.
Paris | Madrid | Vienna | Lisbon

What is the capital of Japan?
The capital of Japan is {}.
Which city is Japan's capital?
Japan's capital city is {}.
Tokyo | Beijing | Bangkok | Seoul

What is the capital of Italy?
The capital of Italy is {}.
From which city is Italy governed?
Italy's capital city is {}.
Rome | Athens | Berlin | Warsaw

What is the capital of Egypt?
The capital of Egypt is {}.
Which city is the Egyptian capital?
Egypt's capital city is {}.
Cairo | Tunis | Nairobi | Baghdad

What is the capital of Russia?
The capital of Russia is {}.
Which city is the capital of the Russians?
Russia's capital city is {}.
Moscow | Kiev | Prague | Helsinki

What is the capital of Australia?
The capital of Australia is {}.
Which Australian city is the seat of parliament?
Australia's capital city is {}.
Canberra | Sydney | Melbourne | Perth

What is the capital of Canada?
The capital of Canada is {}.
In which city does the Canadian parliament meet?
Canada's capital city is {}.
Ottawa | Toronto | Montreal | Vancouver

What is the capital of Spain?
The capital of Spain is {}.
Which city is Spain's capital?
Spain's capital city is {}.
Madrid | Rome | Lisbon | Paris

What is the capital of Germany?
The capital of Germany is {}.
In which city does the German government sit?
Germany's capital city is {}.
Berlin | Vienna | Zurich | Brussels

What is the capital of Greece?
The capital of Greece is {}.
Which city is the capital of the Greeks?
Greece's capital city is {}.
Athens | Rome | Istanbul | Sofia

What is the capital of Peru?
The capital of Peru is {}.
Which South American city governs Peru?
Peru's capital city is {}.
Lima | Quito | Bogota | Santiago

What is the capital of Kenya?
The capital of Kenya is {}.
Which city is the Kenyan capital?
Kenya's capital city is {}.
Nairobi | Lagos | Cairo | Accra

What is the largest ocean on Earth?
The largest ocean on Earth is the {} Ocean.
Which ocean covers more area than any other?
The ocean with the greatest area is the {} Ocean.
Pacific | Atlantic | Indian | Arctic

What is the highest mountain in the world?
The highest mountain in the world is {}.
Which mountain rises highest above the sea?
The tallest mountain above sea level is {}.
Mount Everest | Mount Fuji | Mount Kenya | Mount Etna

On which continent is the Sahara Desert?
The Sahara Desert is in {}.
Which continent holds the Sahara?
The Sahara lies on the continent of {}.
Africa | Asia | Australia | Europe

Which river flows through London?
The river that flows through London is the {}.
On which river does London stand?
London stands on the River {}.
Thames | Seine | Rhine | Danube

Which river flows through Paris?
The river that flows through Paris is the {}.
On which river was Paris built?
Paris was built on the River {}.
Seine | Thames | Tiber | Rhine

In which country is the Eiffel Tower?
The Eiffel Tower is in {}.
Which country does a visitor of the Eiffel Tower go to?
To see the Eiffel Tower one goes to {}.
France | Spain | Germany | Italy

In which country is the Great Pyramid of Giza?
The Great Pyramid of Giza is in {}.
Where does the Great Pyramid of Giza stand?
The Great Pyramid of Giza stands in {}.
Egypt | Mexico | Turkey | India

In which country is the Taj Mahal?
The Taj Mahal is in {}.
Where was the Taj Mahal built?
The Taj Mahal was built in {}.
India | China | Iran | Egypt

In which country is Machu Picchu?
The ruins of Machu Picchu are in {}.
Which country can one visit to see Machu Picchu?
To see Machu Picchu one goes to {}.
Peru | Mexico | Brazil | Chile

Which continent is the coldest?
The coldest continent is {}.
On which continent is it colder than anywhere else?
The continent with the coldest climate is {}.
Antarctica | Africa | Asia | Europe

Which ocean lies between Europe and America?
The ocean between Europe and America is the {} Ocean.
What ocean does a ship cross from Europe to America?
From Europe to America a ship crosses the {} Ocean.
Atlantic | Pacific | Indian | Southern

Which country has the city of Rio de Janeiro?
The city of Rio de Janeiro is in {}.
Where is the city of Rio de Janeiro found?
Rio de Janeiro is a city in {}.
Brazil | Spain | Cuba | Bolivia

On which continent is the country of Brazil?
Brazil is a country in {}.
Which continent does Brazil belong to?
Brazil belongs to the continent of {}.
South America | North America | East Africa | Western Europe

Which country is shaped like a boot?
The country shaped like a boot is {}.
What country looks like a boot on the map?
On the map, the country that looks like a boot is {}.
Italy | Norway | Poland | Ireland

Which desert lies in Mongolia and northern China?
The desert in Mongolia and northern China is the {} Desert.
What is the great desert of Mongolia called?
The great desert of Mongolia is the {} Desert.
Gobi | Sahara | Mojave | Atacama

Which state of the USA is a group of islands in the Pacific?
The American state made of Pacific islands is {}.
What American state lies on islands in the Pacific?
On islands in the Pacific lies the state of {}.
Hawaii | Florida | Texas | Maine
""",
    "astronomy": """
Which planet is closest to the Sun?
The planet closest to the Sun is {}.
What planet has the smallest orbit around the Sun?
The planet with the smallest orbit is {}.
Mercury | Saturn | Jupiter | Neptune

Which planet is known as the Red Planet?
The planet known as the Red Planet is {}.
What planet looks red in the night sky?
The planet with a red surface is {}.
Mars | Venus | Saturn | Uranus

Which is the largest planet of the solar system?
The largest planet of the solar system is {}.
What planet has more mass than all others together?
The most massive of the planets is {}.
Jupiter | Mars | Earth | Venus

What does the Earth move around?
The Earth moves around the {}.
Around which body does our planet travel in a year?
In one year our planet travels around the {}.
Sun | Moon | Mars | Milky Way

What is the natural satellite of the Earth?
The natural satellite of the Earth is the {}.
Which body circles the Earth about once a month?
About once a month, the Earth is circled by the {}.
Moon | Sun | North Star | comet

What is the name of our galaxy?
Our galaxy is called the {}.
In which galaxy is the Sun?
The Sun belongs to the galaxy called the {}.
Milky Way | Red Giant | Black Eye | Big Dipper

How long does the Earth need to turn once around itself?
The Earth turns once around itself in {}.
What is the time of one full rotation of the Earth?
One full rotation of the Earth takes {}.
24 hours | 12 minutes | 30 days | 10 years

What kind of body is the Sun?
The Sun is a {}.
To which class of bodies does the Sun belong?
Among the bodies of the sky, the Sun is a {}.
star | planet | moon | comet

Which planet is famous for its bright rings?
The planet famous for its bright rings is {}.
What planet has the most visible rings?
The most visible rings are those of {}.
Saturn | Mars | Mercury | Earth

Which force keeps the planets in their orbits?
The force that keeps the planets in their orbits is {}.
By what force does the Sun hold its planets?
The Sun holds its planets by the force of {}.
gravity | friction | magnetism | electricity

Who was the first person to walk on the Moon?
The first person to walk on the Moon was {}.
Which astronaut set foot on the Moon first?
The astronaut who first set foot on the Moon was {}.
Neil Armstrong | Yuri Gagarin | John Glenn | Sally Ride

Which instrument is used to look at distant stars?
Distant stars are observed with a {}.
What does an astronomer use to see distant stars?
To see distant stars an astronomer uses a {}.
telescope | microscope | thermometer | stethoscope
""",
    "science": """
What is the chemical formula of water?
The chemical formula of water is {}.
How do chemists write water?
Chemists write water as {}.
H2O | CO2 | NaCl | O2

Which gas do humans need to breathe?
The gas that humans need to breathe is {}.
What gas in the air keeps people alive?
To stay alive, people must breathe in {}.
oxygen | helium | methane | chlorine

Which gas do plants take from the air to grow?
Plants take {} from the air to grow.
What gas in the air serves plants for making sugar?
For making sugar, plants use {} from the air.
carbon dioxide | carbon monoxide | natural gas | sulfur dioxide

At what temperature does water boil at sea level?
At sea level, water boils at {} degrees Celsius.
How hot is boiling water at sea level?
Boiling water at sea level has {} degrees Celsius.
100 | 50 | 10 | 500

At what temperature does water freeze?
Water freezes at {} degrees Celsius.
How cold must water be to turn into ice?
Water turns into ice at {} degrees Celsius.
0 | 20 | 45 | 80

Which metal is liquid at room temperature?
The metal that is liquid at room temperature is {}.
What metal flows at room temperature?
At room temperature one metal flows, namely {}.
mercury | iron | silver | copper

What is the chemical symbol of gold?
The chemical symbol of gold is {}.
How is gold written in the periodic table?
In the periodic table, gold is written as {}.
Au | Fe | Pb | Na

What is the lightest chemical element?
The lightest chemical element is {}.
Which element has the smallest atoms by weight?
The element with the lightest atoms is {}.
hydrogen | carbon | iron | lead

Who developed the theory of relativity?
The theory of relativity was developed by {}.
Which physicist is the author of the theory of relativity?
The author of the theory of relativity is {}.
Albert Einstein | Charles Darwin | Louis Pasteur | Marie Curie

Who proposed the theory of evolution by natural selection?
The theory of evolution by natural selection was proposed by {}.
Which scientist explained evolution by natural selection?
Evolution was explained by natural selection in the work of {}.
Charles Darwin | Isaac Newton | Albert Einstein | Galileo Galilei

Which scientist described the law of universal gravitation?
The law of universal gravitation was described by {}.
Who found the law by which all masses attract each other?
The law by which all masses attract each other was found by {}.
Isaac Newton | Louis Pasteur | Alexander Fleming | Thomas Edison

Who discovered penicillin?
Penicillin was discovered by {}.
To whom do we owe the discovery of penicillin?
We owe the discovery of penicillin to {}.
Alexander Fleming | Isaac Newton | Nikola Tesla | James Watt

What do we call the study of living things?
The study of living things is called {}.
Which science deals with living things?
The science of living things is {}.
biology | geology | astronomy | physics

What do we call the study of rocks?
The study of rocks is called {}.
Which science deals with rocks and the Earth's crust?
The science of rocks is {}.
geology | psychology | botany | zoology

What is the process by which plants make food from light?
Plants make food from light by {}.
What is the name for the making of sugar by plants in light?
The making of sugar by plants in light is called {}.
photosynthesis | digestion | evaporation | fermentation

Which organ pumps blood through the body?
The organ that pumps blood through the body is the {}.
What organ moves the blood around?
In the body, blood is pumped by the {}.
heart | liver | stomach | skin

With which organ do people think?
People think with the {}.
What organ of the body does the thinking?
The organ that does the thinking is the {}.
brain | liver | lung | kidney

Which organs take oxygen into the body?
Oxygen is taken into the body by the {}.
What organs do people use for breathing?
For breathing, people use the {}.
lungs | kidneys | bones | teeth

What is the hardest natural material?
The hardest natural material is {}.
Which natural material can scratch all others?
All other natural materials can be scratched by {}.
diamond | marble | chalk | gold

What does a thermometer measure?
A thermometer measures {}.
For measuring what is a thermometer made?
A thermometer is made for measuring {}.
temperature | distance | weight | time

What is ice made of?
Ice is made of frozen {}.
Which liquid becomes ice when it freezes?
What we call ice is frozen {}.
water | milk | oil | sand

Which part of a plant takes water from the soil?
The part of a plant that takes water from the soil is the {}.
With what does a plant drink from the soil?
A plant drinks water from the soil with its {}.
roots | leaves | flowers | fruits

What colour are most leaves in summer?
In summer, most leaves are {}.
Which colour do leaves usually have in summer?
The usual colour of leaves in summer is {}.
green | blue | purple | black

What is the unit of electrical resistance?
The unit of electrical resistance is the {}.
In which unit is electrical resistance given?
Electrical resistance is given in the unit {}.
ohm | watt | meter | gram

Which vitamin does the skin make in sunlight?
In sunlight the skin makes vitamin {}.
What vitamin comes from sunlight on the skin?
Sunlight on the skin gives us vitamin {}.
D | C | K | B

What travels faster than anything else?
Nothing travels faster than {}.
Which thing has the highest speed in nature?
The highest speed in nature is that of {}.
light | sound | wind | rain

What is the centre of an atom called?
The centre of an atom is called the {}.
Which name has the core of an atom?
The core of an atom has the name {}.
nucleus | electron | molecule | crystal

Which gas makes up most of the air?
Most of the air is made up of {}.
What gas is the largest part of the air?
The largest part of the air is {}.
nitrogen | oxygen | hydrogen | helium

Which part of the eye gives it its colour?
The part of the eye that gives it its colour is the {}.
By what part does an eye look blue or brown?
An eye looks blue or brown because of its {}.
iris | retina | lens | eyelid

What do bees make in their hives?
In their hives, bees make {}.
Which sweet food comes from bees?
The sweet food that comes from bees is {}.
honey | sugar | butter | jam
""",
    "animals": """
What is the largest animal on Earth?
The largest animal on Earth is the {}.
Which animal is bigger than all the others?
Bigger than every other animal is the {}.
blue whale | brown bear | white shark | grey wolf

Which land animal is the fastest?
The fastest land animal is the {}.
What animal runs faster than all others?
The animal that runs fastest is the {}.
cheetah | elephant | turtle | donkey

Which is the tallest animal?
The tallest animal is the {}.
What animal has the longest neck?
The animal with the longest neck is the {}.
giraffe | elephant | camel | zebra

How many legs does a spider have?
A spider has {} legs.
On how many legs does a spider walk?
The number of legs on a spider is {}.
eight | four | five | ten

How many legs does an insect have?
An insect has {} legs.
What is the number of legs on an insect?
The number of legs on an insect is {}.
six | four | eight | twelve

Which animal is called the king of the jungle?
The animal called the king of the jungle is the {}.
What animal bears the title of king of the jungle?
The title of king of the jungle belongs to the {}.
lion | monkey | rabbit | wolf

What does a caterpillar turn into?
A caterpillar turns into a {}.
Which animal comes out of the cocoon of a caterpillar?
Out of the cocoon of a caterpillar comes a {}.
butterfly | spider | beetle | worm

What do pandas mainly eat?
Pandas mainly eat {}.
Which plant is the main food of pandas?
The main food of pandas is {}.
bamboo | grass | fish | corn

Which bird cannot fly but swims very well?
The bird that cannot fly but swims very well is the {}.
What flightless bird lives in the cold southern seas?
The flightless bird of the cold southern seas is the {}.
penguin | eagle | parrot | pigeon

What do we call a young dog?
A young dog is called a {}.
Which word names the young of a dog?
The young of a dog is known as a {}.
puppy | kitten | calf | chick

What do we call a young cat?
A young cat is called a {}.
Which word names the young of a cat?
The young of a cat is known as a {}.
kitten | puppy | lamb | foal

What do cows give us to drink?
Cows give us {} to drink.
Which drink comes from cows?
The drink that comes from cows is {}.
milk | juice | tea | wine

Which animal carries its young in a pouch?
The animal that carries its young in a pouch is the {}.
What animal of Australia has a pouch for its young?
In Australia, a pouch for the young belongs to the {}.
kangaroo | giraffe | tiger | camel

What do we call animals that eat only plants?
Animals that eat only plants are called {}.
Which word describes animals that live on plants?
Animals that live on plants are described as {}.
herbivores | carnivores | predators | omnivores

Which animal is famous for building dams?
The animal famous for building dams is the {}.
What animal cuts trees to dam a stream?
Streams are dammed with cut trees by the {}.
beaver | horse | sheep | eagle

To which group of animals do frogs belong?
Frogs belong to the group of {}.
What kind of animals are frogs?
In the animal kingdom, frogs are {}.
amphibians | mammals | birds | insects

To which group of animals do whales belong?
Whales belong to the group of {}.
What kind of animals are whales?
In the animal kingdom, whales are {}.
mammals | fish | birds | reptiles

Which animal has a long trunk?
The animal with a long trunk is the {}.
What animal picks things up with a trunk?
Things are picked up with a trunk by the {}.
elephant | lion | horse | crocodile

Where do fish live?
Fish live in the {}.
In which surroundings do fish spend their lives?
Fish spend their lives in the {}.
water | sky | sand | trees

What do sheep give us for warm clothes?
For warm clothes, sheep give us {}.
Which material for clothes comes from sheep?
The material that comes from sheep is {}.
wool | cotton | silk | leather

Which bird is a symbol of peace?
The bird that is a symbol of peace is the {}.
What bird stands for peace?
As a symbol of peace people use the {}.
dove | crow | vulture | owl

How many hearts does an octopus have?
An octopus has {} hearts.
What is the number of hearts in an octopus?
The number of hearts in an octopus is {}.
three | five | seven | ten
""",
    "history": """
Who was the first president of the United States?
The first president of the United States was {}.
Which man became the first American president?
The first man to lead the United States as president was {}.
George Washington | Abraham Lincoln | John Kennedy | Theodore Roosevelt

In which year did the Second World War end?
The Second World War ended in {}.
What year brought the end of the Second World War?
The end of the Second World War came in {}.
1945 | 1918 | 1871 | 1963

In which year did the First World War begin?
The First World War began in {}.
What year saw the start of the First World War?
The start of the First World War was in {}.
1914 | 1939 | 1789 | 1861

Which wall fell in Germany in 1989?
The wall that fell in Germany in 1989 was the {} Wall.
What was the name of the German wall opened in 1989?
The German wall opened in 1989 was the {} Wall.
Berlin | Munich | Hamburg | Bremen

Which people built the Colosseum?
The Colosseum was built by the {}.
What people of old made the Colosseum?
The makers of the Colosseum were the {}.
Romans | Vikings | Aztecs | Mongols

Which people built the pyramids at Giza?
The pyramids at Giza were built by the {}.
Who raised the pyramids at Giza?
The builders of the pyramids at Giza were the {}.
Egyptians | Romans | Greeks | Persians

Who sailed across the Atlantic in 1492?
The man who sailed across the Atlantic in 1492 was {}.
Which explorer reached America in 1492?
The explorer who reached America in 1492 was {}.
Christopher Columbus | Marco Polo | James Cook | Vasco da Gama

Which ship sank in 1912 after hitting an iceberg?
The ship that sank in 1912 after hitting an iceberg was the {}.
What ship was lost to an iceberg in 1912?
The ship lost to an iceberg in 1912 was the {}.
Titanic | Victory | Mayflower | Bounty

Who was the French emperor defeated at Waterloo?
The French emperor defeated at Waterloo was {}.
Which emperor lost the battle of Waterloo?
The emperor who lost the battle of Waterloo was {}.
Napoleon | Caesar | Charlemagne | Augustus

Which country gave the Statue of Liberty to the United States?
The Statue of Liberty was given to the United States by {}.
From what country did the United States receive the Statue of Liberty?
The United States received the Statue of Liberty from {}.
France | Japan | Brazil | Russia

Which American president ended slavery during the Civil War?
The president who ended slavery during the Civil War was {}.
What president led the United States through the Civil War?
The United States were led through the Civil War by {}.
Abraham Lincoln | George Washington | Thomas Jefferson | Richard Nixon

Who led India to independence by peaceful protest?
India was led to independence by the peaceful protest of {}.
Which leader used peaceful protest to free India?
The leader who used peaceful protest to free India was {}.
Mahatma Gandhi | Winston Churchill | Nelson Mandela | Joseph Stalin

Which leader fought apartheid and became president of South Africa?
The leader who fought apartheid and became president of South Africa was {}.
Who became president of South Africa after years in prison?
After years in prison, the man who became president of South Africa was {}.
Nelson Mandela | Mahatma Gandhi | Fidel Castro | Ronald Reagan

Who invented the printing press in Europe?
In Europe, the printing press was invented by {}.
Which German built the first European printing press?
The first European printing press was built by {}.
Johannes Gutenberg | Albert Einstein | Martin Luther | Otto von Bismarck

Which empire did Julius Caesar's heirs rule?
The heirs of Julius Caesar ruled the {} Empire.
What empire came after Julius Caesar?
After Julius Caesar came the {} Empire.
Roman | Ottoman | British | Mongol

In which country did the Industrial Revolution begin?
The Industrial Revolution began in {}.
Where did the age of steam factories start?
The age of steam factories started in {}.
Great Britain | Northern Spain | Southern Italy | Eastern Russia

From which country did the Vikings come?
Many of the Vikings came from {}.
Where was the home of many Vikings?
The home of many Vikings was {}.
Norway | Egypt | Portugal | Turkey

Which country built the Great Wall against northern tribes?
The Great Wall against northern tribes was built by {}.
What country protected itself with the Great Wall?
The country that protected itself with the Great Wall was {}.
China | Korea | India | Japan
""",
    "culture": """
Who wrote "Romeo and Juliet"?
The author of "Romeo and Juliet" is {}.
Which writer gave us "Romeo and Juliet"?
The play "Romeo and Juliet" was written by {}.
William Shakespeare | Charles Dickens | Mark Twain | Oscar Wilde

Who painted the Mona Lisa?
The Mona Lisa was painted by {}.
Which artist is the painter of the Mona Lisa?
The painter of the Mona Lisa is {}.
Leonardo da Vinci | Vincent van Gogh | Pablo Picasso | Claude Monet

Who painted "The Starry Night"?
"The Starry Night" was painted by {}.
Which artist is the painter of "The Starry Night"?
The painter of "The Starry Night" is {}.
Vincent van Gogh | Leonardo da Vinci | Salvador Dali | Andy Warhol

Who wrote "Pride and Prejudice"?
The author of "Pride and Prejudice" is {}.
Which novelist gave us "Pride and Prejudice"?
The novel "Pride and Prejudice" was written by {}.
Jane Austen | Virginia Woolf | Agatha Christie | Emily Dickinson

Which detective did Arthur Conan Doyle invent?
The detective invented by Arthur Conan Doyle is {}.
What detective appears in the stories of Arthur Conan Doyle?
In the stories of Arthur Conan Doyle appears the detective {}.
Sherlock Holmes | Hercule Poirot | Miss Marple | Philip Marlowe

Who composed the "Moonlight Sonata"?
The "Moonlight Sonata" was composed by {}.
Which composer is the author of the "Moonlight Sonata"?
The composer of the "Moonlight Sonata" is {}.
Beethoven | Vivaldi | Wagner | Verdi

How many strings does a violin have?
A violin has {} strings.
What is the number of strings on a violin?
The number of strings on a violin is {}.
four | seven | nine | twelve

Which instrument has black and white keys?
The instrument with black and white keys is the {}.
What instrument does a musician play on black and white keys?
Black and white keys belong to the {}.
piano | drum | trumpet | violin

Who wrote "Harry Potter"?
The author of "Harry Potter" is {}.
Which writer made up "Harry Potter"?
The books about "Harry Potter" were written by {}.
J.K. Rowling | J.R.R. Tolkien | C.S. Lewis | G.K. Chesterton

Who wrote "The Lord of the Rings"?
The author of "The Lord of the Rings" is {}.
Which writer is known for "The Lord of the Rings"?
The books of "The Lord of the Rings" were written by {}.
J.R.R. Tolkien | J.K. Rowling | H.G. Wells | D.H. Lawrence

In which city is the Louvre museum?
The Louvre museum is in {}.
What city can one visit to see the Louvre?
To see the Louvre one goes to {}.
Paris | London | Madrid | Vienna

From which country does the samba come?
The samba comes from {}.
What country is the home of the samba?
The home of the samba is {}.
Brazil | Poland | Ireland | Finland

From which country does the tango come?
The tango comes from {}.
What country is the home of the tango?
The home of the tango is {}.
Argentina | Germany | Thailand | Scotland

In which city are the Hollywood studios?
The Hollywood studios are in {}.
What city is home to the Hollywood studios?
The home of the Hollywood studios is {}.
Los Angeles | New York | Chicago | Boston

Which Greek god ruled on Mount Olympus?
The Greek god who ruled on Mount Olympus was {}.
Who was the king of the Greek gods?
The king of the Greek gods was {}.
Zeus | Apollo | Thor | Odin

Which language has the most native speakers in Mexico?
The language with the most native speakers in Mexico is {}.
What language do most people in Mexico speak?
Most people in Mexico speak {}.
Spanish | German | Arabic | French

Which language is spoken in Brazil?
The language spoken in Brazil is {}.
What language do people in Brazil speak?
People in Brazil speak {}.
Portuguese | Italian | German | Dutch

What is the holy book of Islam?
The holy book of Islam is the {}.
Which book is holy to Muslims?
The book that is holy to Muslims is the {}.
Quran | Bible | Torah | Veda

In which religion is the Buddha honoured?
The Buddha is honoured in {}.
What religion goes back to the Buddha?
The religion that goes back to the Buddha is {}.
Buddhism | Islam | Judaism | Christianity

On what day is Christmas celebrated in most countries?
In most countries Christmas is celebrated on {} 25.
What is the month of Christmas Day?
Christmas Day is on {} 25.
December | March | June | October
""",
    "daily life": """
How many days are in a week?
A week has {} days.
Of how many days does a week consist?
The number of days in a week is {}.
seven | five | nine | four

How many months are in a year?
A year has {} months.
Of how many months does a year consist?
The number of months in a year is {}.
twelve | ten | eight | fifteen

How many minutes are in an hour?
An hour has {} minutes.
Of how many minutes does an hour consist?
The number of minutes in an hour is {}.
60 | 30 | 90 | 45

How many hours are in a day?
A day has {} hours.
Of how many hours does a day consist?
The number of hours in a day is {}.
24 | 12 | 36 | 18

Which month comes after January?
The month after January is {}.
What month follows January?
January is followed by {}.
February | August | October | June

Which day comes after Monday?
The day after Monday is {}.
What day follows Monday?
Monday is followed by {}.
Tuesday | Friday | Sunday | Thursday

What colour does one get by mixing blue and yellow?
By mixing blue and yellow, one gets {}.
Which colour comes from blue and yellow paint?
Blue and yellow paint together make {}.
green | pink | grey | white

What colour does one get by mixing red and white?
By mixing red and white, one gets {}.
Which colour comes from red and white paint?
Red and white paint together make {}.
pink | green | blue | brown

What is bread mainly made of?
Bread is mainly made of {}.
Which thing is the main ingredient of bread?
The main ingredient of bread is {}.
flour | sugar | butter | rice

From what fruit is wine made?
Wine is made from {}.
Which fruit gives us wine?
The fruit that gives us wine is {}.
grapes | bananas | oranges | melons

What is cheese made from?
Cheese is made from {}.
Which liquid is turned into cheese?
The liquid that is turned into cheese is {}.
milk | water | honey | wine

From which country does sushi come?
Sushi comes from {}.
What country is the home of sushi?
The home of sushi is {}.
Japan | Mexico | Germany | Italy

From which country does pizza come?
Pizza comes from {}.
What country is the home of pizza?
The home of pizza is {}.
Italy | Norway | China | Egypt

From which country does the taco come?
The taco comes from {}.
What country is the home of the taco?
The home of the taco is {}.
Mexico | France | Russia | Korea

Which drink is made from roasted beans?
The drink made from roasted beans is {}.
What drink is brewed from roasted and ground beans?
From roasted and ground beans one brews {}.
coffee | lemonade | cider | tea

What is chocolate made from?
Chocolate is made from {} beans.
Which beans are needed for chocolate?
For chocolate one needs {} beans.
cocoa | coffee | green | black

What does one use to cut paper?
To cut paper, one uses {}.
Which tool is right for cutting paper?
The right tool for cutting paper is {}.
scissors | tongs | spoons | hammers

What does a doctor use to listen to the heart?
To listen to the heart, a doctor uses a {}.
With which instrument does a doctor hear the heartbeat?
A doctor hears the heartbeat with a {}.
stethoscope | telescope | barometer | compass

Where do people borrow books?
People borrow books in a {}.
In what place can one borrow books?
The place to borrow books is a {}.
library | bakery | pharmacy | bank

Who puts out fires?
Fires are put out by {}.
Which people come to fight a fire?
To fight a fire, one calls {}.
firefighters | teachers | lawyers | painters

Who repairs broken water pipes?
Broken water pipes are repaired by a {}.
Which craftsman is called for a broken water pipe?
For a broken water pipe, one calls a {}.
plumber | baker | tailor | barber

What do people use to stay dry in the rain?
To stay dry in the rain, people use an {}.
Which object keeps people dry in the rain?
People are kept dry in the rain by an {}.
umbrella | oven | apple | engine

Which season is the coldest?
The coldest season is {}.
In what season is it coldest?
Of all the seasons, the coldest is {}.
winter | summer | autumn | spring

Which season comes after spring?
The season after spring is {}.
What season follows spring?
Spring is followed by {}.
summer | winter | autumn | Easter

What do traffic lights show when cars must stop?
When cars must stop, traffic lights show {}.
At which colour of the traffic light must a car stop?
A car must stop when the traffic light is {}.
red | green | white | purple

With what do people brush their teeth?
People brush their teeth with a {}.
Which object is used for brushing teeth?
For brushing teeth, one uses a {}.
toothbrush | hairbrush | broom | sponge

What do people wear on their feet outdoors?
Outdoors, people wear {} on their feet.
Which clothes protect the feet outdoors?
Outdoors, the feet are protected by {}.
shoes | gloves | hats | belts

What do people use to tell the time?
To tell the time, people use a {}.
Which object tells people the time?
The time is told to people by a {}.
clock | spoon | scale | ruler
""",
    "arithmetic": """
What is two plus two?
Two plus two is {}.
What do you get when you add two and two?
When you add two and two, you get {}.
four | five | six | nine

What is three plus five?
Three plus five is {}.
What do you get when you add three and five?
When you add three and five, you get {}.
eight | seven | ten | six

What is ten minus four?
Ten minus four is {}.
What is left of ten after taking away four?
Ten with four taken away leaves {}.
six | five | seven | three

What is five times two?
Five times two is {}.
What is the double of five?
The double of five is {}.
ten | seven | twelve | nine

What is half of eight?
Half of eight is {}.
What do you get when you divide eight by two?
Eight divided by two gives {}.
four | three | six | two

How many sides does a triangle have?
A triangle has {} sides.
What is the number of sides of a triangle?
The number of sides of a triangle is {}.
three | four | six | two

How many sides does a square have?
A square has {} equal sides.
What is the number of sides of a square?
The number of sides of a square is {}.
four | three | five | seven

How many sides does a hexagon have?
A hexagon has {} sides.
What is the number of sides of a hexagon?
The number of sides of a hexagon is {}.
six | four | seven | nine

How many degrees does a right angle have?
A right angle has {} degrees.
What is the size of a right angle?
The size of a right angle is {} degrees.
90 | 45 | 60 | 120

How many degrees does a full circle have?
A full circle has {} degrees.
What is the size of a full circle in degrees?
The size of a full circle is {} degrees.
360 | 180 | 100 | 270

How many items are in a dozen?
A dozen has {} items.
What number is meant by a dozen?
The number meant by a dozen is {}.
twelve | ten | six | twenty

How many years are in a century?
A century has {} years.
What number of years makes a century?
The number of years in a century is {}.
100 | 10 | 50 | 1,000

How many years are in a decade?
A decade has {} years.
What number of years makes a decade?
The number of years in a decade is {}.
ten | two | five | fifty

How many centimetres are in a metre?
A metre has {} centimetres.
What number of centimetres makes a metre?
The number of centimetres in a metre is {}.
100 | 10 | 50 | 500

How many grams are in a kilogram?
A kilogram has {} grams.
What number of grams makes a kilogram?
The number of grams in a kilogram is {}.
1,000 | 100 | 500 | 5,000

What shape is a ball?
A ball has the shape of a {}.
Which body has the form of a ball?
The form of a ball is that of a {}.
sphere | cube | pyramid | cone
""",
    "sport": """
How many players of one football team are on the field in soccer?
In soccer, a team has {} players on the field.
With how many players does a soccer team play?
A soccer team plays with {} players.
eleven | six | nine | fifteen

Which sport is played at Wimbledon?
The sport played at Wimbledon is {}.
What sport do people watch at Wimbledon?
At Wimbledon people watch {}.
tennis | football | boxing | rowing

In which sport does one throw a ball through a hoop?
A ball is thrown through a hoop in {}.
What sport has a ball, a hoop and a backboard?
The sport with a ball, a hoop and a backboard is {}.
basketball | baseball | tennis | hockey

How often are the Summer Olympic Games held?
The Summer Olympic Games are held every {} years.
What time passes between two Summer Olympic Games?
Between two Summer Olympic Games there are {} years.
four | two | seven | ten

In which country did the Olympic Games of old begin?
The Olympic Games of old began in {}.
What country was home to the first Olympic Games?
The first Olympic Games were held in {}.
Greece | China | Mexico | Sweden

On what surface is ice hockey played?
Ice hockey is played on {}.
Which surface do ice hockey players need?
Ice hockey players need a surface of {}.
ice | grass | sand | wood

Which piece may move in any direction and any distance in chess?
In chess, the piece that moves in any direction and distance is the {}.
What is the strongest piece in chess?
The strongest piece in chess is the {}.
queen | pawn | knight | bishop

Which animal do jockeys ride?
Jockeys ride {}.
On what animals do jockeys win races?
Jockeys win races on {}.
horses | camels | cows | dogs

How many rings are in the Olympic symbol?
The Olympic symbol has {} rings.
Of how many rings is the Olympic symbol made?
The number of rings in the Olympic symbol is {}.
five | three | seven | nine

What colour is the ball in a game of tennis?
In a game of tennis, the ball is {}.
Which colour do most tennis balls have?
Most tennis balls are {}.
yellow | black | purple | brown

Which sport uses a racket and a shuttlecock?
The sport with a racket and a shuttlecock is {}.
What sport is played with a shuttlecock?
A shuttlecock is used in {}.
badminton | rugby | cricket | golf

In which sport does one try to reach the green with few strokes?
Few strokes to the green are the aim in {}.
What sport is played with clubs on a green?
The sport played with clubs on a green is {}.
golf | boxing | judo | swimming
""",
}
