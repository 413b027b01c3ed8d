//! The terminal: line editing, a history that outlives the program, several lines, commands.

use super::command::{self, Then};
use super::screen::Screen;
use super::session::Session;
use crate::output;
use rustyline::error::ReadlineError;
use rustyline::{Cmd, DefaultEditor, KeyCode, KeyEvent, Modifiers};
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;

/// Lines of the history that are kept in memory.
const REMEMBERED: usize = 1000;

/// Read questions until the user ends it.
pub fn talk(session: &mut Session<'_>, history: &Path) -> anyhow::Result<()> {
    let mut editor = DefaultEditor::new()?;
    editor.bind_sequence(KeyEvent(KeyCode::Enter, Modifiers::ALT), Cmd::Newline);
    for entry in remembered(history) {
        editor.add_history_entry(entry)?;
    }
    while let Some(question) = read(&mut editor)? {
        if question.trim().is_empty() {
            continue;
        }
        if editor.add_history_entry(&question)? {
            remember(history, &question);
        }
        match command::run(&question, session) {
            Some(Then::End) => break,
            Some(Then::Say(text)) => output::line(&text)?,
            None => answer(session, question.trim())?,
        }
    }
    output::line("goodbye")?;
    Ok(())
}

fn answer(session: &mut Session<'_>, question: &str) -> anyhow::Result<()> {
    let mut screen = Screen::new();
    output::text("nanochat: ")?;
    match session.ask(question, &mut screen) {
        Ok(reply) => {
            let stopped = if reply.stopped { ", stopped" } else { "" };
            screen.remark(&format!("{} tokens, {:.0} tokens/s{stopped}", reply.tokens, reply.per_second))
        }
        // A question that is too long is no reason to end the chat; a closed terminal is.
        Err(error) if output::is_broken_pipe(&error) => Err(error),
        Err(error) => Ok(output::line(&format!("{error:#}"))?),
    }
}

/// A question, perhaps of several lines; `None` at the end. Ctrl-C forgets the line, on an empty one it ends the chat.
fn read(editor: &mut DefaultEditor) -> anyhow::Result<Option<String>> {
    let mut question = String::new();
    loop {
        let prompt = if question.is_empty() { "\nyou: " } else { "...: " };
        match editor.readline(prompt) {
            Ok(line) => match line.strip_suffix('\\') {
                Some(begun) => question += &format!("{begun}\n"),
                None => return Ok(Some(question + &line)),
            },
            Err(ReadlineError::Interrupted) => return Ok(Some(String::new())),
            Err(ReadlineError::Eof) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
    }
}

/// The newest questions of earlier chats, a line each, with `\n` for line ends.
fn remembered(history: &Path) -> Vec<String> {
    let Ok(file) = File::open(history) else { return Vec::new() };
    let lines: Vec<String> = BufReader::new(file).lines().map_while(Result::ok).collect();
    let newest = lines.len().saturating_sub(REMEMBERED);
    lines[newest..].iter().map(|line| unescape(line)).collect()
}

/// Not worth an error if it fails.
fn remember(history: &Path, question: &str) {
    if let Ok(mut file) = OpenOptions::new().create(true).append(true).open(history) {
        let _ = writeln!(file, "{}", escape(question));
    }
}

fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\n', "\\n").replace('\r', "")
}

fn unescape(line: &str) -> String {
    let (mut text, mut chars) = (String::new(), line.chars());
    while let Some(c) = chars.next() {
        match (c, c == '\\') {
            (_, true) => text.extend(chars.next().map(|c| if c == 'n' { '\n' } else { c })),
            (c, false) => text.push(c),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_survive_in_the_history_with_their_lines_and_backslashes() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("history");
        let questions = ["plain", "two\nlines", r"back\slash and \n", "ünï"];
        questions.iter().for_each(|q| remember(&file, q));
        assert_eq!(remembered(&file), questions);
        assert!(remembered(&dir.path().join("missing")).is_empty());
    }
}
