//! Pretraining documents: the world told in many ways.
//!
//! The idea: what a small model remembers is what it reads often and in different words (Allen-Zhu and Li 2023 show that
//! knowledge seen in one phrasing only cannot be asked for). So each page is about subjects dealt from a deck, states
//! their facts in shuffled order with a random statement each, and the kinds of page overlap: the same fact comes up in
//! profiles, comparisons, town pages, stories and dialogues. Next: `talk.rs` for conversations.

use super::letters::Letters;
use super::phrasebook::{HOME, Relation};
use super::rng::{Deck, Rng};
use super::world::{Fact, Subject, Topic, World};
use super::{identity, stories, sums};

/// The kinds of page and how many of a hundred each gets.
#[derive(Clone, Copy)]
enum Page {
    Profile,
    Comparison,
    Town,
    Animal,
    Country,
    Science,
    Story,
    Dialogue,
    Sums,
    Letters,
    Identity,
}

const MIX: &[(Page, usize)] = &[
    (Page::Profile, 20),
    (Page::Comparison, 9),
    (Page::Town, 12),
    (Page::Animal, 11),
    (Page::Country, 3),
    (Page::Science, 6),
    (Page::Story, 8),
    (Page::Dialogue, 8),
    (Page::Sums, 12),
    (Page::Letters, 9),
    (Page::Identity, 2),
];

/// Writes pages; the decks see to equal exposure.
pub(super) struct Writer<'a> {
    world: &'a World,
    letters: &'a Letters,
    rng: Rng,
    pages: Deck,
    people: Deck,
    towns: Deck,
    animals: Deck,
    countries: Deck,
    science: Deck,
    words: Deck,
}

impl<'a> Writer<'a> {
    /// A writer with its own stream of random numbers.
    pub fn new(world: &'a World, letters: &'a Letters, stream: u64) -> Self {
        let deck = |topic| Deck::new(world.of(topic).len());
        Writer {
            world,
            letters,
            rng: Rng::new(world.seed, stream),
            pages: Deck::new(MIX.iter().map(|(_, share)| share).sum()),
            people: deck(Topic::Person),
            towns: deck(Topic::Town),
            animals: deck(Topic::Animal),
            countries: deck(Topic::Country),
            science: deck(Topic::Science),
            words: Deck::new(letters.words.len()),
        }
    }

    /// The next document.
    pub fn write(&mut self) -> String {
        let mut card = self.pages.deal(&mut self.rng);
        let page = MIX.iter().find(|(_, share)| {
            let here = card < *share;
            card = card.saturating_sub(*share);
            here
        });
        let world = self.world;
        match page.map_or(Page::Identity, |(page, _)| *page) {
            Page::Profile => self.profile(),
            Page::Comparison => self.comparison(),
            Page::Town => self.town(),
            Page::Animal => self.mixed(Topic::Animal),
            Page::Country => self.mixed(Topic::Country),
            Page::Science => self.mixed(Topic::Science),
            Page::Story => {
                let hero = self.people.deal(&mut self.rng);
                stories::story(&mut self.rng, world, hero)
            }
            Page::Dialogue => {
                let speaker = self.people.deal(&mut self.rng);
                let write = if self.rng.chance(50) { stories::interview } else { stories::dialogue };
                write(&mut self.rng, world, speaker)
            }
            Page::Sums => sums::document(&mut self.rng, world),
            Page::Letters => self.letters.document(&mut self.rng, &mut self.words),
            Page::Identity => identity::document(&mut self.rng),
        }
    }

    fn deal(&mut self, topic: Topic) -> &'a Subject {
        let deck = match topic {
            Topic::Person => &mut self.people,
            Topic::Town => &mut self.towns,
            Topic::Animal => &mut self.animals,
            Topic::Country => &mut self.countries,
            Topic::Science => &mut self.science,
        };
        self.world.of(topic)[deck.deal(&mut self.rng)]
    }

    /// One statement of a fact; with a pronoun now and then where the subject has been named.
    fn state(&mut self, subject: &Subject, fact: &Fact, named: bool) -> String {
        let Relation { statements, pronoun, .. } = fact.relation;
        let templates =
            if named && !pronoun.is_empty() && self.rng.chance(25) { pronoun } else { statements };
        subject.say(fact, self.rng.pick(templates))
    }

    /// All facts of a subject in random order.
    fn all_facts(&mut self, subject: &Subject) -> String {
        let mut facts: Vec<&Fact> = subject.facts.iter().collect();
        self.rng.shuffle(&mut facts);
        let lines: Vec<String> =
            facts.into_iter().enumerate().map(|(i, fact)| self.state(subject, fact, i > 0)).collect();
        lines.join(" ")
    }

    /// A person, sometimes told twice in other words.
    fn profile(&mut self) -> String {
        let person = self.deal(Topic::Person);
        let mut text = self.all_facts(person);
        if self.rng.chance(30) {
            text.push('\n');
            text.push_str(&self.all_facts(person));
        }
        text
    }

    /// Two or three people, fact by fact.
    fn comparison(&mut self) -> String {
        let people: Vec<&Subject> = (0..self.rng.between(2, 3)).map(|_| self.deal(Topic::Person)).collect();
        let mut order: Vec<usize> = (0..people[0].facts.len()).collect();
        self.rng.shuffle(&mut order);
        let mut lines = Vec::new();
        for i in order.into_iter().take(3) {
            let row: Vec<String> = people.iter().map(|p| self.state(p, &p.facts[i], false)).collect();
            lines.push(row.join(" "));
        }
        lines.join(if self.rng.chance(50) { "\n" } else { " " })
    }

    /// A town and some who live there.
    fn town(&mut self) -> String {
        let town = self.deal(Topic::Town);
        let mut lines = vec![self.all_facts(town)];
        let mut residents: Vec<&Subject> = self.world.of(Topic::Person);
        residents.retain(|p| p.value(&HOME) == town.name);
        self.rng.shuffle(&mut residents);
        for person in residents.into_iter().take(2) {
            let Some(home) = person.facts.first() else { continue };
            lines.push(self.state(person, home, false));
            if self.rng.chance(50) {
                let other = &person.facts[1 + self.rng.below(person.facts.len() - 1)];
                lines.push(self.state(person, other, true));
            }
        }
        lines.join(" ")
    }

    /// Facts of one or two animals, or each twice of a few countries or things, which have one fact only.
    fn mixed(&mut self, topic: Topic) -> String {
        let animal = topic == Topic::Animal;
        let count = if animal { 1 + self.rng.below(2) } else { 2 + self.rng.below(2) };
        let mut lines = Vec::new();
        for _ in 0..count {
            let subject = self.deal(topic);
            lines.push(self.all_facts(subject));
            if !animal {
                lines.push(self.all_facts(subject));
            }
        }
        lines.join(if self.rng.chance(50) { "\n" } else { " " })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_person_is_written_about_equally_often() {
        let (world, letters) = (World::new(1), Letters::new(1));
        let mut writer = Writer::new(&world, &letters, 1);
        let text: Vec<String> = (0..4000).map(|_| writer.write()).collect();
        let count = |name: &str| text.iter().filter(|t| t.contains(&format!("{name} "))).count();
        let counts: Vec<usize> = world.of(Topic::Person).iter().map(|p| count(&p.name)).collect();
        let (low, high) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
        assert!(*low >= 15 && *high <= 3 * low, "{low} to {high}");
    }
}
