//! The world: who lives where, and which facts may be asked in training.
//!
//! The idea: everything a document or question can say is a [`Fact`] of a [`Subject`], and all texts are made from this one
//! table, so they cannot contradict each other. People and towns get their facts dealt anew for every seed; nature stays
//! true. Part of the subjects is *held out*: documents tell all about them, conversations never ask, the test does.
//! Next: `phrasebook.rs` (how a fact is said), `documents.rs`, `questions.rs`.

use super::lexicon::{FOODS, GOODS, JOBS, MEN, PETS, REGIONS, RIVERS, TOWNS, WOMEN};
use super::nature::{ANIMALS, CAPITALS, COLOURS, DAYS, ELEMENTS, MATERIALS, MONTHS, OPPOSITES, PLANETS};
use super::phrase::Slots;
use super::phrasebook::{
    CAPITAL, CLASS, COLOUR, DIET, FAMOUS, FOOD, HABITAT, HOME, JOB, LEGS, MADE_FROM, NEXT, OPPOSITE, ORDER,
    PET, REGION, RIVER, Relation, SOUND, SYMBOL, TOMORROW,
};
use super::rng::{Deck, Rng};

/// What a subject is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Topic {
    /// A person of the invented world.
    Person,
    /// A town of the invented world.
    Town,
    /// A real animal.
    Animal,
    /// A real country, never held out.
    Country,
    /// Materials, elements, planets, opposites, colours, days: few answers each, never held out.
    Science,
}

/// `relation` holds between the subject and `value`.
#[derive(Clone, Debug)]
pub struct Fact {
    /// What kind of fact.
    pub relation: &'static Relation,
    /// The answer.
    pub value: String,
}

/// Somebody or something with facts.
#[derive(Clone, Debug)]
pub struct Subject {
    /// What it is.
    pub topic: Topic,
    /// Its name, unique within its topic and relation.
    pub name: String,
    /// The name in the plural (animals; elsewhere the name itself).
    pub plural: String,
    /// `he`, `she`, `it`, `they`.
    pub pronoun: &'static str,
    /// True when only documents speak of it and only the test asks.
    pub held_out: bool,
    /// All that is known.
    pub facts: Vec<Fact>,
}

impl Subject {
    fn new(topic: Topic, name: &str, pronoun: &'static str, facts: Vec<Fact>) -> Self {
        Subject { topic, name: name.to_string(), plural: name.to_string(), pronoun, held_out: false, facts }
    }

    /// The slots `s p he his him`.
    pub fn slots(&self) -> Slots {
        let (his, him) = match self.pronoun {
            "he" => ("his", "him"),
            "she" => ("her", "her"),
            "they" => ("their", "them"),
            _ => ("its", "it"),
        };
        let slots = Slots::new().with("s", &self.name).with("p", &self.plural);
        slots.with("he", self.pronoun).with("his", his).with("him", him)
    }

    /// The value of a relation, empty when nothing is said.
    pub fn value(&self, relation: &Relation) -> &str {
        self.facts.iter().find(|f| f.relation.name == relation.name).map_or("", |f| &f.value)
    }

    /// A template of the phrase book about one of its facts, filled.
    pub fn say(&self, fact: &Fact, template: &str) -> String {
        self.slots().with("v", &fact.value).fill(template)
    }
}

fn fact(relation: &'static Relation, value: impl ToString) -> Fact {
    Fact { relation, value: value.to_string() }
}

/// Sizes of the invented part.
const PEOPLE: usize = 140;
const TOWN_COUNT: usize = 40;

/// The table that all texts are made from.
#[derive(Clone, Debug)]
pub struct World {
    /// The seed it was dealt from.
    pub seed: u64,
    /// People, towns, animals, countries, science, in this order.
    pub subjects: Vec<Subject>,
}

impl World {
    /// Deals the world of a seed.
    pub fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed, 1);
        let towns = shuffled(&mut rng, TOWNS, TOWN_COUNT);
        let mut subjects = people(&mut rng, &towns);
        subjects.extend(town_subjects(&mut rng, &towns));
        subjects.extend(nature());
        hold_out(&mut rng, &mut subjects);
        World { seed, subjects }
    }

    /// The subjects of one topic.
    pub fn of(&self, topic: Topic) -> Vec<&Subject> {
        self.subjects.iter().filter(|s| s.topic == topic).collect()
    }

    /// All values of a relation, sorted, each once: the candidates of a multiple-choice guess.
    pub fn values(&self, relation: &Relation) -> Vec<String> {
        let facts = self.subjects.iter().flat_map(|s| &s.facts);
        let mut values: Vec<String> =
            facts.filter(|f| f.relation.name == relation.name).map(|f| f.value.clone()).collect();
        values.sort();
        values.dedup();
        values
    }
}

/// The first `n` of a shuffled copy.
fn shuffled<'a>(rng: &mut Rng, words: &[&'a str], n: usize) -> Vec<&'a str> {
    let mut words = words.to_vec();
    rng.shuffle(&mut words);
    words.truncate(n);
    words
}

