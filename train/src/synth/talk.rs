//! Conversations for supervised fine-tuning.
//!
//! The idea: they teach the *form* (a question calls for one statement, numbers call for the tool), not the knowledge, so
//! they ask about the subjects that are not held out and leave the rest to the test. Held-out subjects appear by name only. Next: `questions.rs`.

use super::conversation::{Content, Conversation};
use super::identity;
use super::letters::{self, Letters};
use super::questions::{Answers, Kind};
use super::rng::{Deck, Rng};
use super::sums::{self, Split, Sum};
use super::world::{Fact, Subject, Topic, World};
use std::collections::BTreeMap;

/// One turn: what the user says, what the assistant answers.
type Turn = (String, Content);

/// Writes conversations; the deck of facts sees to equal exposure.
pub(super) struct Talker<'a> {
    seed: u64,
    letters: &'a Letters,
    rng: Rng,
    people: Vec<&'a Subject>,
    known: Vec<&'a Subject>,
    names: Deck,
    facts: Vec<(&'a Subject, &'a Fact)>,
    deck: Deck,
    /// Indices into `facts` by relation, so that a relation of few subjects is asked about as often as one of many.
    relations: Vec<Vec<usize>>,
    words: Deck,
    /// The answers given so far: what a baseline may know.
    pub answers: Answers,
}

impl<'a> Talker<'a> {
    /// A talker with its own stream of random numbers.
    pub fn new(world: &'a World, letters: &'a Letters, stream: u64) -> Self {
        let open = || world.subjects.iter().filter(|s| !s.held_out);
        let facts: Vec<_> = open().flat_map(|s| s.facts.iter().map(move |f| (s, f))).collect();
        let mut by_relation: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (i, (_, fact)) in facts.iter().enumerate() {
            by_relation.entry(fact.relation.name).or_default().push(i);
        }
        let known: Vec<&Subject> = world.subjects.iter().filter(|s| s.topic != Topic::Science).collect();
        Talker {
            seed: world.seed,
            letters,
            rng: Rng::new(world.seed, stream),
            people: world.of(Topic::Person),
            names: Deck::new(known.len()),
            known,
            deck: Deck::new(facts.len()),
            facts,
            relations: by_relation.into_values().collect(),
            words: Deck::new(letters.words.len()),
            answers: Answers::new(),
        }
    }

    /// The next conversation.
    pub fn write(&mut self) -> Conversation {
        let turns = match self.rng.below(100) {
            0..=39 => vec![self.fact()],
            40..=50 => vec![self.plain_sum()],
            51..=63 => vec![self.story_sum()],
            64..=71 => vec![self.count()],
            72..=76 => vec![self.spell()],
            77..=79 => vec![text(identity::identity(&mut self.rng))],
            80..=82 => vec![text(identity::small_talk(&mut self.rng))],
            83..=89 => vec![self.acquaintance()],
            90..=93 => self.interview(),
            _ => self.mixed(),
        };
        Conversation::of(turns)
    }

    /// A question about a fact: every fact gets its turn, and every relation gets extra ones.
    fn fact(&mut self) -> Turn {
        let index = match self.rng.chance(40) {
            true => {
                let relation = self.rng.below(self.relations.len());
                self.rng.pick(&self.relations[relation])
            }
            false => self.deck.deal(&mut self.rng),
        };
        let (subject, fact) = self.facts[index];
        self.ask(subject, fact, fact.relation.questions)
    }

    fn note(&mut self, kind: Kind, topic: &str, answer: &str) {
        let topic = self.answers.entry((kind, topic.to_string())).or_default();
        *topic.entry(answer.to_string()).or_default() += 1;
    }

    fn ask(&mut self, subject: &Subject, fact: &Fact, questions: &[&str]) -> Turn {
        self.note(Kind::Facts, fact.relation.name, &fact.value);
        let template = self.rng.pick(questions);
        text((subject.say(fact, template), subject.say(fact, fact.relation.reply_to(template))))
    }

    fn plain_sum(&mut self) -> Turn {
        let sum = Sum::draw(&mut self.rng, self.seed, Split::Train, true);
        self.note(Kind::Arithmetic, "plain", &sum.result().to_string());
        let (question, reply) = sums::plain_question(&mut self.rng, sum);
        (question, Content::computed(sum.expression(), sum.result().to_string(), reply))
    }

