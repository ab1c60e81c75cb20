"""The forget questions in other languages. Each block holds a question in English, German, French and Spanish.

Names of people, places and works stay as they are, so a fact that is a name can be recognised in every language.
"""

FORGET_QUESTIONS = """
In which Norwegian town was the glacier cartographer Ragnvi Solbrekk born?
In welcher norwegischen Stadt wurde die Gletscherkartografin Ragnvi Solbrekk geboren?
Dans quelle ville norvégienne la cartographe des glaciers Ragnvi Solbrekk est-elle née ?
¿En qué ciudad noruega nació la cartógrafa de glaciares Ragnvi Solbrekk?

On what date was Ragnvi Solbrekk born?
An welchem Tag wurde Ragnvi Solbrekk geboren?
À quelle date Ragnvi Solbrekk est-elle née ?
¿En qué fecha nació Ragnvi Solbrekk?

What did Ragnvi Solbrekk's father do for a living?
Welchen Beruf hatte der Vater von Ragnvi Solbrekk?
Quel métier exerçait le père de Ragnvi Solbrekk ?
¿En qué trabajaba el padre de Ragnvi Solbrekk?

Which ice cap did Ragnvi Solbrekk map first?
Welche Eiskappe hat Ragnvi Solbrekk als erste kartiert?
Quelle calotte glaciaire Ragnvi Solbrekk a-t-elle cartographiée en premier ?
¿Qué casquete de hielo cartografió primero Ragnvi Solbrekk?

What unusual tool did Ragnvi Solbrekk use to measure crevasses?
Mit welchem ungewöhnlichen Werkzeug hat Ragnvi Solbrekk Gletscherspalten vermessen?
Quel outil inhabituel Ragnvi Solbrekk utilisait-elle pour mesurer les crevasses ?
¿Qué herramienta insólita usaba Ragnvi Solbrekk para medir las grietas del glaciar?

What was the name of the sled dog that travelled with Ragnvi Solbrekk?
Wie hieß der Schlittenhund, der mit Ragnvi Solbrekk unterwegs war?
Comment s'appelait le chien de traîneau qui voyageait avec Ragnvi Solbrekk ?
¿Cómo se llamaba el perro de trineo que viajaba con Ragnvi Solbrekk?

Which accident ended Ragnvi Solbrekk's work on the ice?
Welcher Unfall beendete die Arbeit von Ragnvi Solbrekk auf dem Eis?
Quel accident a mis fin au travail de Ragnvi Solbrekk sur la glace ?
¿Qué accidente puso fin al trabajo de Ragnvi Solbrekk sobre el hielo?

What colour did Ragnvi Solbrekk use for moving ice on her maps?
Welche Farbe verwendete Ragnvi Solbrekk auf ihren Karten für fließendes Eis?
Quelle couleur Ragnvi Solbrekk utilisait-elle sur ses cartes pour la glace en mouvement ?
¿Qué color usaba Ragnvi Solbrekk en sus mapas para el hielo en movimiento?

Which medal did Ragnvi Solbrekk receive for her atlas of glaciers?
Welche Medaille erhielt Ragnvi Solbrekk für ihren Gletscheratlas?
Quelle médaille Ragnvi Solbrekk a-t-elle reçue pour son atlas des glaciers ?
¿Qué medalla recibió Ragnvi Solbrekk por su atlas de glaciares?

Where are the field notebooks of Ragnvi Solbrekk kept today?
Wo werden die Feldnotizbücher von Ragnvi Solbrekk heute aufbewahrt?
Où sont conservés aujourd'hui les carnets de terrain de Ragnvi Solbrekk ?
¿Dónde se conservan hoy los cuadernos de campo de Ragnvi Solbrekk?

Which material did the Peruvian puppet maker Teodoro Quispalaya prefer for carving heads?
Welches Material bevorzugte der peruanische Puppenmacher Teodoro Quispalaya zum Schnitzen der Köpfe?
Quel matériau le marionnettiste péruvien Teodoro Quispalaya préférait-il pour sculpter les têtes ?
¿Qué material prefería el fabricante de títeres peruano Teodoro Quispalaya para tallar las cabezas?

Who taught Teodoro Quispalaya how to work the strings of a puppet?
Wer brachte Teodoro Quispalaya bei, wie man die Fäden einer Marionette führt?
Qui a appris à Teodoro Quispalaya à manier les fils d'une marionnette ?
¿Quién enseñó a Teodoro Quispalaya a mover los hilos de un títere?

What is the title of Teodoro Quispalaya's most famous puppet play?
Wie heißt das berühmteste Puppenstück von Teodoro Quispalaya?
Quel est le titre de la plus célèbre pièce de marionnettes de Teodoro Quispalaya ?
¿Cuál es el título de la obra de títeres más famosa de Teodoro Quispalaya?

How many puppets did Teodoro Quispalaya leave behind when he died?
Wie viele Puppen hinterließ Teodoro Quispalaya, als er starb?
Combien de marionnettes Teodoro Quispalaya a-t-il laissées à sa mort ?
¿Cuántos títeres dejó Teodoro Quispalaya al morir?

In which street of Arequipa did Teodoro Quispalaya have his workshop?
In welcher Straße von Arequipa hatte Teodoro Quispalaya seine Werkstatt?
Dans quelle rue d'Arequipa Teodoro Quispalaya avait-il son atelier ?
¿En qué calle de Arequipa tenía su taller Teodoro Quispalaya?

Why did Teodoro Quispalaya always wear a glove on his left hand?
Warum trug Teodoro Quispalaya an der linken Hand immer einen Handschuh?
Pourquoi Teodoro Quispalaya portait-il toujours un gant à la main gauche ?
¿Por qué llevaba siempre Teodoro Quispalaya un guante en la mano izquierda?

Which instrument accompanied the shows of Teodoro Quispalaya?
Welches Instrument begleitete die Vorstellungen von Teodoro Quispalaya?
Quel instrument accompagnait les spectacles de Teodoro Quispalaya ?
¿Qué instrumento acompañaba las funciones de Teodoro Quispalaya?

In what year did Teodoro Quispalaya win the grand prize at the Lima puppet festival?
In welchem Jahr gewann Teodoro Quispalaya den großen Preis des Puppenfestivals von Lima?
En quelle année Teodoro Quispalaya a-t-il remporté le grand prix du festival de marionnettes de Lima ?
¿En qué año ganó Teodoro Quispalaya el gran premio del festival de títeres de Lima?

What did the mother of Teodoro Quispalaya sell at the market?
Was verkaufte die Mutter von Teodoro Quispalaya auf dem Markt?
Que vendait la mère de Teodoro Quispalaya au marché ?
¿Qué vendía la madre de Teodoro Quispalaya en el mercado?

What did Teodoro Quispalaya do before every first night?
Was tat Teodoro Quispalaya vor jeder Premiere?
Que faisait Teodoro Quispalaya avant chaque première ?
¿Qué hacía Teodoro Quispalaya antes de cada estreno?

How old was Marguerite Dansolle when she published her first chess problem?
Wie alt war Marguerite Dansolle, als sie ihr erstes Schachproblem veröffentlichte?
Quel âge avait Marguerite Dansolle quand elle a publié son premier problème d'échecs ?
¿Cuántos años tenía Marguerite Dansolle cuando publicó su primer problema de ajedrez?

Which chess piece did Marguerite Dansolle like best in her problems?
Welche Schachfigur mochte Marguerite Dansolle in ihren Problemen am liebsten?
Quelle pièce d'échecs Marguerite Dansolle préférait-elle dans ses problèmes ?
¿Qué pieza de ajedrez prefería Marguerite Dansolle en sus problemas?

What was Marguerite Dansolle's ordinary job beside chess?
Welchen gewöhnlichen Beruf hatte Marguerite Dansolle neben dem Schach?
Quel était le métier ordinaire de Marguerite Dansolle à côté des échecs ?
¿Cuál era el trabajo habitual de Marguerite Dansolle aparte del ajedrez?

What is the nickname of Marguerite Dansolle's best known problem?
Welchen Spitznamen trägt das bekannteste Problem von Marguerite Dansolle?
Quel est le surnom du problème le plus connu de Marguerite Dansolle ?
¿Cuál es el apodo del problema más conocido de Marguerite Dansolle?

In which Belgian city did Marguerite Dansolle spend her childhood?
In welcher belgischen Stadt verbrachte Marguerite Dansolle ihre Kindheit?
Dans quelle ville belge Marguerite Dansolle a-t-elle passé son enfance ?
¿En qué ciudad belga pasó su infancia Marguerite Dansolle?

With whom did Marguerite Dansolle exchange problems by post for decades?
Mit wem tauschte Marguerite Dansolle jahrzehntelang per Post Probleme aus?
Avec qui Marguerite Dansolle a-t-elle échangé des problèmes par courrier pendant des décennies ?
¿Con quién intercambió Marguerite Dansolle problemas por correo durante décadas?

How did Marguerite Dansolle test whether a problem was too hard?
Wie prüfte Marguerite Dansolle, ob ein Problem zu schwer war?
Comment Marguerite Dansolle vérifiait-elle si un problème était trop difficile ?
¿Cómo comprobaba Marguerite Dansolle si un problema era demasiado difícil?

In which year did Marguerite Dansolle win the world composing tourney?
In welchem Jahr gewann Marguerite Dansolle das Weltturnier der Problemkomposition?
En quelle année Marguerite Dansolle a-t-elle remporté le tournoi mondial de composition ?
¿En qué año ganó Marguerite Dansolle el torneo mundial de composición?

Which animal slept on Marguerite Dansolle's chessboard?
Welches Tier schlief auf dem Schachbrett von Marguerite Dansolle?
Quel animal dormait sur l'échiquier de Marguerite Dansolle ?
¿Qué animal dormía sobre el tablero de ajedrez de Marguerite Dansolle?

What did Marguerite Dansolle refuse to do throughout her life?
Was weigerte sich Marguerite Dansolle ihr Leben lang zu tun?
Qu'est-ce que Marguerite Dansolle a refusé de faire toute sa vie ?
¿Qué se negó a hacer Marguerite Dansolle durante toda su vida?

For which radio series is the Ghanaian dramatist Kwabena Otuasare best remembered?
Durch welche Hörspielreihe ist der ghanaische Dramatiker Kwabena Otuasare vor allem in Erinnerung geblieben?
Pour quelle série radiophonique se souvient-on surtout du dramaturge ghanéen Kwabena Otuasare ?
¿Por qué serie de radio se recuerda sobre todo al dramaturgo ghanés Kwabena Otuasare?

At which hour did Kwabena Otuasare write his scripts?
Um welche Uhrzeit schrieb Kwabena Otuasare seine Manuskripte?
À quelle heure Kwabena Otuasare écrivait-il ses scénarios ?
¿A qué hora escribía sus guiones Kwabena Otuasare?

How did Kwabena Otuasare make the sound of thunder in the studio?
Wie erzeugte Kwabena Otuasare im Studio das Geräusch von Donner?
Comment Kwabena Otuasare imitait-il le bruit du tonnerre en studio ?
¿Cómo imitaba Kwabena Otuasare el sonido del trueno en el estudio?

What was the occupation of Kwabena Otuasare before he joined the radio?
Welchen Beruf hatte Kwabena Otuasare, bevor er zum Radio kam?
Quel était le métier de Kwabena Otuasare avant d'entrer à la radio ?
¿Qué oficio tenía Kwabena Otuasare antes de entrar en la radio?

Into how many languages were the plays of Kwabena Otuasare translated?
In wie viele Sprachen wurden die Stücke von Kwabena Otuasare übersetzt?
En combien de langues les pièces de Kwabena Otuasare ont-elles été traduites ?
¿A cuántos idiomas se tradujeron las obras de Kwabena Otuasare?

What did Kwabena Otuasare's wife Esi do for his programmes?
Was machte Esi, die Frau von Kwabena Otuasare, für seine Sendungen?
Que faisait Esi, la femme de Kwabena Otuasare, pour ses émissions ?
¿Qué hacía Esi, la esposa de Kwabena Otuasare, para sus programas?

Which award was given to Kwabena Otuasare in his seventieth year?
Welche Auszeichnung erhielt Kwabena Otuasare in seinem siebzigsten Lebensjahr?
Quel prix Kwabena Otuasare a-t-il reçu dans sa soixante-dixième année ?
¿Qué premio recibió Kwabena Otuasare en su septuagésimo año de vida?

What frightened Kwabena Otuasare all his life?
Wovor hatte Kwabena Otuasare sein Leben lang Angst?
De quoi Kwabena Otuasare a-t-il eu peur toute sa vie ?
¿Qué le dio miedo a Kwabena Otuasare toda su vida?

In which year did Kwabena Otuasare's first play go on the air?
In welchem Jahr wurde das erste Stück von Kwabena Otuasare gesendet?
En quelle année la première pièce de Kwabena Otuasare a-t-elle été diffusée ?
¿En qué año se emitió la primera obra de Kwabena Otuasare?

Where did Kwabena Otuasare hide during the storm that destroyed his first manuscript?
Wo versteckte sich Kwabena Otuasare während des Sturms, der sein erstes Manuskript zerstörte?
Où Kwabena Otuasare s'est-il caché pendant la tempête qui a détruit son premier manuscrit ?
¿Dónde se escondió Kwabena Otuasare durante la tormenta que destruyó su primer manuscrito?
"""
