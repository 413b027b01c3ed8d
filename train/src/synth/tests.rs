//! The rules of the corpus as a whole: what is told, what is held out, what is true.

use super::lexicon::{FOODS, GOODS, JOBS, PETS, REGIONS, RIVERS, TOWNS};
use super::phrasebook::{FAMOUS, FOOD, HOME, JOB, PET, REGION, RIVER};
use super::world::{Fact, Subject, Topic};
use super::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

/// One corpus of default size for all tests.
static SYNTH: LazyLock<Synth> =
    LazyLock::new(|| generate(&SynthOptions { seed: 7, ..SynthOptions::default() }));

fn small(seed: u64) -> Synth {
    generate(&SynthOptions { seed, documents: 300, conversations: 300, ..SynthOptions::default() })
}

/// Every text a model trains on, one per document and conversation.
fn training_texts() -> impl Iterator<Item = String> {
    let talks = SYNTH.conversations.iter().chain(&SYNTH.validation_conversations);
    let talks = talks.map(|c| c.messages.iter().map(|m| m.content.plain()).collect::<Vec<_>>().join("\n"));
    SYNTH.documents.iter().chain(&SYNTH.validation_documents).cloned().chain(talks)
}

/// The numbers of a text, in order.
fn numbers(text: &str) -> Vec<u32> {
    text.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse().ok()).collect()
}

#[test]
fn the_same_seed_writes_the_same_bytes_and_another_seed_another_world() {
    assert_eq!(small(3), small(3));
    let (a, b) = (small(3), small(4));
    assert_ne!(a.documents, b.documents);
    let answer = |s: &Synth| {
        s.tests.iter().map(|t| (t.question.clone(), t.answer.clone())).collect::<BTreeMap<_, _>>()
    };
    let (a, b) = (answer(&a), answer(&b));
    let shared = a.iter().filter(|(question, _)| b.contains_key(*question)).count();
    let agree = a.iter().filter(|(question, answer)| b.get(*question) == Some(answer)).count();
    assert!(agree < a.len() / 2, "{agree} answers agree, {shared} questions shared, of {}", a.len());
}

#[test]
fn every_tested_fact_is_stated_in_at_least_four_phrasings() {
    let world = World::new(7);
    let all = SYNTH.documents.join("\n");
    for subject in world.subjects.iter().filter(|s| s.held_out) {
        for fact in &subject.facts {
            let stated = |t: &&&str| all.contains(&subject.say(fact, t));
            let phrasings = fact.relation.statements.iter().filter(stated).count();
            assert!(phrasings >= 4, "{} of {}: {phrasings} phrasings", fact.relation.name, subject.name);
        }
    }
}

#[test]
fn no_test_question_occurs_in_training() {
    let all = training_texts().collect::<Vec<_>>().join("\n");
    let asked: HashSet<String> = SYNTH.conversations.iter().flat_map(Conversation::questions).collect();
    for test in &SYNTH.tests {
        assert!(!asked.contains(&test.question), "asked in training: {}", test.question);
        if test.kind != Kind::Arithmetic {
            assert!(!all.contains(&test.question), "read in training: {}", test.question);
        }
    }
}

#[test]
fn conversations_ask_every_phrasing_about_other_subjects() {
    let world = World::new(7);
    let asked: HashSet<String> = SYNTH.conversations.iter().flat_map(Conversation::questions).collect();
    let tested: BTreeSet<&str> = SYNTH.tests.iter().map(|t| t.topic.as_str()).collect();
    let open = || world.subjects.iter().filter(|s| !s.held_out);
    for fact in open().flat_map(|s| &s.facts).filter(|f| tested.contains(f.relation.name)) {
        for template in fact.relation.questions {
            let shape = |s: &Subject| asked.contains(&s.say(fact, template));
            assert!(open().any(shape), "never asked: {template}");
        }
    }
}

