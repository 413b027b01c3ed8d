//! Arithmetic: plain sums and word problems, for documents, conversations and the test.
//!
//! The idea: the model need not compute. It learns to *copy* the two numbers of a question into an expression such as
//! `37+45` and lets the calculator work, so what it must learn is which operation a sentence asks for and where the
//! operands stand. Operand pairs are split by a hash of the unordered pair: a pair of the test never occurs in training,
//! in either order, with any operation. Numbers are written without separators, so a number has the same tokens wherever
//! it stands. Next: `letters.rs`, the other tool.

use super::lexicon::THINGS;
use super::phrase::Slots;
use super::rng::{Rng, mix};
use super::world::{Subject, Topic, World};

/// Which side of the split an operand pair is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Split {
    Train,
    Test,
}

/// One pair in eight belongs to the test.
pub(super) fn split_of(seed: u64, x: u32, y: u32) -> Split {
    let pair = (u64::from(x.min(y)) << 32) | u64::from(x.max(y));
    if mix(mix(seed ^ 0x5EED) ^ pair).is_multiple_of(8) { Split::Test } else { Split::Train }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Op {
    Add,
    Sub,
    Mul,
    Div,
}

const OPS: [Op; 4] = [Op::Add, Op::Sub, Op::Mul, Op::Div];

/// Two operands and an operation; subtraction stays positive and division exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Sum {
    pub op: Op,
    pub x: u32,
    pub y: u32,
}

impl Sum {
    pub fn result(self) -> u32 {
        match self.op {
            Op::Add => self.x + self.y,
            Op::Sub => self.x - self.y,
            Op::Mul => self.x * self.y,
            Op::Div => self.x / self.y,
        }
    }

    /// What the calculator gets. `//` because `/` would answer 21.0.
    pub fn expression(self) -> String {
        let op = match self.op {
            Op::Add => "+",
            Op::Sub => "-",
            Op::Mul => "*",
            Op::Div => "//",
        };
        format!("{}{op}{}", self.x, self.y)
    }

    fn sign(self) -> &'static str {
        match self.op {
            Op::Add => "+",
            Op::Sub => "-",
            Op::Mul => "*",
            Op::Div => "/",
        }
    }

    /// `37 + 45 = 82`.
    pub fn equation(self) -> String {
        format!("{} {} {} = {}", self.x, self.sign(), self.y, self.result())
    }

    fn slots(self) -> Slots {
        Slots::new().with("x", self.x).with("y", self.y).with("o", self.sign()).with("r", self.result())
    }

    /// A random sum of the split. `large` allows three digits.
    pub fn draw(rng: &mut Rng, seed: u64, split: Split, large: bool) -> Sum {
        let op = rng.pick(&OPS);
        loop {
            let sum = Sum::operands(rng, op, large);
            if split_of(seed, sum.x, sum.y) == split {
                return sum;
            }
        }
    }

    fn operands(rng: &mut Rng, op: Op, large: bool) -> Sum {
        let wide = |rng: &mut Rng| {
            let high = if large && rng.chance(40) { 999 } else { 99 };
            if rng.chance(15) { rng.between(2, 9) } else { rng.between(10, high) }
        };
        match op {
            Op::Add => Sum { op, x: wide(rng), y: wide(rng) },
            Op::Sub => {
                let (a, b) = (wide(rng), wide(rng));
                if a.abs_diff(b) < 2 {
                    Sum { op, x: a.max(b) + 2, y: a.min(b) }
                } else {
                    Sum { op, x: a.max(b), y: a.min(b) }
                }
            }
            Op::Mul => {
                let (small, big) = (rng.between(2, 12), rng.between(2, 99));
                if rng.chance(50) { Sum { op, x: small, y: big } } else { Sum { op, x: big, y: small } }
            }
            Op::Div => {
                let (y, quotient) = (rng.between(2, 12), rng.between(2, if large { 80 } else { 20 }));
                Sum { op, x: y * quotient, y }
            }
        }
    }
}

