//! The twin of CORE: the same three files, with tasks of all three forms about the generated world.
//!
//! Statements about held-out subjects are in the documents, so a pretrained model can know them; here they are put as
//! continuations to choose from, as contexts to choose from, and as sentences to be completed.

use super::rng::Rng;
use super::store::write_lines;
use super::sums::{Split, Sum};
use super::world::{Fact, Subject, Topic, World};
use crate::core::bundle::{BASELINES, DATA, TASKS};
use serde_json::{Value, json};
use std::io;
use std::path::Path;

/// A task: name, file, form, shots, delimiter, baseline in percent.
const LIST: &[(&str, &str, &str, usize, &str, f64)] = &[
    ("world_facts", "knowledge/facts.jsonl", "multiple_choice", 0, " ", 25.0),
    ("world_facts_5shot", "knowledge/facts.jsonl", "multiple_choice", 5, " ", 25.0),
    ("world_who", "knowledge/who.jsonl", "schema", 0, " ", 50.0),
    ("world_complete", "knowledge/complete.jsonl", "language_modeling", 0, " ", 0.0),
    ("sums", "arithmetic/sums.jsonl", "language_modeling", 3, "\\nAnswer: ", 0.0),
];

/// Write the bundle of the world of `seed`, with `n` rows in each file, into `dir`.
///
/// # Errors
/// Whatever the file system says, with the path.
pub fn write_core(seed: u64, n: usize, dir: &Path) -> io::Result<()> {
    let world = World::new(seed);
    let mut rng = Rng::new(seed, 70);
    let data = dir.join(DATA);
    std::fs::create_dir_all(data.join("knowledge"))?;
    std::fs::create_dir_all(data.join("arithmetic"))?;
    let facts = statements(&mut rng, &world);
    let some = |rows: Vec<Value>| rows.into_iter().take(n).collect::<Vec<_>>();
    let choose = some(facts.iter().filter_map(|f| choices(&mut rng, &world, f)).collect());
    write_lines(&data.join("knowledge/facts.jsonl"), &choose)?;
    let who = some(facts.iter().filter_map(|f| who(&mut rng, &world, f)).collect());
    write_lines(&data.join("knowledge/who.jsonl"), &who)?;
    let complete = facts
        .iter()
        .map(|(_, fact, before)| json!({"context": before, "continuation": format!("{}.", fact.value)}));
    write_lines(&data.join("knowledge/complete.jsonl"), &some(complete.collect()))?;
    write_lines(
        &data.join("arithmetic/sums.jsonl"),
        &(0..n).map(|_| sum(&mut rng, seed)).collect::<Vec<_>>(),
    )?;

    let mut yaml = String::from("icl_tasks:\n");
    let mut csv = String::from("Eval Task,Task Category,Random baseline\n");
    for (label, uri, form, shots, delimiter, baseline) in LIST {
        yaml += &format!(
            "- label: {label}\n  dataset_uri: {uri}\n  num_fewshot:\n  - {shots}\n  icl_task_type: {form}\n  continuation_delimiter: \"{delimiter}\"\n"
        );
        csv += &format!("{label},generated,{baseline}\n");
    }
    std::fs::write(dir.join(TASKS), yaml)?;
    std::fs::write(dir.join(BASELINES), csv)
}

/// A fact, and the beginning of a statement that ends with its value.
type Statement<'a> = (&'a Subject, &'a Fact, String);

/// A statement of each fact of people and towns that can end with its value, shuffled.
fn statements<'a>(rng: &mut Rng, world: &'a World) -> Vec<Statement<'a>> {
    let mut out = Vec::new();
    let known = |s: &&Subject| matches!(s.topic, Topic::Person | Topic::Town);
    for subject in world.subjects.iter().filter(known) {
        for fact in &subject.facts {
            let plain: Vec<&str> =
                fact.relation.statements.iter().filter(|t| t.ends_with(" {v}.")).copied().collect();
            if plain.is_empty() {
                continue;
            }
            let template = rng.pick(&plain);
            let before = subject.say(fact, template.trim_end_matches(" {v}."));
            out.push((subject, fact, before));
        }
    }
    rng.shuffle(&mut out);
    out
}

