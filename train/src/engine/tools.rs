//! One row's tool state: from the token the model sampled to the token that is fed back.
//!
//! A chat model asks for a calculation by writing `<|python_start|>12*3<|python_end|>`. This machine watches
//! the row's tokens go by, collects what stands between the two, evaluates it (`calculator/`), and *forces*
//! `<|output_start|>36<|output_end|>` into the row: one queued token per column, each replacing whatever the
//! model sampled in that column. So a forced token costs a forward pass like any other, and the model reads
//! the result as if it had written it.
//!
//! Every column makes the same two calls on each row: [`RowState::choose`], then [`RowState::observe`].
//! `sequence.rs` is the row around them.

use std::collections::VecDeque;

use super::calculator::use_calculator;
use kernels::planted;

/// What the tool machine needs of a tokenizer.
pub trait ToolTokens {
    /// Id of `<|bos|>`. A model that samples it starts a new document, so it ends the row.
    fn bos(&self) -> u32;
    /// Id of `<|assistant_end|>`, the regular end of a row.
    fn assistant_end(&self) -> u32;
    /// Id of `<|python_start|>`: an expression begins.
    fn python_start(&self) -> u32;
    /// Id of `<|python_end|>`: the expression is complete.
    fn python_end(&self) -> u32;
    /// Id of `<|output_start|>`: a result begins.
    fn output_start(&self) -> u32;
    /// Id of `<|output_end|>`: the result is complete.
    fn output_end(&self) -> u32;
    /// Ids of ordinary text.
    fn encode(&self, text: &str) -> Vec<u32>;
    /// Text of ids, special tokens by their names, invalid UTF-8 replaced.
    fn decode(&self, ids: &[u32]) -> String;
}

impl<T: ToolTokens + ?Sized> ToolTokens for &T {
    fn bos(&self) -> u32 {
        (**self).bos()
    }
    fn assistant_end(&self) -> u32 {
        (**self).assistant_end()
    }
    fn python_start(&self) -> u32 {
        (**self).python_start()
    }
    fn python_end(&self) -> u32 {
        (**self).python_end()
    }
    fn output_start(&self) -> u32 {
        (**self).output_start()
    }
    fn output_end(&self) -> u32 {
        (**self).output_end()
    }
    fn encode(&self, text: &str) -> Vec<u32> {
        (**self).encode(text)
    }
    fn decode(&self, ids: &[u32]) -> String {
        (**self).decode(ids)
    }
}

/// The state of one row while it is being generated.
#[derive(Clone, Debug, Default)]
pub struct RowState {
    /// Tokens that will replace the next samples, in order.
    forced: VecDeque<u32>,
    in_python: bool,
    /// Tokens of the expression so far.
    expression: Vec<u32>,
    completed: bool,
}

impl RowState {
    /// A row at the end of its prompt. Tool tokens inside the prompt are history and have no effect.
    pub fn new() -> Self {
        Self::default()
    }

    /// Has the row reached `<|assistant_end|>` or `<|bos|>`? Its later tokens mean nothing.
    pub fn completed(&self) -> bool {
        self.completed
    }

    /// The token of this column and whether it is the sampled one: a forced token goes first, and the sample
    /// is dropped.
    pub fn choose(&mut self, sampled: u32) -> (u32, bool) {
        match self.forced.pop_front() {
            Some(token) => (token, planted!("tools.forced_tokens_count_as_drawn", false => true)),
            None => (sampled, true),
        }
    }

