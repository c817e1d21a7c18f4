"""The wording of clip captions in the miniature set: several ways to say each thing that happens.

`[x|y]` draws one of the alternatives, which may nest. `{a}`, `{b}` introduce a person ("a man in a red coat"), `{a.}`
and `{b.}` come back to them ("the man in red"); the other slots are things and places.
"""

# One line of alternatives per phase of each script: `kind/fact`.
CAPTIONS: dict[str, tuple[str, ...]] = {
    "Fighting/shove": (
        "{a} and {b} [shove|push] each other {place}.",
        "{a} [pushes|shoves] {b} {place}, who [pushes|shoves] back.",
        "[A quarrel starts|Two people quarrel] {place}: {a} [shoves|pushes] {b}.",
    ),
    "Fighting/punch": (
        "{a} and {b} [punch each other|trade punches|hit each other with their fists] {place}.",
        "[A fist fight is going on|Two people are fighting] {place}: {a} [punches|hits] {b}, who [strikes|hits] back.",
    ),
    "Fighting/down": (
        "{b} [falls to|is knocked to|goes down on] the ground {place}, {a} [kicks|keeps kicking] and [runs "
        "away|runs off].",
        "{a} knocks down {b} {place} and [flees|runs away].",
    ),
    "Arrest/stop": (
        "{n} [stop|surround|run up to] {a} {place}, who [raises both hands|puts the hands up].",
        "{a} [raises the hands|holds both hands up] {place} as {n} [point at the suspect|come up and shout].",
    ),
    "Arrest/cuff": (
        "{a} kneels on the ground {place} and is [handcuffed|put in handcuffs] by {n}.",
        "{n} [handcuff|put handcuffs on] {a}, who kneels {place}.",
    ),
    "Arrest/lead": (
        "{n} [lead|take|march] {a} away in handcuffs.",
        "{a} is [led away|taken away|marched off] by {n}, hands behind the back.",
    ),
    "Robbery/threat": (
        "{a} [points|aims] a [gun|pistol] at {b} {place}, who [raises both hands|puts the hands up].",
        "{b} [stands with raised hands|holds the hands up] {place} in front of {a} with a [gun|pistol].",
    ),
    "Robbery/hand over": (
        "{b} [hands over|gives up] a {bag} to {a}, who [keeps aiming|holds a gun].",
        "At gunpoint {b} [gives|hands] a {bag} to {a}.",
    ),
    "Robbery/flee": (
        "{a} [runs away|flees|runs off] with the {bag}, {b} [stays behind|is left behind].",
        "With the {bag} in the hand {a} [runs out of the picture|makes off] while {b} [calls for help|looks on].",
    ),
    "Shooting/aim": (
        "{a} [draws a gun|pulls out a pistol] and [aims|points it] at {b} {place}.",
        "{b} and another person [raise|put up] their hands {place} as {a} [aims|points] a [gun|pistol] at them.",
    ),
    "Shooting/fire": (
        "{a} [fires|shoots] [several times|again and again] {place}, {b} [falls|drops to the ground] and another "
        "person [flees|runs].",
        "[Muzzle flashes are seen|Shots are fired] {place}: {a} [shoots|guns down] {b}.",
    ),
    "Shooting/lie": (
        "{b} lies [on the ground|motionless] {place} after the shots, {a} [runs away|flees].",
        "The shooter [flees|runs off]; {b} [lies|is left lying] on the ground {place}.",
    ),
    "Shoplifting/take": (
        "{a} [takes|grabs] [several|one after another] {goods} items from the shelf and [hides|puts] them under "
        "the coat.",
        "{a} [stands|waits] {place}, takes {goods} goods and [slips|stuffs] them [under the clothes|inside the coat].",
    ),
    "Shoplifting/hide": (
        "{a} [hides the goods|stuffs the goods away] and [looks around|turns to look about].",
        "{a} [tucks in|conceals] the last of the {goods} goods {place} and [glances around|checks who is watching].",
    ),
    "Shoplifting/leave": (
        "{a} [leaves|walks out|goes out] past the till without paying, the shelf has gaps.",
        "Without paying {a} [leaves the shop|heads out], [empty places|gaps] are left on the shelf.",
    ),
    "Stealing/take": (
        "{a} [picks up|grabs|takes] a {bag} from the ground {place} while {b} [looks away|is on the phone].",
        "Behind the back of {b}, {a} [bends down and takes|snatches] a {bag} {place}.",
    ),
    "Stealing/flee": (
        "{a} [runs away|runs off|flees] with the stolen {bag}, {b} [waves|throws up the arms].",
        "With the {bag} in the hand {a} [makes off|runs], {b} [notices it too late|shouts].",
    ),
    "Stealing/chase": (
        "{b} [runs after|chases] the thief who took the {bag}.",
        "The owner of the {bag}, {b}, [runs after|pursues] the thief.",
    ),
    "Stealing/miss": (
        "{b} [comes back to|stands at] the empty spot {place} and [throws up the arms|waves in despair].",
        "The {bag} is gone: {b} [looks for it|searches] {place} and [waves|raises the arms].",
    ),
    "Vandalism/spray": (
        "{a} [sprays|starts to spray] {paint} paint on the wall {place}.",
        "[{paint} lines|The first {paint} letters] appear on the wall as {a} sprays {place}.",
    ),
    "Vandalism/letters": (
        "{a} [covers|keeps covering] the wall with large {paint} [graffiti|letters].",
        "Large {paint} [graffiti|letters] grow on the wall {place} under the spray can of {a}.",
    ),
    "Vandalism/painted": (
        "{a} [runs away|runs off] and leaves [the wall covered in|a wall with] {paint} [graffiti|letters].",
        "The wall is [covered in|smeared with] {paint} graffiti, {a} [flees|runs].",
    ),
    "Vandalism/swing": (
        "{a} [swings a bat at|strikes with a bat at|hits with a bat] a {thing} {place}.",
        "With a [bat|club] {a} [beats on|hits] a {thing} {place}.",
    ),
    "Vandalism/break": (
        "The {thing} [breaks|is smashed] under the bat of {a}, glass [flies|falls to the ground].",
        "{a} [smashes|shatters] the glass of the {thing} with a bat.",
    ),
    "Vandalism/broken": (
        "{a} [runs away|flees] and leaves the {thing} with broken glass.",
        "The glass of the {thing} is [broken|smashed], {a} [runs off|runs] with the bat.",
    ),
    "Arson/pour": (
        "{a} [pours|empties] [fuel|a liquid] from a red can over a {thing} {place}.",
        "With a red can {a} [douses|wets] a {thing} {place}.",
    ),
    "Arson/light": (
        "{a} [sets fire to|lights] the {thing} and [runs away|runs off], the flames grow.",
        "A fire [grows|spreads] on the {thing} {place} after {a} [crouches|bends down] and lights it.",
    ),
    "Arson/burn": (
        "The {thing} [burns|is in flames] {place}, [dark|black] smoke rises.",
        "[High flames|A large fire] and [dark|black] smoke [come from|rise from] the {thing}.",
    ),
    "Explosion/blast": (
        "A {thing} [explodes|blows up] {place} [in a ball of fire|with a bright flash], people [stagger|are "
        "thrown back].",
        "[A ball of fire|A huge flash] [rises from|bursts out of] a {thing} {place}, [debris flies|pieces fly about].",
    ),
    "Explosion/flee": (
        "People [run away|flee] from the burning {thing}, [black|thick] smoke rises.",
        "After the blast the {thing} [burns|is on fire] {place} and people [flee|run away].",
    ),
    "Explosion/burn": (
        "The [wreck|remains] of the {thing} [burns out|burns] {place} under [black|dark] smoke.",
        "[The flames go down|The fire dies down] over the [burnt|black] {thing}.",
    ),
    "RoadAccidents/hit": (
        "A {car} [hits|runs into|knocks down] {a} {place}.",
        "{a} [steps onto the lane|crosses the lane] and is [hit|knocked down] by a {car}.",
    ),
    "RoadAccidents/lie": (
        "{a} lies [on the ground|on the asphalt] in front of a [damaged|crumpled] {car}, people [run up|hurry there].",
        "The {car} [stands|has stopped] with a crumpled front, {a} lies before it.",
    ),
    "RoadAccidents/help": (
        "Two people [look after|help] {a}, who lies in front of the {car}.",
        "[Helpers|Passers-by] [stand|wait] beside {a}, lying on the ground by the {car}.",
    ),
    "RoadAccidents/crash": (
        "A {car} [crashes into|runs into|hits] the back of a {other} {place}.",
        "A {other} [stands|waits] {place} and is [hit|rammed] from behind by a {car}.",
    ),
    "RoadAccidents/stand": (
        "The {car} with a crumpled front and the {other} [stand|block the way] {place}, [smoke|steam] rises.",
        "[Steam|White smoke] rises from the crumpled {car} behind the {other}.",
    ),
    "RoadAccidents/gather": (
        "People [gather|stand] around the two damaged cars, a {car} and a {other}.",
        "[Passers-by|Two people] [look at|stand beside] the crumpled {car} and the dented {other}.",
    ),
    "hug/hug": ("{a} and {b} [hug|embrace] {place}.", "{a} [greets and hugs|embraces] {b} {place}."),
    "hug/talk": ("{a} [talks|chats] with {b} {place}.", "{a} and {b} [chat|talk in a friendly way] {place}."),
    "dance/dance": (
        "{a} and {b} [dance|jump about] {place} with their arms up.",
        "{a} and {b} [play around|dance for fun] {place}, [waving|raising] their arms.",
    ),
    "dance/rest": (
        "{a} and {b} [stop dancing|calm down] and [talk|chat] {place}.",
        "After a dance {a} [talks to|chats with] {b}.",
    ),
    "directions/ask": (
        "{a} [asks a police officer the way|talks to a police officer] {place}.",
        "A police officer [listens to|is asked something by] {a} {place}.",
    ),
    "directions/point": (
        "A police officer [points the way|shows the direction] to {a} {place}.",
        "{a} [is shown the way|gets directions] by a police officer {place}.",
    ),
    "delivery/hand over": (
        "{a} [hands|gives] a parcel to {b} {place}.",
        "{b} [receives|takes] a parcel from {a} {place}.",
    ),
    "delivery/part": (
        "{b} [walks away|leaves] with the parcel, {a} [goes too|leaves too].",
        "After the delivery {a} and {b} [part|walk off], {b.} with a parcel.",
    ),
    "photo/pose": (
        "{a} [takes pictures|takes photos] of {b} and another person {place}, the flash lights up.",
        "{b} and a friend [pose|stand still] {place} for {a} with a camera.",
    ),
    "photo/thank": (
        "{a} [puts the camera away|lowers the camera] and talks to {b} {place}.",
        "The photos are done, {a} [chats|talks] with {b}.",
    ),
    "purchase/pick": (
        "{a} [takes goods|picks something] from the shelf and puts it in a basket.",
        "With a red basket {a} [shops|picks goods] {place}.",
    ),
    "purchase/pay": (
        "{a} [pays|pays for the goods] at the till, the clerk [hands over|gives] a {bag}.",
        "At the counter the clerk [serves|takes the money of] {a} and packs a {bag}.",
    ),
    "purchase/go": (
        "{a} [leaves|walks out] with a {bag} after paying.",
        "With a paid {bag} {a} [leaves the shop|goes out].",
    ),
    "browse/look": (
        "{a} [takes something {goods} from the shelf|picks a {goods} item] and looks at it.",
        "{a} [looks at|reads the label of] a {goods} item {place}.",
    ),
    "browse/put back": (
        "{a} [puts the {goods} item back|returns the {goods} item] on the shelf.",
        "The {goods} item goes back on the shelf, {a} [moves on|buys nothing].",
    ),
    "rest/wait": (
        "{a} [puts down|sets down] a {bag} {place} and [uses the phone|makes a call] beside it.",
        "A {bag} stands on the ground {place} next to {a}, who is on the phone.",
    ),
    "rest/pick up": (
        "{a} [picks up|takes up] the {bag} again and [walks on|goes on].",
        "{a} [takes back|lifts] the {bag} put down before and [leaves|walks away].",
    ),
    "fetch/bring": (
        "{a} [picks up|lifts] a {bag} and [brings|carries] it to its owner, {b}.",
        "{a} [fetches|carries] a {bag} over to {b} {place}.",
    ),
    "fetch/give": (
        "{a} [hands|gives] the {bag} to its owner, {b}.",
        "{b} [gets back|receives] the {bag} from {a} {place}.",
    ),
    "poster/begin": (
        "{a} [starts to put up|puts up] a {paint} poster on the wall {place}.",
        "{a} [works|is busy] at the wall {place}, a {paint} poster [appears|goes up].",
    ),
    "poster/go on": (
        "{a} [smooths|finishes] a {paint} poster on the wall.",
        "A {paint} poster [hangs|is put up] on the wall, {a} [presses it flat|smooths it].",
    ),
    "cleaning/begin": (
        "{a} [cleans|wipes] a window {place} with a cloth.",
        "A window {place} is [cleaned|wiped] by {a}.",
    ),
    "cleaning/go on": (
        "{a} [goes on wiping|keeps cleaning] the window {place}.",
        "With a white cloth {a} [wipes|finishes] the glass.",
    ),
    "barbecue/cook": (
        "{a} [tends|cooks at] a grill with a small fire {place}.",
        "A small fire burns steadily in a grill {place}, {a} [cooks|stands beside it].",
    ),
    "barbecue/guest": (
        "{b} [comes to eat|joins] at the grill of {a} {place}.",
        "{a} cooks on a grill {place} and [talks with|serves] {b}.",
    ),
    "trash/drop": (
        "{a} [drops|throws] a {bag} into a {thing} {place}.",
        "A {bag} is [thrown|put] into a {thing} by {a}.",
    ),
    "trash/shoe": (
        "{a} [crouches|squats] beside the {thing} to tie a shoe.",
        "Next to a {thing} {a} [ties a shoe|crouches for a moment].",
    ),
    "headlights/flash": (
        "A {car} stops {place} and [flashes its headlights|dazzles the camera with its headlights].",
        "The headlights of a {car} [glare|flash] into the camera {place}.",
    ),
    "headlights/drive on": (
        "After flashing its lights the {car} [drives on|moves on].",
        "The {car} [waits a little|stands a while], flashes and [drives on|leaves].",
    ),
    "steam/rise": (
        "White steam [rises|comes] from a drain {place}, {a} [walks round it|waits].",
        "A drain {place} [lets out|gives off] white steam near {a}.",
    ),
    "steam/thin out": (
        "The steam over the drain {place} [thins out|becomes less].",
        "White steam [drifts away|fades] {place}, people [walk by|pass].",
    ),
    "crossing/brake": (
        "A {car} [brakes|stops] {place} for {a}, who crosses.",
        "{a} crosses {place} while a {car} [waits|gives way].",
    ),
    "crossing/drive on": (
        "{a} [reaches the other side|has crossed], the {car} [drives on|moves on].",
        "The {car} [starts again|goes on] after {a} has crossed.",
    ),
    "pickup/stop": (
        "A {car} stops {place} and {a} [walks up to it|talks to the driver].",
        "{a} [goes to|waits by] a {car} that has stopped {place}.",
    ),
    "pickup/part": (
        "{a} [leaves|says goodbye to] the {car}, which drives on.",
        "The {car} [drives on|leaves] after {a} has talked to the driver.",
    ),
    "ambient/nobody no cars": (
        "[Nothing moves|Nobody is around] {place}.",
        "[The picture is still|It is quiet]: {place} nobody passes.",
    ),
    "ambient/nobody cars": (
        "[Cars pass|Traffic goes by] {place}, nobody walks.",
        "Only [cars|vehicles] [drive|move] {place}.",
    ),
    "ambient/people no cars": (
        "[People walk by|A few people pass] {place}.",
        "[Passers-by cross|Some people go through] the picture {place}.",
    ),
    "ambient/people cars": (
        "[People walk by|Some people pass] and cars drive {place}.",
        "[Ordinary traffic|The usual traffic]: cars and passers-by {place}.",
    ),
    "ambient/crowd no cars": (
        "[Many people|Groups of people] [walk by|pass] {place}.",
        "It is busy {place}: [many people|groups of people] [come and go|pass].",
    ),
    "ambient/crowd cars": (
        "[Many people|Groups of people] walk by and cars [pass|drive] {place}.",
        "It is busy {place}, with [many people|groups] and cars.",
    ),
}
