//! What a model answered while it was reinforced, to be read by people: what is rewarded is often not what one meant. Read from
//! the log that the stage writes, a problem with all its answers per line.

use serde::Deserialize;
use std::path::Path;

/// The log's name in a run's folder.
pub const LOG: &str = "rollouts.jsonl";

/// A problem of a step, and all answers to it with their rewards.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Answered {
    /// Step.
    pub step: usize,
    /// The question.
    pub question: String,
    /// Each answer and its reward.
    pub answers: Vec<(String, f64)>,
}

/// The problems of the first and of the last step that was logged. Lines that are cut short are left out.
pub fn first_and_last(dir: &Path) -> Vec<Answered> {
    let text = std::fs::read_to_string(dir.join(LOG)).unwrap_or_default();
    let all: Vec<Answered> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let ends = [all.first(), all.last()].map(|a| a.map(|a| a.step));
    all.into_iter().filter(|a| ends.contains(&Some(a.step))).collect()
}

impl Answered {
    /// Each different answer once: how often it was given, its reward, its text; the most frequent first.
    pub fn different(&self) -> Vec<(usize, f64, &str)> {
        let mut found: Vec<(usize, f64, &str)> = Vec::new();
        for (text, reward) in &self.answers {
            match found.iter_mut().find(|(_, _, known)| known == text) {
                Some((count, ..)) => *count += 1,
                None => found.push((1, *reward, text)),
            }
        }
        found.sort_by_key(|(count, ..)| std::cmp::Reverse(*count));
        found
    }
    /// As lines of text: the question, then `times × reward | answer`.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("step {}: {}", self.step, self.question.replace('\n', " "))];
        for (count, reward, text) in self.different() {
            lines.push(format!("{count:>5} × {reward:.1} | {}", text.replace('\n', " ⏎ ")));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_and_the_last_step_are_shown_and_equal_answers_once() {
        let dir = crate::data::scratch("answers");
        let line = |step: usize, answers: &str| {
            format!("{{\"step\":{step},\"problem\":0,\"question\":\"q{step}\",\"answers\":[{answers}]}}\n")
        };
        let log =
            line(0, "[\"a\",0.0],[\"b\\nc\",1.0],[\"b\\nc\",1.0]") + &line(1, "") + &line(2, "[\"d\",1.0]");
        std::fs::write(dir.join(LOG), log.clone() + &log[..20]).unwrap();
        let seen = first_and_last(&dir);
        assert_eq!(seen.iter().map(|a| a.step).collect::<Vec<_>>(), [0, 2]);
        assert_eq!(seen[0].different(), [(2, 1.0, "b\nc"), (1, 0.0, "a")]);
        assert_eq!(seen[0].lines(), ["step 0: q0", "    2 × 1.0 | b ⏎ c", "    1 × 0.0 | a"]);
        assert!(first_and_last(&dir.join("nowhere")).is_empty());
    }
}