    /// Moves the machine by the token that [`choose`](Self::choose) returned.
    ///
    /// `python_start` begins an expression, also inside one (the tokens so far are dropped). `python_end`
    /// outside an expression is ignored. An expression without a result forces nothing: the model goes on as
    /// it likes.
    pub fn observe(&mut self, token: u32, tokens: &impl ToolTokens) {
        if token == tokens.assistant_end() || token == tokens.bos() {
            self.completed = true;
        }
        if token == tokens.python_start() {
            self.in_python = true;
            planted!("tools.second_start_keeps_the_first", self.expression.clear() => ());
        } else if !self.in_python {
            // Outside an expression nothing is collected.
        } else if token == tokens.python_end() {
            self.in_python = false;
            let expression = std::mem::take(&mut self.expression);
            if let Some(result) = use_calculator(&tokens.decode(&expression)) {
                self.forced.push_back(tokens.output_start());
                self.forced.extend(tokens.encode(&result));
                self.forced.push_back(tokens.output_end());
            }
        } else {
            self.expression.push(token);
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// One token per ASCII character; the special tokens are 128 and up.
    pub struct Bytes;

    pub const BOS: u32 = 128;
    pub const END: u32 = 129;
    pub const PYTHON: u32 = 130;
    pub const PYTHON_END: u32 = 131;
    pub const OUTPUT: u32 = 132;
    pub const OUTPUT_END: u32 = 133;

    impl ToolTokens for Bytes {
        fn bos(&self) -> u32 {
            BOS
        }
        fn assistant_end(&self) -> u32 {
            END
        }
        fn python_start(&self) -> u32 {
            PYTHON
        }
        fn python_end(&self) -> u32 {
            PYTHON_END
        }
        fn output_start(&self) -> u32 {
            OUTPUT
        }
        fn output_end(&self) -> u32 {
            OUTPUT_END
        }
        fn encode(&self, text: &str) -> Vec<u32> {
            text.bytes().map(u32::from).collect()
        }
        fn decode(&self, ids: &[u32]) -> String {
            ids.iter()
                .map(|&id| if id < 128 { char::from(id as u8).to_string() } else { format!("<|{id}|>") })
                .collect()
        }
    }

    /// Feeds the tokens in, then draws with the sample `?` until nothing is forced any more.
    fn forced_after(fed: &[u32]) -> Vec<u32> {
        let mut row = RowState::new();
        for &token in fed {
            row.observe(token, &Bytes);
        }
        let mut forced = Vec::new();
        while let (token, false) = row.choose(u32::from(b'?')) {
            forced.push(token);
            row.observe(token, &Bytes);
        }
        forced
    }

    fn call(expression: &str) -> Vec<u32> {
        [&[PYTHON], Bytes.encode(expression).as_slice(), &[PYTHON_END]].concat()
    }

    #[test]
    fn a_finished_expression_forces_its_result() {
        assert_eq!(
            forced_after(&call("6*7")),
            [&[OUTPUT], Bytes.encode("42").as_slice(), &[OUTPUT_END]].concat()
        );
    }

    #[test]
    fn zero_is_a_result_and_an_error_is_none() {
        assert_eq!(forced_after(&call("1-1")), vec![OUTPUT, u32::from(b'0'), OUTPUT_END]);
        assert!(forced_after(&call("1/0")).is_empty());
        assert!(forced_after(&call("")).is_empty());
    }

    #[test]
    fn a_second_start_drops_the_tokens_before_it() {
        assert_eq!(forced_after(&[&[PYTHON, u32::from(b'9')][..], &call("2")].concat()).len(), 3);
    }

    #[test]
    fn an_end_without_a_start_is_ignored() {
        assert!(forced_after(&[u32::from(b'1'), PYTHON_END]).is_empty());
    }

    #[test]
    fn terminators_complete_the_row_even_inside_an_expression() {
        for terminator in [BOS, END] {
            let mut row = RowState::new();
            row.observe(PYTHON, &Bytes);
            assert!(!row.completed());
            row.observe(terminator, &Bytes);
            assert!(row.completed());
        }
    }

    #[test]
    fn a_special_token_inside_an_expression_spoils_it() {
        assert!(forced_after(&[PYTHON, u32::from(b'2'), OUTPUT, PYTHON_END]).is_empty());
    }
}
