"""The wording of general questions about miniature videos: how each is asked, and who does what in an act.

The notation is that of the captions.
"""

# Several ways to ask for each kind of answer.
QUESTIONS: dict[str, tuple[str, ...]] = {
    "picture": (
        "What does the picture show?",
        "Describe [the picture|this picture|the scene].",
        "[Who and what|What] can be seen here?",
    ),
    "count": (
        "How many people [are there|are in the picture|can be seen|do you see]?",
        "[Count the people|Count the persons].",
        "What is the number of people [here|in the picture]?",
    ),
    "place": (
        "[Where is this|Where does this happen|Where are we]?",
        "[What kind of place|Which place|What place] is [this|it|shown]?",
    ),
    "light": (
        "Is it day or night?",
        "[Is it|Was this filmed] [by day or at night|in the daytime or at night]?",
        "What time of day is it?",
    ),
    "indoors": (
        "Is [this|it] indoors or outdoors?",
        "Is [the scene|the place] [inside or outside|indoors or outdoors]?",
    ),
    "vehicle": (
        "Is there a [vehicle|car or a van]?",
        "[Can you see|Do you see] [a vehicle|any vehicle|a car or a van]?",
        "Are there any [vehicles|cars]?",
    ),
    "vehicle colour": (
        "What colour is the {vehicle}?",
        "[Which|What] colour does the {vehicle} have?",
    ),
    "top colour": (
        "What colour is the [top|jacket|coat] of the person who {role}?",
        "What colour does the person who {role} wear?",
        "Which colour are the clothes of the one who {role}?",
    ),
    "who": (
        "Who {role}?",
        "Who is the one who {role}?",
        "Is the person who {role} a man, a woman or hooded?",
    ),
    "who wears": (
        "Who [is wearing|wears|is in] {colour}?",
        "Who is the person in {colour}?",
    ),
    "action": (
        "What is the person in {colour} doing?",
        "What does the person in {colour} do?",
        "What is the one in {colour} up to?",
    ),
    "order": (
        "What happens first: {one} or {other}?",
        "Which comes first, {one} or {other}?",
    ),
}
NUMBERS = ("nobody", "one", "two", "three", "four", "five or more")
PEOPLE = ("man", "woman", "hooded person", "police officer", "worker")
PLACES_ASKED = {"street": "street", "car park": "car park", "shop": "shop", "corridor": "corridor"}

# Who does what in a phase, after "the person who"; those that two do alike are left out.
ROLES_ASKED: dict[str, dict[str, str]] = {
    "Fighting/down": {"b": "falls to the ground", "a": "kicks"},
    "Arrest/stop": {"a": "raises both hands"},
    "Arrest/cuff": {"a": "kneels on the ground"},
    "Arrest/lead": {"a": "is led away"},
    "Robbery/threat": {"a": "holds the gun", "b": "raises both hands"},
    "Robbery/hand over": {"a": "holds the gun", "b": "gives away the bag"},
    "Robbery/flee": {"a": "runs away with the bag"},
    "Shooting/aim": {"a": "aims the gun"},
    "Shooting/fire": {"a": "shoots", "b": "is shot"},
    "Shooting/lie": {"b": "lies on the ground"},
    "Shoplifting/take": {"a": "takes goods from the shelf"},
    "Shoplifting/hide": {"a": "hides the goods"},
    "Stealing/take": {"a": "takes the bag", "b": "is on the phone"},
    "Stealing/flee": {"a": "runs away with the bag"},
    "Stealing/miss": {"b": "throws up the arms"},
    "Vandalism/spray": {"a": "sprays paint on the wall"},
    "Vandalism/letters": {"a": "sprays paint on the wall"},
    "Vandalism/swing": {"a": "swings the bat"},
    "Vandalism/break": {"a": "swings the bat"},
    "Arson/pour": {"a": "pours the fuel"},
    "Arson/light": {"a": "lights the fire"},
    "RoadAccidents/hit": {"a": "is hit by the car"},
    "RoadAccidents/lie": {"a": "lies on the ground"},
    "RoadAccidents/help": {"a": "lies on the ground"},
    "directions/ask": {"a": "asks the way"},
    "directions/point": {"a": "is shown the way"},
    "delivery/hand over": {"a": "brings the parcel", "b": "gets the parcel"},
    "photo/pose": {"a": "takes the photos"},
    "purchase/pick": {"a": "shops with a basket"},
    "purchase/pay": {"a": "pays"},
    "browse/look": {"a": "looks at the goods"},
    "browse/put back": {"a": "puts the goods back"},
    "rest/wait": {"a": "is on the phone"},
    "rest/pick up": {"a": "picks up the bag"},
    "fetch/bring": {"a": "carries the bag"},
    "poster/begin": {"a": "puts up the poster"},
    "poster/go on": {"a": "puts up the poster"},
    "cleaning/begin": {"a": "cleans the window"},
    "cleaning/go on": {"a": "cleans the window"},
    "barbecue/cook": {"a": "cooks at the grill"},
    "trash/drop": {"a": "throws away the bag"},
    "trash/shoe": {"a": "ties a shoe"},
    "crossing/brake": {"a": "crosses before the car"},
    "pickup/stop": {"a": "talks to the driver"},
}

# What an act is called when two are asked for.
ACTS_ASKED: dict[str, str] = {
    "Fighting": "a fight",
    "Arrest": "an arrest",
    "Robbery": "a robbery",
    "Shooting": "a shooting",
    "Shoplifting": "shoplifting",
    "Stealing": "the theft of a bag",
    "Vandalism": "vandalism",
    "Arson": "arson",
    "Explosion": "an explosion",
    "RoadAccidents": "a road accident",
    "hug": "a hug",
    "dance": "a dance",
    "directions": "an officer shows the way",
    "delivery": "a delivery",
    "photo": "people are photographed",
    "purchase": "a purchase",
    "browse": "somebody looks at goods",
    "rest": "somebody rests beside a bag",
    "fetch": "a bag is brought to its owner",
    "poster": "a poster is put up",
    "cleaning": "a window is cleaned",
    "barbecue": "a barbecue",
    "trash": "a bag is thrown away",
    "headlights": "a car flashes its headlights",
    "steam": "steam rises from a drain",
    "crossing": "a car lets somebody cross",
    "pickup": "somebody talks to a driver",
}
