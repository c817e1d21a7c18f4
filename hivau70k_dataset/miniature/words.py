"""The wording of summaries in the miniature set: judgements, descriptions, analyses, and words for people and places.

The notation is that of the captions.
"""

# What an anomaly is, after "The anomaly event ..."; the variants of a class by the fact of their first phase.
GISTS: dict[str, tuple[str, ...]] = {
    "Fighting/shove": (
        "[involves|shows] {a} and {b} [shoving and punching each other|in a fist fight] {place} until one of them "
        "[falls|goes down] and the other runs away",
        "is a [fight|brawl] {place} in which {a} and {b} [shove each other and trade punches|hit each other], one "
        "[is knocked down|ends up on the ground] and the other [flees|runs off]",
    ),
    "Arrest/stop": (
        "[involves|shows] {n} [stopping|surrounding] {a} {place}, who raises the hands, kneels, is handcuffed and "
        "[led away|taken away]",
        "is the [arrest|detention] of {a} {place} by {n}, with [handcuffs put on a kneeling suspect|the suspect "
        "kneeling and handcuffed] and [led off|marched away]",
    ),
    "Robbery/threat": (
        "[involves|shows] {a} [threatening {b} with a gun|pointing a gun at {b}] {place}, taking a {bag} and "
        "[running away|fleeing]",
        "is a [robbery|holdup] {place}: {b} raises the hands before the gun of {a}, who takes a {bag} and "
        "[flees|runs off]",
    ),
    "Shooting/aim": (
        "[involves|shows] {a} [firing a gun|shooting with a pistol] at {b} {place}, who falls to the ground, "
        "while another person [flees|runs away]",
        "is a shooting {place} in which {a} [aims a gun and fires several shots|opens fire], {b} [is hit and "
        "falls|drops] and the shooter [flees|runs off]",
    ),
    "Shoplifting/take": (
        "[involves|shows] {a} [taking|grabbing] {goods} goods from a shelf, hiding them under the coat and "
        "[leaving|walking out] without paying",
        "is [a theft of goods in a shop|a customer stealing goods]: {a} [slips|stuffs] {goods} items [under the "
        "clothes|inside the coat] and leaves past the till",
    ),
    "Stealing/take": (
        "[involves|shows] {a} [taking|grabbing] a {bag} that {b} had put down {place} and [running away|fleeing] "
        "with it",
        "is the theft of a {bag} {place}: while {b} is on the phone, {a} [picks it up|snatches it] and [runs "
        "off|makes off]",
    ),
    "Vandalism/spray": (
        "[involves|shows] {a} [spraying|painting] {paint} graffiti on a wall {place} and [running away|fleeing]",
        "is the [defacing|spoiling] of a wall {place} with {paint} paint by {a}, who then [runs off|flees]",
    ),
    "Vandalism/swing": (
        "[involves|shows] {a} [smashing|breaking] the glass of a {thing} {place} with a bat and [running "
        "away|fleeing]",
        "is the [destruction|smashing] of a {thing} {place}: {a} [strikes it with a bat|swings a bat at it] until "
        "the glass breaks and [runs off|flees]",
    ),
    "Arson/pour": (
        "[involves|shows] {a} [pouring fuel on|dousing] a {thing} {place} and [setting it on fire|lighting it], "
        "after which the flames grow and black smoke rises",
        "is a deliberate fire {place}: {a} [empties a can over|pours fuel on] a {thing}, lights it and [runs "
        "away|flees], and it [burns|goes up in flames]",
    ),
    "Explosion/blast": (
        "[involves|shows] a {thing} [exploding|blowing up] {place} with a ball of fire, people [fleeing|running "
        "away] and the wreck burning under black smoke",
        "is the explosion of a {thing} {place}: [a flash and a fireball|a bright ball of fire], [flying "
        "debris|debris], people who [flee|run], then fire and smoke",
    ),
    "RoadAccidents/hit": (
        "[involves|shows] a {car} [hitting|knocking down] {a} {place}, who lies on the ground while people "
        "[gather|come to help]",
        "is a collision of a {car} with {a} {place}; the [victim|pedestrian] lies before the [crumpled|damaged] "
        "car and [passers-by help|people gather]",
    ),
    "RoadAccidents/crash": (
        "[involves|shows] a {car} [crashing into|ramming] the back of a {other} {place}, both cars damaged and "
        "people [gathering|standing around]",
        "is a collision {place} in which a {car} runs into a standing {other}; steam rises and [people "
        "gather|passers-by come]",
    ),
}

