//! What an operator can watch, as Prometheus reads it: counters, loads, and how long people wait.

use super::worker::Pulse;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Mutex;
use std::time::Duration;

/// Upper bounds of the waiting times that are told apart, in seconds.
const BOUNDS: [f64; 12] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0];

/// How often something took how long.
#[derive(Clone, Debug, Default)]
struct Histogram {
    counts: [u64; BOUNDS.len()],
    total: u64,
    sum: f64,
}

impl Histogram {
    fn add(&mut self, seconds: f64) {
        self.total += 1;
        self.sum += seconds;
        for (count, bound) in self.counts.iter_mut().zip(BOUNDS) {
            *count += u64::from(seconds <= bound); // each bound counts what the ones below it count
        }
    }
    fn write(&self, name: &str, help: &str, out: &mut String) {
        let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} histogram");
        for (count, bound) in self.counts.iter().zip(BOUNDS) {
            let _ = writeln!(out, "{name}_bucket{{le=\"{bound}\"}} {count}");
        }
        let (total, sum) = (self.total, self.sum);
        let _ = writeln!(out, "{name}_bucket{{le=\"+Inf\"}} {total}\n{name}_sum {sum}\n{name}_count {total}");
    }
}

#[derive(Debug, Default)]
struct Books {
    responses: BTreeMap<(&'static str, u16), u64>,
    too_slow: u64,
    first_token: Histogram,
    whole: Histogram,
}

/// Counts of the server; those of the engine come with its pulse.
#[derive(Debug, Default)]
pub struct Metrics {
    books: Mutex<Books>,
}

impl Metrics {
    /// An endpoint answered with this status.
    pub fn responded(&self, endpoint: &'static str, status: u16) {
        if let Ok(mut books) = self.books.lock() {
            *books.responses.entry((endpoint, status)).or_default() += 1;
        }
    }
    /// A connection was closed since its client took too long to ask.
    pub fn too_slow(&self) {
        if let Ok(mut books) = self.books.lock() {
            books.too_slow += 1;
        }
    }
    /// Somebody got a first token after so long.
    pub fn first_token(&self, after: Duration) {
        if let Ok(mut books) = self.books.lock() {
            books.first_token.add(after.as_secs_f64());
        }
    }
    /// An answer was complete after so long.
    pub fn whole(&self, after: Duration) {
        if let Ok(mut books) = self.books.lock() {
            books.whole.add(after.as_secs_f64());
        }
    }
    /// How long an answer takes on average, in seconds.
    pub fn typical(&self) -> f64 {
        self.books.lock().map_or(0.0, |books| books.whole.sum / (books.whole.total.max(1)) as f64)
    }
    /// Everything, as text.
    pub fn text(&self, pulse: &Pulse) -> String {
        let (mut out, stats) = (String::new(), pulse.stats);
        let mut one = |name: &str, kind: &str, help: &str, value: f64| {
            let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}");
        };
        one("nanochat_up", "gauge", "1 while the model can be used.", f64::from(u8::from(!pulse.failed)));
        one(
            "nanochat_requests_accepted_total",
            "counter",
            "Requests that were given a place.",
            stats.accepted as f64,
        );
        one(
            "nanochat_samples_finished_total",
            "counter",
            "Samples that ended, however.",
            stats.finished as f64,
        );
        one(
            "nanochat_prompt_tokens_read_total",
            "counter",
            "Prompt tokens that were read.",
            stats.read as f64,
        );
        one(
            "nanochat_prompt_tokens_reused_total",
            "counter",
            "Prompt tokens that were still in the cache.",
            stats.reused as f64,
        );
        one("nanochat_generated_tokens_total", "counter", "Tokens generated.", stats.generated as f64);
        one(
            "nanochat_decode_steps_total",
            "counter",
            "Decoding steps; tokens divided by steps is the batch size.",
            stats.steps as f64,
        );
        one(
            "nanochat_rows_paused_total",
            "counter",
            "Rows that had to wait for cache pages and were read again.",
            stats.paused as f64,
        );
        one("nanochat_engine_busy_seconds_total", "counter", "Time in rounds of the engine.", pulse.busy);
        one(
            "nanochat_engine_between_seconds_total",
            "counter",
            "Time between rounds: taking requests, handing out what was said.",
            pulse.between,
        );
        one("nanochat_requests_waiting", "gauge", "Requests that wait for a place.", stats.waiting as f64);
        one(
            "nanochat_requests_reading",
            "gauge",
            "Requests whose prompts are being read.",
            stats.reading as f64,
        );
        one("nanochat_rows_running", "gauge", "Rows that are being generated.", stats.running as f64);
        one("nanochat_cache_pages_used", "gauge", "Cache pages in use.", stats.pages_used as f64);
        one("nanochat_cache_pages", "gauge", "Cache pages there are.", stats.pages as f64);
        let Ok(books) = self.books.lock() else { return out };
        let name = "nanochat_responses_total";
        let _ = writeln!(out, "# HELP {name} Responses by endpoint and status.\n# TYPE {name} counter");
        for ((endpoint, status), count) in &books.responses {
            let _ = writeln!(out, "{name}{{endpoint=\"{endpoint}\",status=\"{status}\"}} {count}");
        }
        let (name, help) = ("nanochat_connections_too_slow_total", "Clients that took too long to ask.");
        let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} counter\n{name} {}", books.too_slow);
        books.first_token.write(
            "nanochat_first_token_seconds",
            "From the request to its first token.",
            &mut out,
        );
        books.whole.write("nanochat_answer_seconds", "From the request to the end of its answer.", &mut out);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_count_everything_below_their_bound() {
        let metrics = Metrics::default();
        [3, 30, 300_000].into_iter().for_each(|ms| metrics.whole(Duration::from_millis(ms)));
        metrics.responded("/v1/models", 200);
        let text = metrics.text(&Pulse::default());
        for line in [
            "nanochat_answer_seconds_bucket{le=\"0.005\"} 1",
            "nanochat_answer_seconds_bucket{le=\"0.05\"} 2",
            "nanochat_answer_seconds_bucket{le=\"60\"} 2",
            "nanochat_answer_seconds_bucket{le=\"+Inf\"} 3",
            "nanochat_answer_seconds_count 3",
            "nanochat_responses_total{endpoint=\"/v1/models\",status=\"200\"} 1",
            "nanochat_up 1",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is missing in\n{text}");
        }
        assert!((metrics.typical() - 100.011).abs() < 1e-9);
    }
}
