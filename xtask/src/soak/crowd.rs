//! Many clients at a time, most of them decent: they ask, read to the end and ask again. One request in a hundred is hung
//! up on, one in ten is read slowly, one in ten is nonsense of some kind. Every request must come to an end that fits it.

use std::fmt;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How many clients, where, for how long.
#[derive(Clone)]
pub struct Plan {
    /// Host and port.
    pub address: String,
    /// Clients.
    pub streams: usize,
    /// New requests are made for so long.
    pub time: Duration,
}

/// What became of the requests.
#[derive(Debug, Default)]
pub struct Tally {
    answered: u64,
    hung_up: u64,
    sent_away: u64,
    refused: u64,
    /// Requests that came to no proper end, by example.
    wrong: Vec<String>,
    /// The longest time that a client waited for an answer.
    longest: Duration,
    /// The fewest answers that a client got.
    fewest: u64,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} answered, {} hung up on, {} sent away (429), {} refused (4xx), {} wrong; longest {:.1} s, fewest {}",
            self.answered,
            self.hung_up,
            self.sent_away,
            self.refused,
            self.wrong.len(),
            self.longest.as_secs_f64(),
            self.fewest
        )
    }
}

impl Tally {
    /// Is all well?
    pub fn verdict(&self) -> Result<(), String> {
        if let Some(example) = self.wrong.first() {
            return Err(format!("{} requests came to no proper end, such as: {example}", self.wrong.len()));
        }
        if self.fewest == 0 {
            return Err("a client starved: it got no answer at all".into());
        }
        Ok(())
    }
    fn add(&mut self, other: Tally) {
        self.answered += other.answered;
        self.hung_up += other.hung_up;
        self.sent_away += other.sent_away;
        self.refused += other.refused;
        self.wrong.extend(other.wrong);
        self.longest = self.longest.max(other.longest);
        self.fewest = self.fewest.min(other.answered);
    }
}

/// A small random generator (SplitMix64): the crowd's whims.
struct Whim(u64);

impl Whim {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n.max(1)
    }
}

/// Everybody at once.
pub fn run(plan: &Plan) -> Tally {
    let plan = Arc::new(plan.clone());
    let clients: Vec<_> = (0..plan.streams)
        .map(|i| {
            let plan = Arc::clone(&plan);
            std::thread::spawn(move || client(&plan, Whim(i as u64)))
        })
        .collect();
    let mut all = Tally { fewest: u64::MAX, ..Tally::default() };
    for client in clients {
        let wrong = || Tally { wrong: vec!["a client panicked".into()], ..Tally::default() };
        all.add(client.join().unwrap_or_else(|_| wrong()));
    }
    all
}

fn client(plan: &Plan, mut whim: Whim) -> Tally {
    let (mut tally, begun) = (Tally::default(), Instant::now());
    while begun.elapsed() < plan.time || tally.answered == 0 {
        let asked = Instant::now();
        if let Err(why) = request(plan, &mut whim, &mut tally) {
            tally.wrong.push(why);
        }
        tally.longest = tally.longest.max(asked.elapsed());
        if asked.elapsed() > Duration::from_secs(120) {
            break; // told by `longest`, and by a client without answers
        }
    }
    tally
}

fn request(plan: &Plan, whim: &mut Whim, tally: &mut Tally) -> Result<(), String> {
    if whim.below(10) == 0 {
        return nonsense(plan, whim, tally);
    }
    let (n, words) = (1 + whim.below(2), whim.below(60));
    let (tokens, number) = (1 + whim.below(48), whim.below(50));
    let question = format!("Question {number}: {}", "who is Helen? ".repeat(words as usize % 6));
    let stream = whim.below(4) > 0;
    let body = format!(
        r#"{{"messages":[{{"role":"user","content":"{question}"}}],"max_tokens":{tokens},"n":{n},"stream":{stream},"temperature":1.0}}"#
    );
    let mut socket = connect(plan)?;
    send(&mut socket, "POST /v1/chat/completions", &body)?;
    let hang_up = whim.below(100) == 0;
    let slow = whim.below(10) == 0;
    let (mut all, mut buffer) = (Vec::new(), [0; 512]);
    loop {
        if hang_up && (!all.is_empty() || whim.below(2) == 0) {
            tally.hung_up += 1;
            return Ok(());
        }
        if slow {
            std::thread::sleep(Duration::from_millis(whim.below(60)));
        }
        match socket.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => all.extend(&buffer[..n]),
            Err(e) => return Err(format!("reading an answer: {e}")),
        }
    }
    let text = String::from_utf8_lossy(&all);
    let status = status(&text);
    match status {
        200 if stream && text.ends_with("data: [DONE]\n\n") && !text.contains("\"error\"") => {
            tally.answered += 1
        }
        200 if !stream && text.ends_with('}') && text.contains("\"usage\"") => tally.answered += 1,
        429 if text.to_ascii_lowercase().contains("retry-after") => {
            tally.sent_away += 1;
            std::thread::sleep(Duration::from_millis(100 + whim.below(400)));
        }
        _ => return Err(format!("status {status}: …{}", text.chars().rev().take(120).collect::<String>())),
    }
    Ok(())
}