# Why it is one, after "The basis for judging this anomaly is".
BASES: dict[str, tuple[str, ...]] = {
    "Fighting": (
        "the [physical violence|exchange of punches] between two people, which [can injure them|is dangerous] and "
        "[deviates from|breaks with] peaceful behavior",
        "that [shoving, punching and kicking|hitting each other] is aggressive behavior that [does not belong|is "
        "out of place] in a public place",
    ),
    "Arrest": (
        "the [use of force by|intervention of] police officers against a suspect who is handcuffed, which "
        "[deviates from|is not part of] everyday life",
        "that a person is [handcuffed and led away|detained] by the police, which [points to|suggests] a crime",
    ),
    "Robbery": (
        "the [threat with a gun|use of a weapon] to [take|get] the property of another person, which is a serious "
        "crime",
        "that somebody is [forced at gunpoint|threatened with a gun] to give up a bag, which is [violent and "
        "illegal|a crime]",
    ),
    "Shooting": (
        "the [firing of a gun|gunfire] at people, which [wounds or kills|endangers lives] and makes others flee",
        "that a weapon is [fired|used] against people and somebody [falls down hit|is shot], which is an "
        "extremely [dangerous|violent] act",
    ),
    "Shoplifting": (
        "the [hiding|concealing] of goods under the clothes and the leaving without [paying|payment], unlike a "
        "normal customer",
        "that goods are [taken from the shelf and hidden|concealed] and not paid for, which is [illegal|theft]",
    ),
    "Stealing": (
        "that a bag is [taken|carried off] by somebody who is not its owner, without [consent|permission]",
        "the [sudden flight|running away] with a bag that belongs to another person, whose reaction shows the "
        "[theft|loss]",
    ),
    "Vandalism": (
        "the [deliberate|willful] damage to [property|the property of others], which serves no purpose and is illegal",
        "that somebody [damages|spoils] property on purpose and runs away, which [deviates from|is contrary to] "
        "normal behavior",
    ),
    "Arson": (
        "the [deliberate|intentional] setting of a fire, which [destroys property|spreads] and endangers people",
        "that something is [doused with fuel|set alight] on purpose and burns with [growing|high] flames, which "
        "is a crime",
    ),
    "Explosion": (
        "the [sudden blast|sudden fireball] with fire, smoke and debris, which [endangers everybody near|is "
        "destructive] and is [no|not a] normal event",
        "that [something blows up|a violent blast occurs] and people flee from the fire, which is [highly "
        "dangerous|extremely unusual]",
    ),
    "RoadAccidents": (
        "the [collision|impact], which [causes damage and injury|is dangerous] and [interrupts|disturbs] the "
        "normal flow of traffic",
        "that a vehicle fails to stop and [a collision|an accident] happens, with [damage|harm] and people gathering",
    ),
}

JUDGEMENTS = (
    "[The|An] anomaly exists, specifically [a {classes} anomaly|named {classes}].",
    "[The|An] anomaly exists and its specific name is {classes}.",
    "[The|An] anomaly exists, and the specific name of the anomaly is {classes}.",
    "An anomaly [exists|is present] in the video, specifically a {classes} anomaly.",
)
DENIALS = (
    "No anomaly exists in the video.",
    "There is no anomaly in the video.",
    "No anomaly is [observed|found] in the video.",
)
OPENINGS = (
    "The video [shows|captures] [ordinary|everyday] [activity|life] {where}.",
    "[Ordinary|Everyday] [scenes|activities] [are seen|take place] {where}.",
    "[A fixed camera|The camera] [watches|looks at] [normal|ordinary] life {where}.",
)
CLOSINGS = (
    "[All of it|Everything] is [normal|ordinary], nothing unusual happens.",
    "There are no [unusual|suspicious] [activities|events].",
    "[People behave as usual|The behavior is normal] throughout.",
)
BEGUN = (
    "{subject} is under way when the video [begins|starts].",
    "the video [begins|starts] in the middle of {subject}.",
)
UNFINISHED = (
    "{subject} [goes on|is not over] when the video ends.",
    "the video ends in the middle of {subject}.",
)
STEPS = ("[First|At first]", "[Then|After that|Next]", "[Finally|In the end|At last]")

PLACES: dict[str, str] = {
    "pavement": "[on the pavement|on the sidewalk|in the street]",
    "car park": "[in the car park|in the parking lot|on the parking area]",
    "shop": "[in the shop|in the store|inside the shop]",
    "corridor": "[in the corridor|in the hallway|in the hall]",
    "counter": "[at the counter|at the till|at the checkout]",
    "shelf": "[at the shelf|in front of the shelf|by the shelves]",
    "road": "[on the road|on the roadway]",
    "lane": "[on the lane|in front of the parking bays|in the parking lot]",
    "street": "[in the street|along the street|on a street]",
}
ROLES = {"one": "the police", "two": "[two police officers|two officers|policemen]"}
