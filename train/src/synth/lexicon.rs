//! The words of the world: names of people and places, jobs, food, things.
//!
//! The lists are closed and short so that a small vocabulary covers them with whole tokens, and no word stands in two lists
//! whose values could be confused in one answer (a test checks it). Next: `world.rs`, which deals them to people and towns.

/// Names for women; each first name is used for one person only.
pub(super) const WOMEN: &[&str] = &[
    "Ada", "Alma", "Amy", "Anna", "Bella", "Betty", "Carla", "Celia", "Clara", "Cora", "Daisy", "Dana",
    "Diana", "Dora", "Edith", "Ella", "Emma", "Erica", "Eva", "Fanny", "Flora", "Freya", "Gina", "Greta",
    "Hanna", "Helen", "Hilda", "Ida", "Ines", "Irene", "Jana", "Jenny", "Julia", "Karen", "Kate", "Kira",
    "Laura", "Lena", "Lisa", "Lucy", "Maria", "Marta", "Mia", "Mira", "Nadia", "Nancy", "Nina", "Nora",
    "Olga", "Olive", "Paula", "Petra", "Polly", "Rita", "Rosa", "Ruth", "Sally", "Sara", "Selma", "Sonja",
    "Stella", "Susan", "Tara", "Tessa", "Thea", "Tina", "Uma", "Vera", "Wanda", "Wendy", "Yara", "Yvonne",
    "Zelda", "Zoe",
];

/// Names for men.
pub(super) const MEN: &[&str] = &[
    "Adam", "Albert", "Alex", "Andy", "Anton", "Arne", "Axel", "Ben", "Boris", "Bruno", "Carl", "Cyril",
    "Daniel", "David", "Dennis", "Edgar", "Emil", "Eric", "Ernest", "Felix", "Finn", "Frank", "Fred", "Gary",
    "George", "Gus", "Hans", "Harry", "Hector", "Henry", "Hugo", "Igor", "Ivan", "Jack", "James", "Jim",
    "John", "Jonas", "Karl", "Kevin", "Kurt", "Larry", "Leo", "Louis", "Lukas", "Martin", "Max", "Mike",
    "Nick", "Oliver", "Oscar", "Otto", "Owen", "Paul", "Peter", "Philip", "Ralph", "Robert", "Roland", "Sam",
    "Simon", "Stefan", "Steve", "Theo", "Thomas", "Tim", "Toby", "Tom", "Victor", "Walter", "Xaver", "Yuri",
];

/// Towns.
pub(super) const TOWNS: &[&str] = &[
    "Ashford",
    "Barnsby",
    "Birchley",
    "Bramwick",
    "Cedarby",
    "Clayton",
    "Copperhill",
    "Dalemoor",
    "Dunmere",
    "Eastbury",
    "Elmstead",
    "Fairhaven",
    "Fernhill",
    "Foxbridge",
    "Glenrow",
    "Goldcrest",
    "Harwick",
    "Hazelton",
    "Ironby",
    "Ivywell",
    "Kelmarsh",
    "Kingsport",
    "Larkfield",
    "Lindow",
    "Maplewood",
    "Millbrook",
    "Netherby",
    "Northolt",
    "Oakley",
    "Otterburn",
    "Pinecliff",
    "Quarrydale",
    "Ravenscar",
    "Redwater",
    "Rosehurst",
    "Saltmouth",
    "Stonegate",
    "Thornbury",
    "Umberton",
    "Valemont",
    "Westerby",
    "Whitecombe",
    "Windlesham",
    "Wolfpass",
    "Yarrow",
];

/// Regions, the countries of the invented world.
pub(super) const REGIONS: &[&str] =
    &["Northmark", "Southmark", "Eastreach", "Westland", "Highmoor", "Lowfen", "Midshire", "Farcoast"];

/// Rivers.
pub(super) const RIVERS: &[&str] = &[
    "Alder", "Brill", "Corve", "Derwen", "Esk", "Fallow", "Gannet", "Humble", "Isen", "Kestrel", "Lorne",
    "Mirrow",
];

/// What a town is known for.
pub(super) const GOODS: &[&str] = &[
    "bells", "boats", "candles", "carpets", "clocks", "dolls", "drums", "glass", "gloves", "hats", "kites",
    "knives", "lamps", "mirrors", "paper", "pottery", "roses", "shoes", "silk", "spoons", "swords", "tea",
    "toys", "violins",
];