/// Ways to ask for a sum without a story.
fn plain_templates(op: Op) -> &'static [&'static str] {
    match op {
        Op::Add => &[
            "How much is {x} plus {y}?",
            "What is the sum of {x} and {y}?",
            "Add {x} and {y}.",
            "What do you get when you add {x} to {y}?",
        ],
        Op::Sub => &[
            "How much is {x} minus {y}?",
            "What is {x} minus {y}?",
            "Take {y} away from {x}.",
            "Subtract {y} from {x}.",
        ],
        Op::Mul => &[
            "How much is {x} times {y}?",
            "What is {x} times {y}?",
            "Multiply {x} by {y}.",
            "What is the product of {x} and {y}?",
        ],
        Op::Div => &[
            "How much is {x} divided by {y}?",
            "What is {x} divided by {y}?",
            "Divide {x} by {y}.",
            "How many times does {y} go into {x}?",
        ],
    }
}

/// Ways to ask with the sign.
const SIGN_TEMPLATES: &[&str] = &[
    "What is {x} {o} {y}?",
    "Calculate {x} {o} {y}.",
    "{x} {o} {y} = ?",
    "Please work out {x} {o} {y}.",
    "{x} {o} {y}",
];

/// A question for a plain sum, and the reply.
pub(super) fn plain_question(rng: &mut Rng, sum: Sum) -> (String, String) {
    let template = if rng.chance(50) { rng.pick(SIGN_TEMPLATES) } else { rng.pick(plain_templates(sum.op)) };
    (sum.slots().fill(template), format!("{}.", sum.equation()))
}

/// A story with two numbers: the text, the question at its end, the reply. `{t}` is a second person, `{n}` the things.
#[derive(Clone, Copy)]
struct Problem {
    text: &'static str,
    question: &'static str,
    reply: &'static str,
}

const fn problem(text: &'static str, question: &'static str, reply: &'static str) -> Problem {
    Problem { text, question, reply }
}

static ADD: &[Problem] = &[
    problem(
        "{s} has {x} {n}. {He} buys {y} more.",
        "How many {n} does {s} have now?",
        "{s} has {r} {n} now.",
    ),
    problem(
        "{s} has {x} {n} and {t} has {y} {n}.",
        "How many {n} do they have together?",
        "Together they have {r} {n}.",
    ),
    problem(
        "There are {x} {n} in a box and {y} {n} on the table.",
        "How many {n} are there in all?",
        "There are {r} {n} in all.",
    ),
    problem(
        "{s} found {x} {n} on Monday and {y} {n} on Tuesday.",
        "How many {n} did {s} find?",
        "{s} found {r} {n}.",
    ),
    problem(
        "A shop sold {x} {n} in the morning and {y} in the evening.",
        "How many {n} did the shop sell?",
        "The shop sold {r} {n}.",
    ),
    problem(
        "{s} had {x} {n}. Then {t} gave {him} {y} more.",
        "How many {n} does {s} have now?",
        "{s} has {r} {n} now.",
    ),
];

static SUB: &[Problem] = &[
    problem(
        "{s} has {x} {n}. {He} gives {y} of them to {t}.",
        "How many {n} does {s} have left?",
        "{s} has {r} {n} left.",
    ),
    problem(
        "There are {x} {n} in the shop. {s} buys {y} of them.",
        "How many {n} are left in the shop?",
        "There are {r} {n} left in the shop.",
    ),
    problem(
        "{s} has {x} {n} and {t} has {y} {n}.",
        "How many more {n} does {s} have than {t}?",
        "{s} has {r} more {n} than {t}.",
    ),
    problem(
        "{s} needs {x} {n} and already has {y}.",
        "How many {n} are still missing?",
        "There are still {r} {n} missing.",
    ),
    problem(
        "{s} had {x} {n} but lost {y} of them.",
        "How many {n} does {s} still have?",
        "{s} still has {r} {n}.",
    ),
];

static MUL: &[Problem] = &[
    problem(
        "There are {x} boxes with {y} {n} in each box.",
        "How many {n} are there in all?",
        "There are {r} {n} in all.",
    ),
    problem("{s} buys {x} bags. Each bag holds {y} {n}.", "How many {n} does {s} have?", "{s} has {r} {n}."),
    problem(
        "{s} finds {x} {n} every day.",
        "How many {n} does {s} find in {y} days?",
        "{s} finds {r} {n} in all.",
    ),
    problem(
        "{s} puts {x} {n} on each of {y} shelves.",
        "How many {n} are on the shelves?",
        "There are {r} {n} on the shelves.",
    ),
    problem("Each of {x} friends brings {y} {n}.", "How many {n} do they bring?", "They bring {r} {n}."),
];