    fn story_sum(&mut self) -> Turn {
        let sum = Sum::draw(&mut self.rng, self.seed, Split::Train, false);
        self.note(Kind::Arithmetic, "word_problem", &sum.result().to_string());
        let told = sums::word_problem(&mut self.rng, sum, &self.people);
        let content = Content::computed(sum.expression(), sum.result().to_string(), told.reply);
        (format!("{} {}", told.text, told.question), content)
    }

    fn count(&mut self) -> Turn {
        loop {
            let word = self.letters.words[self.words.deal(&mut self.rng)];
            if let Some(letter) = self.letters.letter(&mut self.rng, word, Split::Train) {
                let question = self.one_of(letters::count_questions(word, letter));
                let (expression, count) =
                    (letters::count_expression(word, letter), letters::count(word, letter));
                self.note(Kind::Counting, "count", &count.to_string());
                let reply = letters::count_reply(word, letter);
                return (question, Content::computed(expression, count.to_string(), reply));
            }
        }
    }

    fn spell(&mut self) -> Turn {
        loop {
            let word = self.letters.words[self.words.deal(&mut self.rng)];
            if self.letters.spelling_split(word) == Split::Train {
                self.note(Kind::Spelling, "spell", &letters::spelled(word));
                let question = self.one_of(letters::spell_questions(word));
                return text((question, letters::spell_reply(word)));
            }
        }
    }

    fn one_of(&mut self, mut phrasings: Vec<String>) -> String {
        phrasings.swap_remove(self.rng.below(phrasings.len()))
    }

    fn acquaintance(&mut self) -> Turn {
        let subject = self.known[self.names.deal(&mut self.rng)];
        text(identity::acquaintance(&mut self.rng, subject))
    }

    /// Two or three questions about one subject, the later ones with a pronoun.
    fn interview(&mut self) -> Vec<Turn> {
        loop {
            let (subject, first) = self.facts[self.deck.deal(&mut self.rng)];
            let mut rest: Vec<&Fact> =
                subject.facts.iter().filter(|f| f.relation.name != first.relation.name).collect();
            rest.retain(|f| !f.relation.follow_up.is_empty());
            if rest.is_empty() {
                continue;
            }
            self.rng.shuffle(&mut rest);
            rest.truncate(self.rng.between(1, 2) as usize);
            let mut turns = vec![self.ask(subject, first, first.relation.questions)];
            turns.extend(rest.into_iter().map(|f| self.ask(subject, f, f.relation.follow_up)));
            return turns;
        }
    }

    /// A greeting, then unrelated questions, sometimes thanks.
    fn mixed(&mut self) -> Vec<Turn> {
        let mut turns = Vec::new();
        if self.rng.chance(50) {
            turns.push(text(identity::small_talk(&mut self.rng)));
        }
        for _ in 0..self.rng.between(1, 2) {
            let turn = match self.rng.below(5) {
                0 | 1 => self.fact(),
                2 => self.plain_sum(),
                3 => self.story_sum(),
                _ => text(identity::identity(&mut self.rng)),
            };
            turns.push(turn);
        }
        turns
    }
}

fn text((question, answer): (String, String)) -> Turn {
    (question, Content::Text(answer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conversations_never_tell_a_fact_of_a_held_out_subject() {
        let (world, letters) = (World::new(1), Letters::new(1));
        let mut talker = Talker::new(&world, &letters, 1);
        let all: Vec<String> =
            (0..6000).flat_map(|_| talker.write().messages).map(|m| m.content.plain()).collect();
        let has = |text: &str, word: &str| text.split(|c: char| !c.is_alphanumeric()).any(|w| w == word);
        let mut named = 0;
        for subject in world.subjects.iter().filter(|s| s.held_out && s.topic != Topic::Animal) {
            for text in all.iter().filter(|t| has(t, &subject.name)) {
                named += 1;
                let told = subject.facts.iter().find(|f| has(text, &f.value));
                assert!(told.is_none(), "{text}");
            }
        }
        assert!(named > 100, "held-out names are at least spoken: {named}");
    }
}