/// Four values for one beginning.
fn choices(rng: &mut Rng, world: &World, (_, fact, before): &Statement<'_>) -> Option<Value> {
    let mut others: Vec<String> =
        world.values(fact.relation).into_iter().filter(|v| *v != fact.value).collect();
    rng.shuffle(&mut others);
    let mut choices: Vec<String> = others.into_iter().take(3).map(|v| format!("{v}.")).collect();
    if choices.len() < 3 {
        return None;
    }
    let gold = rng.below(4);
    choices.insert(gold, format!("{}.", fact.value));
    Some(json!({"query": before, "choices": choices, "gold": gold}))
}

/// Two beginnings for one value: that of the subject of which it is true, and that of another.
fn who(rng: &mut Rng, world: &World, (subject, fact, before): &Statement<'_>) -> Option<Value> {
    let others: Vec<&Subject> = world
        .of(subject.topic)
        .into_iter()
        .filter(|s| s.name != subject.name && s.value(fact.relation) != fact.value)
        .collect();
    if others.is_empty() || !before.contains(&subject.name) {
        return None;
    }
    let other = before.replace(&subject.name, &rng.pick(&others).name);
    let gold = rng.below(2);
    let options = if gold == 0 { [before.clone(), other] } else { [other, before.clone()] };
    Some(json!({"context_options": options, "continuation": format!("{}.", fact.value), "gold": gold}))
}

/// A sum with held-out operands.
fn sum(rng: &mut Rng, seed: u64) -> Value {
    let sum = Sum::draw(rng, seed, Split::Test, false);
    let equation = sum.equation();
    let (left, right) = equation.split_once(" = ").unwrap_or((&equation, ""));
    json!({"context": format!("What is {left}?"), "continuation": right})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{Bundle, Form, evaluate_task};

    #[test]
    fn the_reader_of_the_published_bundle_reads_the_twin() {
        let dir = crate::data::scratch("twin-core");
        write_core(3, 30, &dir).unwrap();
        let bundle = Bundle::open(&dir).unwrap();
        assert_eq!(bundle.tasks.len(), LIST.len());
        let forms: Vec<Form> = bundle.tasks.iter().map(|t| t.form).collect();
        assert!(
            [Form::MultipleChoice, Form::Schema, Form::LanguageModeling].iter().all(|f| forms.contains(f))
        );
        for task in &bundle.tasks {
            assert!(task.rows().unwrap().len() >= 20, "{}", task.label);
        }
        assert_eq!(bundle.tasks[4].delimiter, "\nAnswer: ");
    }

    #[test]
    fn a_fresh_model_guesses_and_batching_does_not_change_its_scores() {
        let dir = crate::data::scratch("twin-core-model");
        write_core(3, 24, &dir).unwrap();
        let bytes = tokenizer::Tokenizer::from_ranks((0..=u8::MAX).map(|byte| vec![byte]).collect()).unwrap();
        let config = model::GptConfig {
            sequence_len: 256,
            vocab_size: bytes.vocab_size(),
            n_layer: 2,
            n_head: 2,
            n_kv_head: 2,
            n_embd: 32,
            ..model::GptConfig::default()
        };
        let mut gpt = model::Gpt::new(config, 1, model::GptOptions::default()).unwrap();
        for (i, p) in gpt.params_mut().iter_mut().enumerate() {
            let (stream, dims) = (100 + i as u64, p.value().dims().to_vec());
            p.set(model::init::normal(3, stream, 0.1, &dims, tensor::Device::Cpu).unwrap());
        }
        for task in &Bundle::open(&dir).unwrap().tasks {
            let rows = crate::core::prompts::in_order(task.rows().unwrap(), 12);
            let score = |batch_tokens| {
                let mut scorer = crate::core::Scorer::new(&gpt, bytes.bos());
                (scorer.batch_tokens, scorer.one_by_one) = (batch_tokens, batch_tokens == 1);
                evaluate_task(&scorer, &bytes, &rows, task.shots, &task.delimiter, &mut |_, _| true).unwrap()
            };
            let (together, alone) = (score(8192), score(1));
            assert_eq!(together, alone, "{}", task.label);
            assert!(together.accuracy() <= 0.8, "{} {}", task.label, together.accuracy());
        }
    }
}