/// The operands that training texts put before the model: two numbers that open a sum, a problem or a user's turn. A result
/// beside an operand (`10 - 7 = 3` has a 7 beside a 3) is not a pair.
fn trained_operands() -> BTreeMap<(u32, u32), String> {
    let documents = SYNTH.documents.iter().chain(&SYNTH.validation_documents);
    let mut texts: Vec<String> = documents
        .flat_map(|d| d.lines())
        .flat_map(|line| {
            let whole = line.starts_with("Problem:");
            line.split(if whole { "\n" } else { ". " }).map(str::to_string).collect::<Vec<_>>()
        })
        .collect();
    for message in SYNTH.conversations.iter().chain(&SYNTH.validation_conversations).flat_map(|c| &c.messages)
    {
        match &message.content {
            Content::Text(text) => texts.push(text.clone()),
            Content::Parts(parts) => {
                let sums = parts.iter().filter(|p| p.kind == PartKind::Python || p.text.contains('='));
                texts.extend(sums.map(|p| p.text.clone()));
            }
        }
    }
    let pair = |text: String| {
        let n = numbers(&text);
        (n.len() >= 2).then(|| ((n[0].min(n[1]), n[0].max(n[1])), text))
    };
    texts.into_iter().filter_map(pair).collect()
}

#[test]
fn operand_pairs_of_the_test_never_occur_in_training() {
    let trained = trained_operands();
    assert!(trained.len() > 1000, "{} pairs found", trained.len());
    for test in SYNTH.tests.iter().filter(|t| t.kind == Kind::Arithmetic) {
        let n = numbers(&test.question);
        assert_eq!(n.len(), 2, "{}", test.question);
        let found = trained.get(&(n[0].min(n[1]), n[0].max(n[1])));
        assert!(found.is_none(), "{} has the operands of: {found:?}", test.question);
    }
}

#[test]
fn there_are_five_hundred_questions_of_each_kind_and_fifty_answers() {
    let counts = SYNTH.counts();
    assert!(counts.tests.iter().all(|(_, n)| *n >= 500), "{counts:?}");
    assert!(counts.distinct_fact_answers >= 50, "{counts:?}");
    let distinct: HashSet<&String> = SYNTH.tests.iter().map(|t| &t.question).collect();
    assert_eq!(distinct.len(), SYNTH.tests.len());
}

/// Evaluates `a+b`, `a-b`, `a*b`, `a//b` and `'word'.count('c')`.
fn calculate(expression: &str) -> String {
    if let Some((word, letter)) = expression.split_once(".count(") {
        let letter = letter.trim_matches(['\'', ')']);
        return word.trim_matches([' ', '\'']).matches(letter).count().to_string();
    }
    let n = numbers(expression);
    let value = match expression.trim_matches(|c: char| c.is_ascii_digit()) {
        "+" => n[0] + n[1],
        "-" => n[0] - n[1],
        "*" => n[0] * n[1],
        "//" if n[0].is_multiple_of(n[1]) => n[0] / n[1],
        _ => panic!("what is {expression}?"),
    };
    value.to_string()
}

#[test]
fn every_calculator_result_is_true_and_the_reply_reports_it() {
    let mut seen = 0;
    for message in SYNTH.conversations.iter().flat_map(|c| &c.messages) {
        let Content::Parts(parts) = &message.content else { continue };
        let [python, output, text] = parts.as_slice() else { panic!("three parts: {parts:?}") };
        assert_eq!(python.kind, PartKind::Python);
        assert_eq!(calculate(&python.text), output.text);
        assert!(text.text.split(|c: char| !c.is_alphanumeric()).any(|w| w == output.text), "{}", text.text);
        seen += 1;
    }
    assert!(seen > SYNTH.conversations.len() / 4);
}