/// Jobs.
pub(super) const JOBS: &[&str] = &[
    "actor",
    "baker",
    "barber",
    "builder",
    "butcher",
    "carpenter",
    "clerk",
    "cook",
    "dancer",
    "dentist",
    "doctor",
    "driver",
    "engineer",
    "farmer",
    "fisher",
    "gardener",
    "hunter",
    "judge",
    "lawyer",
    "miner",
    "nurse",
    "painter",
    "pilot",
    "plumber",
    "poet",
    "sailor",
    "singer",
    "soldier",
    "tailor",
    "teacher",
    "waiter",
    "writer",
];

/// Pets.
pub(super) const PETS: &[&str] = &[
    "canary", "cat", "dog", "donkey", "ferret", "gecko", "goldfish", "hamster", "mouse", "parrot", "pony",
    "rabbit", "rat", "tortoise",
];

/// Food.
pub(super) const FOODS: &[&str] = &[
    "beans", "bread", "cake", "carrots", "cheese", "cherries", "chicken", "corn", "eggs", "grapes", "honey",
    "melon", "noodles", "pancakes", "pasta", "peas", "pie", "pizza", "potatoes", "rice", "salad", "salmon",
    "soup", "yogurt",
];

/// Things that word problems count.
pub(super) const THINGS: &[&str] = &[
    "apples", "balls", "books", "bottles", "buttons", "cards", "coins", "cookies", "cups", "flowers", "keys",
    "lemons", "marbles", "nuts", "oranges", "pears", "pencils", "plates", "shells", "stamps", "stickers",
    "stones", "tickets", "tomatoes",
];

/// Words for weather and mood in stories.
pub(super) const WEATHER: &[&str] =
    &["cold", "dark", "foggy", "hot", "quiet", "rainy", "snowy", "sunny", "warm", "windy"];

/// Things people lose and find in stories.
pub(super) const TREASURES: &[&str] = &[
    "basket", "blanket", "book", "coat", "coin", "hammer", "key", "ladder", "letter", "map", "picture",
    "ring", "ticket",
];

/// Where lost things turn up.
pub(super) const PLACES: &[&str] = &[
    "behind the door",
    "by the bridge",
    "in the garden",
    "near the well",
    "on the roof",
    "under a tree",
    "under the table",
];

/// More words to spell and to count letters in, beside the animals, jobs, pets and food.
pub(super) const WORDS: &[&str] = &[
    "alphabet",
    "apple",
    "autumn",
    "banana",
    "bottle",
    "bridge",
    "brother",
    "candle",
    "castle",
    "cloud",
    "coffee",
    "computer",
    "dinner",
    "dream",
    "evening",
    "family",
    "father",
    "finger",
    "flower",
    "friend",
    "guitar",
    "hello",
    "house",
    "island",
    "jacket",
    "kitchen",
    "language",
    "letter",
    "library",
    "light",
    "little",
    "market",
    "minute",
    "mirror",
    "money",
    "morning",
    "mother",
    "mountain",
    "music",
    "number",
    "ocean",
    "orange",
    "pencil",
    "picture",
    "pocket",
    "queen",
    "question",
    "rainbow",
    "river",
    "school",
    "secret",
    "silver",
    "sister",
    "spring",
    "stone",
    "strawberry",
    "street",
    "summer",
    "table",
    "tomato",
    "umbrella",
    "village",
    "water",
    "window",
    "winter",
    "wonder",
    "yellow",
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_name_stands_twice() {
        let all: Vec<&str> = [WOMEN, MEN, TOWNS, REGIONS, RIVERS].concat();
        let distinct: HashSet<String> = all.iter().map(|w| w.to_lowercase()).collect();
        assert_eq!(all.len(), distinct.len());
    }

    #[test]
    fn every_word_is_plain_ascii() {
        let lists =
            [WOMEN, MEN, TOWNS, REGIONS, RIVERS, GOODS, JOBS, PETS, FOODS, THINGS, WEATHER, TREASURES, WORDS];
        assert!(lists.concat().iter().all(|w| w.bytes().all(|b| b.is_ascii_alphabetic())));
    }
}
