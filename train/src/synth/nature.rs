//! What is true in every world: animals, capitals, materials, planets, opposites, days.
//!
//! Each table row becomes a subject with facts in `world.rs`; the sentences are in `phrasebook.rs`. An empty cell means
//! that nothing is said about it (nobody wants to count the legs of a seal).

/// name, plural, habitat, food, class, legs, sound
pub(super) const ANIMALS: &[[&str; 7]] = &[
    ["ant", "ants", "forest", "seeds", "insect", "six", ""],
    ["bear", "bears", "forest", "berries", "mammal", "four", "growl"],
    ["beaver", "beavers", "river", "bark", "mammal", "four", ""],
    ["bee", "bees", "garden", "nectar", "insect", "six", "buzz"],
    ["butterfly", "butterflies", "garden", "nectar", "insect", "six", ""],
    ["camel", "camels", "desert", "plants", "mammal", "four", ""],
    ["cow", "cows", "farmyard", "grass", "mammal", "four", "moo"],
    ["crocodile", "crocodiles", "river", "meat", "reptile", "four", ""],
    ["deer", "deer", "forest", "leaves", "mammal", "four", ""],
    ["dolphin", "dolphins", "sea", "fish", "mammal", "no", "whistle"],
    ["dragonfly", "dragonflies", "pond", "insects", "insect", "six", ""],
    ["duck", "ducks", "pond", "plants", "bird", "two", "quack"],
    ["eagle", "eagles", "mountains", "meat", "bird", "two", "scream"],
    ["elephant", "elephants", "grassland", "plants", "mammal", "four", "trumpet"],
    ["fox", "foxes", "forest", "mice", "mammal", "four", ""],
    ["frog", "frogs", "pond", "insects", "amphibian", "four", "croak"],
    ["giraffe", "giraffes", "grassland", "leaves", "mammal", "four", ""],
    ["goat", "goats", "mountains", "grass", "mammal", "four", "bleat"],
    ["hen", "hens", "farmyard", "seeds", "bird", "two", "cluck"],
    ["hippo", "hippos", "river", "grass", "mammal", "four", ""],
    ["horse", "horses", "farmyard", "grass", "mammal", "four", "neigh"],
    ["koala", "koalas", "forest", "leaves", "mammal", "four", ""],
    ["lion", "lions", "grassland", "meat", "mammal", "four", "roar"],
    ["lizard", "lizards", "desert", "insects", "reptile", "four", ""],
    ["mole", "moles", "garden", "worms", "mammal", "four", ""],
    ["monkey", "monkeys", "jungle", "fruit", "mammal", "four", "chatter"],
    ["newt", "newts", "pond", "worms", "amphibian", "four", ""],
    ["otter", "otters", "river", "fish", "mammal", "four", ""],
    ["owl", "owls", "forest", "mice", "bird", "two", "hoot"],
    ["panda", "pandas", "mountains", "bamboo", "mammal", "four", ""],
    ["penguin", "penguins", "Antarctic", "fish", "bird", "two", ""],
    ["reindeer", "reindeer", "Arctic", "plants", "mammal", "four", ""],
    ["robin", "robins", "garden", "worms", "bird", "two", "sing"],
    ["scorpion", "scorpions", "desert", "insects", "arachnid", "eight", ""],
    ["seal", "seals", "sea", "fish", "mammal", "", "bark"],
    ["shark", "sharks", "sea", "fish", "fish", "no", ""],
    ["sheep", "sheep", "farmyard", "grass", "mammal", "four", "bleat"],
    ["spider", "spiders", "garden", "insects", "arachnid", "eight", ""],
    ["squirrel", "squirrels", "forest", "nuts", "mammal", "four", ""],
    ["swan", "swans", "pond", "plants", "bird", "two", ""],
    ["tiger", "tigers", "jungle", "meat", "mammal", "four", "roar"],
    ["trout", "trout", "river", "insects", "fish", "no", ""],
    ["wolf", "wolves", "forest", "meat", "mammal", "four", "howl"],
    ["zebra", "zebras", "grassland", "grass", "mammal", "four", ""],
];

/// country, capital
pub(super) const CAPITALS: &[[&str; 2]] = &[
    ["Austria", "Vienna"],
    ["Canada", "Ottawa"],
    ["Chile", "Santiago"],
    ["China", "Beijing"],
    ["Cuba", "Havana"],
    ["Denmark", "Copenhagen"],
    ["Egypt", "Cairo"],
    ["England", "London"],
    ["Finland", "Helsinki"],
    ["France", "Paris"],
    ["Germany", "Berlin"],
    ["Greece", "Athens"],
    ["Hungary", "Budapest"],
    ["Ireland", "Dublin"],
    ["Italy", "Rome"],
    ["Japan", "Tokyo"],
    ["Kenya", "Nairobi"],
    ["Norway", "Oslo"],
    ["Peru", "Lima"],
    ["Poland", "Warsaw"],
    ["Portugal", "Lisbon"],
    ["Russia", "Moscow"],
    ["Spain", "Madrid"],
    ["Sweden", "Stockholm"],
    ["Thailand", "Bangkok"],
    ["Turkey", "Ankara"],
];

/// thing, what it is made from
pub(super) const MATERIALS: &[[&str; 2]] = &[
    ["bread", "flour"],
    ["butter", "cream"],
    ["cheese", "milk"],
    ["chocolate", "cocoa"],
    ["concrete", "cement"],
    ["flour", "wheat"],
    ["glass", "sand"],
    ["ice", "water"],
    ["jam", "fruit"],
    ["leather", "skin"],
    ["paper", "wood"],
    ["steel", "iron"],
    ["wine", "grapes"],
];

/// element, symbol
pub(super) const ELEMENTS: &[[&str; 2]] = &[
    ["carbon", "C"],
    ["copper", "Cu"],
    ["gold", "Au"],
    ["helium", "He"],
    ["hydrogen", "H"],
    ["iron", "Fe"],
    ["oxygen", "O"],
    ["silver", "Ag"],
    ["tin", "Sn"],
    ["zinc", "Zn"],
];

/// planet, place counted from the sun
pub(super) const PLANETS: &[[&str; 2]] = &[
    ["Mercury", "first"],
    ["Venus", "second"],
    ["Earth", "third"],
    ["Mars", "fourth"],
    ["Jupiter", "fifth"],
    ["Saturn", "sixth"],
    ["Uranus", "seventh"],
    ["Neptune", "eighth"],
];

/// Pairs of opposites; each holds in both directions.
pub(super) const OPPOSITES: &[[&str; 2]] = &[
    ["big", "small"],
    ["day", "night"],
    ["early", "late"],
    ["fast", "slow"],
    ["full", "empty"],
    ["happy", "sad"],
    ["hard", "soft"],
    ["high", "low"],
    ["hot", "cold"],
    ["light", "dark"],
    ["long", "short"],
    ["loud", "quiet"],
    ["new", "old"],
    ["open", "closed"],
    ["rich", "poor"],
    ["strong", "weak"],
    ["wet", "dry"],
];

/// thing in the plural, colour
pub(super) const COLOURS: &[[&str; 2]] = &[
    ["bananas", "yellow"],
    ["carrots", "orange"],
    ["cherries", "red"],
    ["clouds", "white"],
    ["lemons", "yellow"],
    ["oranges", "orange"],
    ["peas", "green"],
    ["plums", "purple"],
    ["ravens", "black"],
    ["swans", "white"],
    ["tomatoes", "red"],
];

/// The days of the week, in order.
pub(super) const DAYS: &[&str] =
    &["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// The months, in order.
pub(super) const MONTHS: &[&str] = &[
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