#[test]
fn the_training_reply_to_a_question_is_what_the_matcher_accepts() {
    let world = World::new(7);
    for test in SYNTH.tests.iter().filter(|t| t.kind == Kind::Facts) {
        let asks = |s: &Subject, f: &Fact| {
            f.relation.questions.iter().find(|q| s.say(f, q) == test.question).copied()
        };
        let asked = |s: &&Subject| s.facts.iter().any(|f| asks(s, f).is_some());
        let subject = world.subjects.iter().find(asked).expect("a subject for every question");
        let fact = subject.facts.iter().find(|f| f.relation.name == test.topic).expect("its fact");
        assert_eq!(fact.value, test.answer);
        let reply = fact.relation.reply_to(asks(subject, fact).expect("its question"));
        assert!(test.is_correct(&subject.say(fact, reply)), "{}", test.question);
        let others = test.candidates.iter().filter(|c| **c != test.answer);
        for other in others {
            let wrong = Fact { relation: fact.relation, value: other.clone() };
            assert!(!test.is_correct(&subject.say(&wrong, reply)), "{other} for {}", test.question);
        }
    }
}

/// Sentences of documents that give `name` a value of `list` through one of the relation's templates must agree with the table.
#[test]
fn no_document_contradicts_the_world() {
    let world = World::new(7);
    let all: HashSet<String> =
        SYNTH.documents.iter().flat_map(|d| d.split(['\n', '.'])).map(|s| s.trim().to_string()).collect();
    let lists: [(_, &[&str]); 7] = [
        (&HOME, TOWNS),
        (&JOB, JOBS),
        (&PET, PETS),
        (&FOOD, FOODS),
        (&REGION, REGIONS),
        (&RIVER, RIVERS),
        (&FAMOUS, GOODS),
    ];
    for subject in world.subjects.iter().filter(|s| matches!(s.topic, Topic::Person | Topic::Town)) {
        for (relation, list) in lists.iter().filter(|(r, _)| !subject.value(r).is_empty()) {
            for wrong in list.iter().filter(|v| **v != subject.value(relation)) {
                let wrong = Fact { relation, value: wrong.to_string() };
                for template in relation.statements {
                    let sentence = subject.say(&wrong, template);
                    assert!(!all.contains(sentence.trim_end_matches('.')), "false: {sentence}");
                }
            }
        }
    }
}

#[test]
fn all_texts_are_ascii_with_no_slot_left() {
    for text in training_texts().chain(SYNTH.tests.iter().map(|t| t.question.clone())) {
        assert!(text.is_ascii() && !text.contains(['{', '}']) && !text.contains("  "), "{text}");
        assert!(!text.is_empty() && text.trim() == text, "{text:?}");
    }
}

#[test]
fn most_documents_are_different_and_validation_is_new() {
    let distinct: HashSet<&String> = SYNTH.documents.iter().collect();
    assert!(
        distinct.len() * 10 > SYNTH.documents.len() * 9,
        "{} of {}",
        distinct.len(),
        SYNTH.documents.len()
    );
    assert!(SYNTH.validation_documents.iter().all(|d| !distinct.contains(d)));
    assert_eq!(SYNTH.validation_documents.len(), SYNTH.options.validation_documents);
    assert_eq!(SYNTH.validation_conversations.len(), SYNTH.options.validation_conversations);
}

#[test]
fn guessing_does_not_answer_the_test() {
    for baseline in SYNTH.baselines().iter().filter(|b| b.kind != Kind::Counting) {
        assert!(baseline.majority < 0.3 && baseline.chance < 0.2, "{baseline:?}");
    }
}

#[test]
fn what_is_written_can_be_read_again() {
    let dir = std::env::temp_dir().join(format!("nanochat-synth-{}", std::process::id()));
    let synth = small(5);
    synth.write_jsonl(&dir).unwrap();
    let read = Synth::read_jsonl(&dir);
    std::fs::remove_file(dir.join("tests.jsonl")).unwrap();
    let broken = Synth::read_jsonl(&dir);
    std::fs::remove_dir_all(&dir).unwrap();
    assert_eq!(read.unwrap(), synth);
    assert!(broken.unwrap_err().to_string().contains("tests.jsonl"));
}

#[test]
fn a_demo_asks_five_questions_that_training_never_asked() {
    let questions = SYNTH.sample_questions();
    let asked: HashSet<String> = SYNTH.conversations.iter().flat_map(Conversation::questions).collect();
    assert!(questions[..4].iter().all(|q| !asked.contains(q)), "{questions:?}");
}
