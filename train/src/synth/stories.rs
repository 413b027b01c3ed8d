//! Stories and dialogues in which the people of the world do things that fit their facts.
//!
//! The idea: a story is a row of sentence slots (opening, work, meeting, trouble, rescue, evening), each with a few
//! templates; all slots are filled from the world's table, so a baker stays a baker. Next: `documents.rs`.

use super::lexicon::{PLACES, TREASURES, WEATHER};
use super::phrase::Slots;
use super::phrasebook::{FAMOUS, FOOD, HOME, JOB, PET, RIVER};
use super::rng::Rng;
use super::world::{Fact, Subject, Topic, World};

const OPENING: &[&str] = &[
    "One {weather} morning {s} left the house in {home}.",
    "It was a {weather} day in {home}, the town where {s} lives.",
    "{s} lives in {home} and woke up early on a {weather} day.",
    "On a {weather} evening {s} walked home through {home}.",
];

const WORK: &[&str] = &[
    "{He} is {a job}, so there was much to do.",
    "As {a job}, {he} had to work hard that day.",
    "{s} works as {a job}, and the day was long.",
    "Everybody in {home} knows {s}, who is {a job}.",
];

const PET_COMES: &[&str] = &[
    "{His} pet, {a pet}, came along.",
    "At home {he} has {a pet}, and it wanted to come too.",
    "{He} also has {a pet} and never forgets to feed it.",
];

const MEETING: &[&str] = &[
    "At the market of {home}, where you can buy {famous}, {he} met {t}, {a tjob} from {thome}.",
    "By the river {river} {he} met {t}, who lives in {thome} and works as {a tjob}.",
    "Then {t} came along, {a tjob} who comes from {thome}.",
];

const TROUBLE: &[&str] = &[
    "{t} had lost {a treasure}.",
    "{t} was looking for {a treasure}.",
    "\"I cannot find my {treasure},\" said {t}.",
    "{s} saw that {a treasure} was missing.",
];

const RESCUE: &[&str] = &[
    "They found the {treasure} {place}.",
    "{s} and {t} looked everywhere, and the {treasure} was {place}.",
    "After a long time {s} saw the {treasure} {place}.",
];

const EVENING: &[&str] = &[
    "In the evening {s} had {food}, {his} favorite food.",
    "They ate together: {s} had {food}, and {t} had {tfood}.",
    "\"Now I want {food},\" said {s}, because {he} loves {food}.",
    "{t} cooked {tfood}, because {t} loves {tfood}.",
];

const ENDING: &[&str] = &[
    "It was a good day.",
    "Then everybody went home.",
    "They were happy.",
    "And so the day came to an end.",
    "",
];

/// Two different people.
fn pair<'a>(rng: &mut Rng, people: &[&'a Subject], first: usize) -> (&'a Subject, &'a Subject) {
    let second = (first + 1 + rng.below(people.len() - 1)) % people.len();
    (people[first], people[second])
}

/// A short story about person number `first` and somebody else.
pub(super) fn story(rng: &mut Rng, world: &World, first: usize) -> String {
    let (s, t) = pair(rng, &world.of(Topic::Person), first);
    let towns = world.of(Topic::Town);
    let town = towns.iter().find(|town| town.name == s.value(&HOME));
    let slots = s.slots().with("home", s.value(&HOME)).with("job", s.value(&JOB)).with("pet", s.value(&PET));
    let slots = slots.with("food", s.value(&FOOD)).with("t", &t.name).with("thome", t.value(&HOME));
    let slots =
        slots.with("tjob", t.value(&JOB)).with("tfood", t.value(&FOOD)).with("weather", rng.pick(WEATHER));
    let slots = slots.with("treasure", rng.pick(TREASURES)).with("place", rng.pick(PLACES));
    let slots = slots.with("river", town.map_or("", |town| town.value(&RIVER)));
    let slots = slots.with("famous", town.map_or("", |town| town.value(&FAMOUS)));
    tell(rng, &slots)
}

fn tell(rng: &mut Rng, slots: &Slots) -> String {
    let mut parts = vec![rng.pick(OPENING)];
    if rng.chance(70) {
        parts.push(rng.pick(WORK));
    }
    if rng.chance(60) {
        parts.push(rng.pick(PET_COMES));
    }
    parts.push(rng.pick(MEETING));
    parts.push(rng.pick(TROUBLE));
    parts.push(rng.pick(RESCUE));
    if rng.chance(70) {
        parts.push(rng.pick(EVENING));
    }
    parts.push(rng.pick(ENDING));
    let lines: Vec<String> = parts.iter().map(|p| slots.fill(p)).filter(|line| !line.is_empty()).collect();
    lines.join(" ")
}

const GREETINGS: &[&str] = &["Hello, I am {s}.", "Good day, my name is {s}.", "Hi, I am called {s}."];
const ANSWERS: &[&str] = &["Nice to meet you, {s}.", "Hello {s}.", "I am glad to meet you, {s}."];

/// One person asks, the other answers.
pub(super) fn interview(rng: &mut Rng, world: &World, first: usize) -> String {
    let (s, t) = pair(rng, &world.of(Topic::Person), first);
    let mut facts: Vec<&Fact> = s.facts.iter().collect();
    rng.shuffle(&mut facts);
    let mut lines = vec![format!("{} has some questions for {}.", t.name, s.name)];
    for fact in facts.into_iter().take(rng.between(2, 4) as usize) {
        lines.push(format!("{}: {}", t.name, rng.pick(fact.relation.asked)));
        lines.push(format!("{}: {}", s.name, s.say(fact, rng.pick(fact.relation.first_person))));
    }
    lines.join("\n")
}

/// Two people introduce themselves, line by line.
pub(super) fn dialogue(rng: &mut Rng, world: &World, first: usize) -> String {
    let (s, t) = pair(rng, &world.of(Topic::Person), first);
    let mut lines = Vec::new();
    let mut order: Vec<usize> = (0..s.facts.len()).collect();
    rng.shuffle(&mut order);
    order.truncate(rng.between(2, 4) as usize);
    for (turn, i) in order.into_iter().enumerate() {
        for (speaker, other) in [(s, t), (t, s)] {
            let (fact, slots) = (&speaker.facts[i], speaker.slots());
            let lead = match (turn, speaker.name == s.name) {
                (0, true) => slots.fill(rng.pick(GREETINGS)) + " ",
                (0, false) => other.slots().fill(rng.pick(ANSWERS)) + &slots.fill(" I am {s}. "),
                _ => String::new(),
            };
            let said = speaker.say(fact, rng.pick(fact.relation.first_person));
            lines.push(format!("{}: {lead}{said}", speaker.name));
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_story_names_the_home_of_its_hero() {
        let world = World::new(2);
        let mut rng = Rng::new(2, 0);
        for (i, person) in world.of(Topic::Person).iter().enumerate() {
            let text = story(&mut rng, &world, i);
            assert!(text.contains(&person.name) && text.contains(person.value(&HOME)), "{text}");
        }
    }

    #[test]
    fn in_a_dialogue_both_people_speak_in_turn() {
        let world = World::new(2);
        let text = dialogue(&mut Rng::new(2, 0), &world, 3);
        let speakers: Vec<&str> = text.lines().filter_map(|line| line.split(':').next()).collect();
        assert!(speakers.len() >= 4 && speakers.windows(2).all(|w| w[0] != w[1]), "{text}");
    }
}