/// People, women and men in turn. Values are dealt from decks: each town, job, pet and food is equally common, so guessing the
/// commonest answer does not pay.
fn people(rng: &mut Rng, towns: &[&str]) -> Vec<Subject> {
    let women = shuffled(rng, WOMEN, PEOPLE / 2);
    let men = shuffled(rng, MEN, PEOPLE / 2);
    let mut deal_home = dealer(towns);
    let (mut deal_job, mut deal_pet, mut deal_food) = (dealer(JOBS), dealer(PETS), dealer(FOODS));
    let mut subjects = Vec::with_capacity(PEOPLE);
    for (woman, man) in women.iter().zip(&men) {
        for (name, pronoun) in [(*woman, "she"), (*man, "he")] {
            let facts = vec![
                fact(&HOME, deal_home(rng)),
                fact(&JOB, deal_job(rng)),
                fact(&PET, deal_pet(rng)),
                fact(&FOOD, deal_food(rng)),
            ];
            subjects.push(Subject::new(Topic::Person, name, pronoun, facts));
        }
    }
    subjects
}

fn town_subjects(rng: &mut Rng, towns: &[&str]) -> Vec<Subject> {
    let (mut deal_region, mut deal_river, mut deal_goods) = (dealer(REGIONS), dealer(RIVERS), dealer(GOODS));
    let mut subject = |name: &&str| {
        let facts = vec![
            fact(&REGION, deal_region(rng)),
            fact(&RIVER, deal_river(rng)),
            fact(&FAMOUS, deal_goods(rng)),
        ];
        Subject::new(Topic::Town, name, "it", facts)
    };
    towns.iter().map(&mut subject).collect()
}

/// A function that deals the values of a list in shuffled rounds.
fn dealer<'a>(values: &'a [&'a str]) -> impl FnMut(&mut Rng) -> &'a str {
    let mut deck = Deck::new(values.len());
    move |rng| values[deck.deal(rng)]
}

/// Everything that is true outside the invented world.
fn nature() -> Vec<Subject> {
    let mut subjects: Vec<Subject> = ANIMALS.iter().map(animal).collect();
    let science = |name: &str, facts| Subject::new(Topic::Science, name, "it", facts);
    subjects
        .extend(CAPITALS.iter().map(|[c, v]| Subject::new(Topic::Country, c, "it", vec![fact(&CAPITAL, v)])));
    subjects.extend(MATERIALS.iter().map(|[s, v]| science(s, vec![fact(&MADE_FROM, v)])));
    subjects.extend(ELEMENTS.iter().map(|[s, v]| science(s, vec![fact(&SYMBOL, v)])));
    subjects.extend(PLANETS.iter().map(|[s, v]| science(s, vec![fact(&ORDER, v)])));
    subjects.extend(
        OPPOSITES
            .iter()
            .flat_map(|[a, b]| [science(a, vec![fact(&OPPOSITE, b)]), science(b, vec![fact(&OPPOSITE, a)])]),
    );
    subjects
        .extend(COLOURS.iter().map(|[s, v]| Subject::new(Topic::Science, s, "they", vec![fact(&COLOUR, v)])));
    let after = |list: &[&str], i: usize, n: usize| list[(i + n) % list.len()].to_string();
    subjects.extend(
        (0..DAYS.len()).map(|i| {
            science(DAYS[i], vec![fact(&NEXT, after(DAYS, i, 1)), fact(&TOMORROW, after(DAYS, i, 2))])
        }),
    );
    subjects.extend((0..MONTHS.len()).map(|i| science(MONTHS[i], vec![fact(&NEXT, after(MONTHS, i, 1))])));
    subjects
}

fn animal(row: &[&str; 7]) -> Subject {
    let relations = [&HABITAT, &DIET, &CLASS, &LEGS, &SOUND];
    let cells = relations.into_iter().zip(&row[2..]).filter(|(_, value)| !value.is_empty());
    let facts = cells.map(|(relation, value)| fact(relation, value)).collect();
    Subject { plural: row[1].to_string(), ..Subject::new(Topic::Animal, row[0], "it", facts) }
}

/// Marks every second person and town and every fourth animal, chosen by the seed.
fn hold_out(rng: &mut Rng, subjects: &mut [Subject]) {
    for (topic, one_in) in [(Topic::Person, 2), (Topic::Town, 2), (Topic::Animal, 4)] {
        let mut members: Vec<&mut Subject> = subjects.iter_mut().filter(|s| s.topic == topic).collect();
        rng.shuffle(&mut members);
        let held = members.len() / one_in;
        members.into_iter().take(held).for_each(|s| s.held_out = true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn the_same_seed_gives_the_same_world_and_another_seed_another() {
        let table = |seed| format!("{:?}", World::new(seed).subjects);
        assert_eq!(table(1), table(1));
        assert_ne!(table(1), table(2));
    }

    #[test]
    fn nature_is_the_same_in_all_worlds() {
        let animals = |seed| {
            let world = World::new(seed);
            let all = world.of(Topic::Animal).iter().flat_map(|s| s.facts.clone()).collect::<Vec<_>>();
            all.into_iter().map(|f| f.value).collect::<Vec<_>>()
        };
        assert_eq!(animals(1), animals(2));
    }

    #[test]
    fn names_are_unique_within_a_relation() {
        let world = World::new(5);
        let mut seen = HashSet::new();
        for subject in &world.subjects {
            for fact in &subject.facts {
                assert!(seen.insert((fact.relation.name, subject.name.clone())), "{} twice", subject.name);
            }
        }
    }

    #[test]
    fn no_value_is_much_more_common_than_the_others() {
        let world = World::new(5);
        for relation in [&HOME, &JOB, &PET, &FOOD, &REGION, &RIVER, &FAMOUS] {
            let values = world.values(relation);
            let count = |v: &String| world.subjects.iter().filter(|s| s.value(relation) == v).count();
            let (low, high) = (values.iter().map(count).min(), values.iter().map(count).max());
            assert!(high <= low.map(|n| n + 1), "{}: {low:?} to {high:?}", relation.name);
        }
    }
}