static DIV: &[Problem] = &[
    problem(
        "{s} shares {x} {n} among {y} friends.",
        "How many {n} does each friend get?",
        "Each friend gets {r} {n}.",
    ),
    problem(
        "{s} puts {x} {n} into {y} boxes, the same number in each.",
        "How many {n} are in one box?",
        "There are {r} {n} in one box.",
    ),
    problem(
        "There are {x} {n} in {y} bags. Each bag holds the same number.",
        "How many {n} are in one bag?",
        "There are {r} {n} in one bag.",
    ),
    problem(
        "{s} has {x} {n} and wants to use them up in {y} days.",
        "How many {n} are there for each day?",
        "There are {r} {n} for each day.",
    ),
];

/// A word problem: text, question, reply.
pub(super) struct WordProblem {
    pub text: String,
    pub question: String,
    pub reply: String,
}

/// Tells a sum as a story about two of the `people`.
pub(super) fn word_problem(rng: &mut Rng, sum: Sum, people: &[&Subject]) -> WordProblem {
    let story = rng.pick(match sum.op {
        Op::Add => ADD,
        Op::Sub => SUB,
        Op::Mul => MUL,
        Op::Div => DIV,
    });
    let first = rng.below(people.len());
    let second = (first + 1 + rng.below(people.len() - 1)) % people.len();
    let slots = people[first].slots().with("t", &people[second].name).with("n", rng.pick(THINGS));
    let slots = slots.with("x", sum.x).with("y", sum.y).with("r", sum.result());
    WordProblem {
        text: slots.fill(story.text),
        question: slots.fill(story.question),
        reply: slots.fill(story.reply),
    }
}

/// A page of arithmetic: a solved problem, or lines of the calculator's log.
pub(super) fn document(rng: &mut Rng, world: &World) -> String {
    let draw = |rng: &mut Rng, large| Sum::draw(rng, world.seed, Split::Train, large);
    if rng.chance(50) {
        let sum = draw(rng, false);
        let WordProblem { text, question, reply } = word_problem(rng, sum, &world.of(Topic::Person));
        let solution = if rng.chance(50) { sum.equation() } else { format!("type {}", sum.expression()) };
        return format!("Problem: {text} {question}\nSolution: {solution}. {reply}");
    }
    let mut lines = Vec::new();
    for _ in 0..rng.between(2, 4) {
        let sum = draw(rng, true);
        lines.push(match rng.below(5) {
            0 => format!("{}.", sum.equation()),
            1 => format!("The calculator gets {} and says {}.", sum.expression(), sum.result()),
            2 => format!("To solve {} {} {}, type {}.", sum.x, sum.sign(), sum.y, sum.expression()),
            3 => format!("Exercise: {} Type {}.", plain_question(rng, sum).0, sum.expression()),
            _ => sum.slots().fill(match sum.op {
                Op::Add => "{x} plus {y} is {r}.",
                Op::Sub => "{x} minus {y} is {r}.",
                Op::Mul => "{x} times {y} is {r}.",
                Op::Div => "{x} divided by {y} is {r}.",
            }),
        });
    }
    lines.join(if rng.chance(50) { "\n" } else { " " })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_whole_positive_and_on_their_side_of_the_split() {
        let mut rng = Rng::new(1, 0);
        for i in 0..4000 {
            let split = if i % 2 == 0 { Split::Train } else { Split::Test };
            let sum = Sum::draw(&mut rng, 9, split, i % 3 == 0);
            assert_eq!(split_of(9, sum.y, sum.x), split);
            assert!(sum.result() >= 2 && sum.x < 1002, "{sum:?}");
            assert!(sum.op != Op::Div || sum.x.is_multiple_of(sum.y), "{sum:?}");
        }
    }

    #[test]
    fn the_equation_reads_as_people_write_it() {
        let sum = Sum { op: Op::Div, x: 84, y: 4 };
        assert_eq!((sum.expression().as_str(), sum.equation().as_str()), ("84//4", "84 / 4 = 21"));
    }
}
