"""What people ask and how glimpse answers: phrasings by skill, and how a question is dressed up."""

CANNOT_TELL = "I cannot tell."

NUMBERS = ["zero", "one", "two", "three", "four", "five"]

PLACES = {  # (column, row) of a 3 x 3 grid
    (0, 0): "top left", (1, 0): "top", (2, 0): "top right",
    (0, 1): "left", (1, 1): "center", (2, 1): "right",
    (0, 2): "bottom left", (1, 2): "bottom", (2, 2): "bottom right",
}

QUESTIONS = {
    "name": [
        "what is this?", "what is in the picture?", "what is in this image?", "what do you see?", "what can you see here?",
        "what is shown here?", "what thing is this?", "name the object.", "name this thing.", "what object is in the picture?",
        "what's this?", "what's in the picture?", "can you tell me what this is?", "which object is shown?", "identify the object.",
        "what does the picture show?", "tell me what this is.", "what am I looking at?",
    ],
    "group": [
        "what kind of thing is this?", "what group does it belong to?", "what category is this?", "what type of thing is it?",
        "which group is this in?", "what sort of thing is in the picture?", "what class of object is this?", "what kind of object is it?",
    ],
    "presence": [
        "is there {a}?", "is there {a} in the picture?", "do you see {a}?", "does the image contain {a}?", "can you see {a}?",
        "is {a} in the image?", "does the picture show {a}?", "is {a} present?", "is there {a} here?", "do you see {a} in this image?",
    ],
    "count": [
        "how many {s} are there?", "how many {s} do you see?", "how many {s} are in the picture?", "count the {s}.",
        "how many {s}?", "what is the number of {s}?", "how many {s} can you count?", "tell me how many {s} there are.",
    ],
    "count_all": [
        "how many things are there?", "how many objects are in the picture?", "count the objects.", "how many things do you see?",
        "how many objects are there?", "how many items are in the image?",
    ],
    "place": [
        "where is the {n}?", "where is the {n} in the picture?", "in which part of the image is the {n}?", "where can I find the {n}?",
        "where do you see the {n}?", "what is the position of the {n}?", "in which part of the picture is the {n}?",
    ],
    "side": [
        "what is on the {side}?", "which thing is on the {side}?", "what do you see on the {side}?", "what is on the {side} side?",
    ],
    "side_vertical": [
        "what is at the {side}?", "which thing is at the {side}?", "what do you see at the {side}?",
    ],
    "relation": [
        "what is {rel} the {n}?", "which thing is {rel} the {n}?", "what do you see {rel} the {n}?", "name the thing {rel} the {n}.",
        "what object is {rel} the {n}?",
    ],
    "describe": [
        "describe the picture.", "describe this image.", "can you describe this image?", "describe the scene.", "what is happening here?",
        "give a short description.", "describe what you see.", "can you describe the picture?", "write a caption.",
        "describe the image in one sentence.",
    ],
    "background": [
        "what color is the background?", "what is the background color?", "what colour is the background?", "which color is behind it?",
        "what is the color of the background?", "which colour does the background have?",
    ],
    "shape": [
        "what shape is this?", "what shape is in the image?", "which shape is shown?", "what is the shape?", "what shape do you see?",
        "name the shape.",
    ],
    "shape_of_color": ["what is the {c} shape?", "which shape is {c}?", "what shape is {c}?", "what shape is the {c} thing?"],
    "color": [
        "what color is the {n}?", "what colour is the {n}?", "what is the color of the {n}?", "which color is the {n}?",
        "what is the colour of the {n}?", "which colour does the {n} have?",
    ],
    "read": [
        "what does it say?", "read the text.", "what is written here?", "what word is this?", "what does the text say?",
        "can you read this?", "read the word.", "what is the text?", "which word or number is shown?", "what does the sign say?",
        "what is written in the picture?", "please read it.", "what letters do you see?",
    ],
    "unanswerable": [
        "who made this picture?", "what is the weather tomorrow?", "what is the capital of France?", "how old is it?",
        "what is its name?", "what time is it?", "who is the president?", "what is two plus two?", "how much does it cost?",
        "what happened before this?", "where was this picture taken?", "when was this picture taken?", "what brand is it?",
        "is it happy?", "what will happen next?", "how heavy is it?", "what does it smell like?", "who owns it?",
        "what is your name?", "tell me a joke.", "write a poem.", "what year is it?", "why is it there?", "what is the phone number?",
        "what sound does it make?", "is it expensive?", "how tall is it?", "translate this into French.", "who is in the picture?",
        "what city is this?", "what is the meaning of life?", "how far away is it?", "is it dangerous?", "what is it made of?",
        "which country is it from?", "can it swim?", "what did I eat yesterday?", "what is the temperature?", "how fast is it?",
        "who took the photo?", "what music is playing?", "where does it live?", "what is behind the wall?", "who drew this?",
        "is it real?", "what is the best movie?", "solve this equation.", "what language is this?", "how do I fix it?",
        "what is he thinking?", "is she sad?", "what day is it today?", "who are you?", "can you help me?", "how are you?", "thank you.",
        "what is the square root of nine?", "is this legal?", "who won the game?", "what should I cook tonight?", "how many people live here?",
        "what is the password?", "is the water cold?", "who invented it?", "how was it produced?", "how does it work?", "what does it eat?",
        "is it older than me?", "what is it used for?", "who sold it?", "do you like it?", "is it for children?", "how do you spell that?",
        "what is the opposite of hot?", "recommend a book.", "give me a recipe.", "summarize the news.", "sing for me.", "explain gravity.",
        "define freedom.", "compose a letter.", "draw a house.", "count backwards.", "open the door.", "call my mother.", "what is your job?",
        "which number is larger, four or six?", "what comes after Monday?", "how wide is the river?", "how deep is the sea?",
        "how hot is the sun?", "how big is it in meters?", "what is the distance to the moon?", "which river is the longest?",
        "who wrote this book?", "who is the artist?", "who was the king?", "who lives here?", "who is older?", "whose is it?",
        "when does the shop open?", "when did the war end?", "when will he arrive?", "where can I buy it?", "where are you?",
        "where is the nearest station?", "where do they come together?", "why is the sky blue?", "why is he running?", "why not?",
        "which team plays today?", "which language do they speak?", "which factory is this?", "which season is it?", "which road is shorter?",
        "is it raining?", "is he married?", "is it heavy?", "is it alive?", "is this a trick?", "is it safe to eat?", "is the store closed?",
        "does it hurt?", "does it bite?", "does it need batteries?", "will it break?", "will I be rich?", "was it a good year?",
        "are they friends?", "are you sure?", "could it be fake?", "should I sell it?", "have we met?", "what size are the shoes?",
    ],
}

