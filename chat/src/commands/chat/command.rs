//! What begins with a slash: said to the program, not to the model.

use super::session::Session;
use std::path::Path;

/// What follows from a command.
#[derive(Debug, PartialEq, Eq)]
pub enum Then {
    /// Show this and go on.
    Say(String),
    /// The chat is over.
    End,
}

const HELP: &str = "\
/reset                    forget what was said
/save FILE, /load FILE    write the conversation into a file; go on with one
/set                      show the settings
/set NAME VALUE           change temperature, top_k, top_p, min_p, repetition_penalty, max_tokens or seed
/help, /quit              this list; end (also Ctrl-D)
Alt-Enter, or a backslash at the end of a line, begins another line; what is pasted keeps its lines. Ctrl-C stops an
answer.";

/// The command in a line, if it is one; `clear`, `quit` and `exit` need no slash.
pub fn run(line: &str, session: &mut Session<'_>) -> Option<Then> {
    let mut words = line.split_whitespace();
    let first = words.next().unwrap_or_default().to_ascii_lowercase();
    let bare = ["clear", "quit", "exit"].contains(&line.trim().to_ascii_lowercase().as_str());
    if !first.starts_with('/') && !bare {
        return None;
    }
    let rest: Vec<&str> = words.collect();
    let say = |text: &str| Some(Then::Say(text.into()));
    match (first.trim_start_matches('/'), rest.as_slice()) {
        ("quit" | "exit", []) => Some(Then::End),
        ("reset" | "clear", []) => {
            session.reset();
            say("forgotten")
        }
        ("help", _) => say(HELP),
        ("save" | "load", []) => say("name a file: /save talk.json"),
        ("save", _) => Some(Then::Say(outcome(session.save(file(line)), "saved"))),
        ("load", _) => {
            let loaded = session.load(file(line));
            Some(Then::Say(outcome(loaded, &format!("{} turns", session.turns()))))
        }
        ("set", []) => Some(Then::Say(settings(session))),
        ("set", [name, value]) => Some(Then::Say(set(session, name, value))),
        ("set", _) => say("/set NAME VALUE, for example /set temperature 0.8"),
        _ => say("no such command; /help lists them"),
    }
}

/// Everything behind the command's name: a file name may contain spaces.
fn file(line: &str) -> &Path {
    Path::new(line.trim().split_once(char::is_whitespace).map_or("", |(_, file)| file.trim()))
}

fn outcome(result: anyhow::Result<()>, done: &str) -> String {
    result.map_or_else(|error| format!("{error:#}"), |()| done.into())
}

fn settings(session: &Session<'_>) -> String {
    let s = &session.sampling;
    format!(
        "temperature {}, top_k {}, top_p {}, min_p {}, repetition_penalty {}, max_tokens {}, seed {}",
        s.temperature, s.top_k, s.top_p, s.min_p, s.repetition_penalty, session.max_tokens, s.seed
    )
}

fn set(session: &mut Session<'_>, name: &str, value: &str) -> String {
    let mut s = session.sampling;
    let number = value.parse::<f32>().ok();
    let count = value.parse::<u64>().ok();
    match (name.replace('-', "_").as_str(), number, count) {
        ("temperature", Some(x), _) => s.temperature = x,
        ("top_p", Some(x), _) => s.top_p = x,
        ("min_p", Some(x), _) => s.min_p = x,
        ("repetition_penalty", Some(x), _) => s.repetition_penalty = x,
        ("top_k", _, Some(n)) => s.top_k = n as usize,
        ("seed", _, Some(n)) => s.seed = n,
        ("max_tokens", _, Some(n)) if n > 0 => session.max_tokens = n as usize,
        _ => return format!("cannot set {name} to {value}; /help lists what can be set"),
    }
    match s.check() {
        Err(refusal) => refusal.to_string(),
        Ok(()) => {
            session.sampling = s;
            settings(session)
        }
    }
}