/// Requests that must be refused, or that break off.
fn nonsense(plan: &Plan, whim: &mut Whim, tally: &mut Tally) -> Result<(), String> {
    let mut socket = connect(plan)?;
    let sent = match whim.below(7) {
        0 => send(&mut socket, "POST /v1/chat/completions", "{\"messages\": ["),
        1 => send(&mut socket, "POST /v1/chat/completions", "{\"messages\": [], \"temperature\": 99}"),
        2 => send(&mut socket, "GET /v1/nothing", ""),
        3 => send(
            &mut socket,
            "POST /v1/completions",
            &format!("{{\"prompt\": [{}]}}", "999999999,".repeat(50) + "1"),
        ),
        4 => send(&mut socket, "DELETE /v1/models", ""),
        5 => {
            let bytes: Vec<u8> = (0..200).map(|_| whim.below(256) as u8).collect();
            let _ = socket.write_all(&[&bytes[..], b"\r\n\r\n"].concat()); // it may hang up on the first line
            Ok(())
        }
        _ => {
            // Announces more than it sends, then hangs up.
            let _ = socket.write_all(
                b"POST /v1/completions HTTP/1.0\r\nHost: localhost\r\nContent-Length: 5000\r\n\r\n{",
            );
            tally.hung_up += 1;
            return Ok(());
        }
    };
    sent?;
    let mut all = Vec::new();
    let _ = socket.read_to_end(&mut all); // what is no HTTP may be answered by hanging up
    match status(&String::from_utf8_lossy(&all)) {
        0 | 400..=499 => {
            tally.refused += 1;
            Ok(())
        }
        other => Err(format!("nonsense was answered with {other}")),
    }
}

fn connect(plan: &Plan) -> Result<TcpStream, String> {
    let socket = TcpStream::connect(&plan.address).map_err(|e| format!("connecting: {e}"))?;
    socket.set_read_timeout(Some(Duration::from_secs(120))).map_err(|e| e.to_string())?;
    Ok(socket)
}

fn send(socket: &mut TcpStream, what: &str, body: &str) -> Result<(), String> {
    let length = body.len();
    let head = "Host: localhost\r\nContent-Type: application/json";
    let request = format!("{what} HTTP/1.0\r\n{head}\r\nContent-Length: {length}\r\n\r\n{body}");
    socket.write_all(request.as_bytes()).map_err(|e| format!("sending: {e}"))
}

fn status(response: &str) -> u16 {
    response.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
}

/// Waits until the server has nothing to do, and checks that every page of its cache is back.
pub fn settled(address: &str) -> Result<(), String> {
    let plan = Plan { address: address.into(), streams: 1, time: Duration::ZERO };
    let begun = Instant::now();
    loop {
        let mut socket = connect(&plan)?;
        send(&mut socket, "GET /metrics", "")?;
        let mut text = String::new();
        socket.read_to_string(&mut text).map_err(|e| e.to_string())?;
        let value =
            |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok());
        let busy = ["nanochat_requests_waiting ", "nanochat_requests_reading ", "nanochat_rows_running "];
        if busy.iter().all(|name| value(name) == Some(0)) {
            let (accepted, pages) =
                (value("nanochat_requests_accepted_total "), value("nanochat_cache_pages_used "));
            println!(
                "the engine is idle after {} accepted requests, {} pages in use",
                accepted.unwrap_or(0),
                pages.unwrap_or(0)
            );
            return if pages == Some(0) {
                Ok(())
            } else {
                Err(format!("{pages:?} cache pages were not given back"))
            };
        }
        if begun.elapsed() > Duration::from_secs(60) {
            return Err(format!("the engine is still busy a minute after the last request:\n{text}"));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_end_and_a_starving_client_are_found() {
        let mut all = Tally { fewest: u64::MAX, ..Tally::default() };
        all.add(Tally { answered: 3, ..Tally::default() });
        assert_eq!(all.verdict(), Ok(()));
        all.add(Tally { answered: 0, sent_away: 9, ..Tally::default() });
        assert!(all.verdict().unwrap_err().contains("starved"));
        all.add(Tally { answered: 1, wrong: vec!["status 500".into()], ..Tally::default() });
        assert!(all.verdict().unwrap_err().contains("status 500"));
        assert_eq!((status("HTTP/1.0 429 Too Many"), status("")), (429, 0));
    }
}