# Phrasings that the evaluation of unanswerable questions uses and training never does.
UNSEEN_UNANSWERABLE = [
    "what is the price?", "who painted this?", "what is the capital of Spain?", "how much does it weigh?", "what will the weather be?",
    "who is the owner?", "where does it come from?", "tell me a story.", "how old is this thing?", "what is seven plus one?",
    "is it cheap?", "write a song.", "when was it made?", "how long is it?", "which company made it?",
]

# Sixty more, by somebody who knew what glimpse can do and had seen no list of ours: for measuring alone.
OTHERS_UNANSWERABLE = [
    "how much would this cost in Paris?", "who drew this picture?", "when was this photo taken?", "does it smell nice?",
    "what breed is the dog?", "is the cat feeling lonely today?", "how many calories are in that pizza?",
    "which country did pizza come from?", "what is seventeen times twenty-three?", "tell me a joke about penguins.",
    "write a poem for my grandmother.", "will it rain in Berlin tomorrow?", "what is hidden behind the house?",
    "is the chair made of oak?", "who invented the umbrella?", "how heavy is a grown elephant?",
    "translate this into Japanese, please.", "can you book me a taxi?", "do you like bananas more than me?",
    "good morning, did you sleep well?", "what is the owner's name?", "how fast can this car go?",
    "is that mushroom safe to eat?", "why do bees make honey?", "what's inside the closed box?",
    "how long do turtles usually live?", "remind me to water the plants.", "which brand makes these shoes?",
    "does the apple taste sour?", "who won the World Cup in 1998?", "are you a real person?", "what will happen to him next?",
    "how do i bake a chocolate cake?", "what's the capital of Mongolia?", "is this drawing under copyright?",
    "should i buy it or wait?", "play some relaxing piano music.", "what language do they speak in Brazil?",
    "how old is the driver?", "is the guitar out of tune?", "what sound does a fox make?", "which artist inspired this style?",
    "convert five miles into kilometres.", "is my boyfriend telling the truth?", "where can i get one nearby?",
    "what time does the bakery close?", "does this battery still have any charge?", "how was paper made in ancient China?",
    "what did the rabbit eat for breakfast?", "can horses sleep standing up?", "turn the volume down a little.",
    "what's your favourite film?", "why was i not invited?", "how do i fix a flat tyre?", "has anyone ever walked on Mars?",
    "explain gravity like i am five.", "what temperature is the coffee right now?", "is this artwork better than Picasso's?",
    "please email it to my boss.", "what does dreaming of snakes mean?",
]

# Follow-up turns: the thing was named in the turn before.
FOLLOW_UP = {
    "place": ["where is it?", "and where is it?", "where in the picture is it?", "in which part?"],
    "group": ["what kind of thing is that?", "what group is that in?", "and what category is that?"],
    "color": ["what color is it?", "and what colour is it?", "which color is it?"],
    "background": ["and the background?", "and what color is the background?"],
}

PICTURE = ["first", "second"]
TWO_PICTURES = {
    "name": [
        "what is in the {p} picture?", "what is in the {p} image?", "what does the {p} picture show?", "what do you see in the {p} image?",
        "name the thing in the {p} picture.", "what is the {p} picture of?",
    ],
    "count": ["how many {s} are in the {p} picture?", "how many {s} are in the {p} image?", "count the {s} in the {p} picture."],
    "background": ["what color is the background of the {p} picture?", "what is the background color of the {p} image?"],
    "read": ["what does the {p} picture say?", "read the text in the {p} image.", "what is written in the {p} picture?"],
    "which": ["which picture shows {a}?", "in which picture is {a}?", "which image contains {a}?"],
}

SYSTEM = [
    "You are a helpful assistant.", "Answer briefly.", "You answer questions about pictures.", "You are glimpse.", "Be concise.",
    "You are a helpful vision assistant. Answer in a few words.",
]


def article(noun):
    return ("an " if noun[0] in "aeiou" and not noun.startswith(("uni", "eu")) else "a ") + noun


def dress(question, rng):
    """A person's spelling of a question: any letter case, with and without the final mark."""
    style = rng.random()
    if style < 0.06:
        question = question.upper()
    elif style < 0.65:
        question = question[0].upper() + question[1:]
    if rng.random() < 0.25:
        question = question.rstrip("?.")
    return question
