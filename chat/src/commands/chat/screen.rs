//! How an answer looks: words as they are, a calculation as `[expression = result]`, in another colour on a terminal.

use crate::output;
use std::io::IsTerminal;
use train::engine::text::{Part, Piece};

const TOOL: &str = "\x1b[33m";
const FAINT: &str = "\x1b[2m";
const PLAIN: &str = "\x1b[0m";

/// Where an answer appears.
pub struct Screen {
    shown: bool,
    colours: bool,
    part: Part,
    text: String,
}

impl Screen {
    /// Standard output, with colours if it is a terminal and the user does not mind.
    pub fn new() -> Screen {
        let colours =
            std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
        Screen { shown: true, colours, part: Part::Text, text: String::new() }
    }
    /// Nowhere; the text is kept.
    pub fn silent() -> Screen {
        Screen { shown: false, colours: false, part: Part::Text, text: String::new() }
    }
    /// What was shown, without colours.
    pub fn text(&self) -> &str {
        &self.text
    }
    /// Show what has come.
    pub fn show(&mut self, pieces: &[Piece]) -> anyhow::Result<()> {
        for piece in pieces {
            self.turn_to(piece.part)?;
            self.put(&piece.text)?;
        }
        Ok(())
    }
    /// The answer is complete.
    pub fn finish(&mut self) -> anyhow::Result<()> {
        self.turn_to(Part::Text)?;
        if self.shown {
            output::line("")?;
        }
        Ok(())
    }
    /// A remark of ours, on a terminal only.
    pub fn remark(&self, text: &str) -> anyhow::Result<()> {
        if self.shown && std::io::stdout().is_terminal() {
            output::line(&self.coloured(FAINT, text))?;
        }
        Ok(())
    }
    fn turn_to(&mut self, part: Part) -> anyhow::Result<()> {
        let between = match (std::mem::replace(&mut self.part, part), part) {
            (before, after) if before == after => return Ok(()),
            (Part::Python, Part::Output) => " = ",
            (Part::Text, _) => "[",
            (_, Part::Text) => "] ",
            (Part::Output, _) => "] [",
            (Part::Python, Part::Python) => "",
        };
        self.put(between)
    }
    fn put(&mut self, text: &str) -> anyhow::Result<()> {
        self.text.push_str(text);
        if self.shown {
            let tool = self.part != Part::Text || text == "] ";
            let shown = if tool { self.coloured(TOOL, text) } else { text.to_string() };
            output::text(&shown)?;
        }
        Ok(())
    }
    fn coloured(&self, colour: &str, text: &str) -> String {
        if self.colours { format!("{colour}{text}{PLAIN}") } else { text.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calculations_stand_in_brackets() {
        let piece = |part, text: &str| Piece { part, text: text.into() };
        let mut screen = Screen::silent();
        let pieces = [
            piece(Part::Text, "So "),
            piece(Part::Python, "6"),
            piece(Part::Python, "*7"),
            piece(Part::Output, "42"),
            piece(Part::Text, "It is 42."),
            piece(Part::Python, "1/0"),
        ];
        screen.show(&pieces).unwrap();
        screen.finish().unwrap();
        assert_eq!(screen.text(), "So [6*7 = 42] It is 42.[1/0] ");
    }
}
