//! How facts are told and asked: for every relation its statements, questions and reply.
//!
//! The idea: a fact is *stated* in documents (at least four ways) and *asked* in conversations, and the two never share a
//! sentence, so an answer to a held-out question is knowledge carried over from reading, not an echo. In every statement
//! the value comes after the subject wherever English allows, which is the direction a causal model reads and retrieves.
//! Replies do not begin with the subject: a name after a space has the same tokens as in the question and can be copied.
//! Slots: `{s}` subject, `{p}` its plural, `{v}` value, `{he} {his} {him}` pronouns. Next: `world.rs`, `documents.rs`.

/// One kind of fact: "subject has value".
#[derive(Debug)]
pub struct Relation {
    /// Its name in test questions.
    pub name: &'static str,
    /// Sentences of documents that name the subject.
    pub statements: &'static [&'static str],
    /// Sentences that follow one which named the subject.
    pub pronoun: &'static [&'static str],
    /// What the subject says of itself.
    pub first_person: &'static [&'static str],
    /// What others ask the subject.
    pub asked: &'static [&'static str],
    /// Questions; never part of a document.
    pub questions: &'static [&'static str],
    /// Questions in a conversation that has already named the subject.
    pub follow_up: &'static [&'static str],
    /// The answer of the assistant.
    pub reply: &'static str,
    /// The answer to a question about the plural.
    pub reply_plural: &'static str,
}

impl Relation {
    /// The answer that fits the number of a question: one lion, many lions.
    pub fn reply_to(&self, question: &str) -> &'static str {
        if question.contains("{p}") { self.reply_plural } else { self.reply }
    }
}

/// Where a person lives.
pub static HOME: Relation = Relation {
    name: "home",
    statements: &[
        "{s} lives in {v}.",
        "{s} has a house in {v}.",
        "The home town of {s} is {v}.",
        "{s} comes from {v}.",
        "The home of {s} is in {v}.",
        "You can meet {s} in {v}.",
    ],
    pronoun: &["{He} lives in {v}.", "{His} home town is {v}.", "{His} house is in {v}."],
    first_person: &["I live in {v}.", "My home town is {v}.", "I come from {v}."],
    asked: &["Where do you live?", "Which town do you come from?"],
    questions: &[
        "Where does {s} live?",
        "In which town does {s} live?",
        "What is the home town of {s}?",
        "Which town does {s} come from?",
    ],
    follow_up: &["And where does {he} live?", "What is {his} home town?"],
    reply: "The home of {s} is in {v}.",
    reply_plural: "",
};

/// What a person does for a living.
pub static JOB: Relation = Relation {
    name: "job",
    statements: &[
        "{s} works as {a v}.",
        "{s} is {a v}.",
        "The job of {s} is that of {a v}.",
        "{s} earns a living as {a v}.",
        "People know {s} as {a v}.",
        "For many years {s} has been {a v}.",
    ],
    pronoun: &["{He} works as {a v}.", "{He} is {a v}.", "{He} has been {a v} for many years."],
    first_person: &["I work as {a v}.", "I am {a v}.", "I earn my living as {a v}."],
    asked: &["What is your job?", "What do you do for a living?"],
    questions: &[
        "What is the job of {s}?",
        "What does {s} do for a living?",
        "What work does {s} do?",
        "Which job does {s} have?",
    ],
    follow_up: &["And what is {his} job?", "What does {he} do for a living?"],
    reply: "The job of {s} is that of {a v}.",
    reply_plural: "",
};

/// Which pet a person has.
pub static PET: Relation = Relation {
    name: "pet",
    statements: &[
        "{s} has {a v}.",
        "{s} keeps {a v} as a pet.",
        "The pet of {s} is {a v}.",
        "{s} takes care of {a v}.",
        "At home {s} has {a v}.",
        "{s} lives together with {a v}.",
    ],
    pronoun: &["{He} has {a v}.", "{His} pet is {a v}.", "{He} takes care of {a v}."],
    first_person: &["I have {a v}.", "My pet is {a v}.", "I take care of {a v}."],
    asked: &["Which pet do you have?", "What kind of animal do you have at home?"],
    questions: &[
        "What pet does {s} have?",
        "Which pet does {s} keep?",
        "What kind of animal does {s} have at home?",
        "Which animal belongs to {s}?",
    ],
    follow_up: &["And what pet does {he} have?", "Which pet does {he} keep?"],
    reply: "The pet of {s} is {a v}.",
    reply_plural: "",
};

/// What a person likes to eat best.
pub static FOOD: Relation = Relation {
    name: "food",
    statements: &[
        "{s} likes to eat {v}.",
        "The favorite food of {s} is {v}.",
        "{s} loves {v}.",
        "For dinner {s} often has {v}.",
        "{s} would eat {v} every day.",
        "What {s} likes best is {v}.",
    ],
    pronoun: &["{He} likes to eat {v}.", "{His} favorite food is {v}.", "{He} loves {v}."],
    first_person: &["I like to eat {v}.", "My favorite food is {v}.", "I love {v}."],
    asked: &["What is your favorite food?", "What food do you like best?"],
    questions: &[
        "What is the favorite food of {s}?",
        "What does {s} like to eat?",
        "Which food does {s} love?",
        "What food does {s} like best?",
    ],
    follow_up: &["And what is {his} favorite food?", "What does {he} like to eat?"],
    reply: "The favorite food of {s} is {v}.",
    reply_plural: "",
};

/// Which region a town belongs to.
pub static REGION: Relation = Relation {
    name: "region",
    statements: &[
        "{s} is a town in {v}.",
        "{s} lies in {v}.",
        "You can find {s} in {v}.",
        "The town of {s} is part of {v}.",
        "{s} belongs to {v}.",
    ],
    pronoun: &["It lies in {v}.", "The town belongs to {v}."],
    first_person: &[],
    asked: &[],
    questions: &[
        "In which region is {s}?",
        "Which region does {s} belong to?",
        "Where can I find the town of {s}?",
        "What region is {s} part of?",
    ],
    follow_up: &["And which region does it belong to?"],
    reply: "The town of {s} is part of {v}.",
    reply_plural: "",
};

/// Which river a town stands on.
pub static RIVER: Relation = Relation {
    name: "river",
    statements: &[
        "{s} stands on the river {v}.",
        "{s} was built by the river {v}.",
        "In {s} children swim in the river {v}.",
        "The bridge of {s} crosses the river {v}.",
        "Boats come to {s} on the river {v}.",
        "The river in {s} is the {v}.",
    ],
    pronoun: &["It stands on the river {v}.", "The bridge crosses the river {v}."],
    first_person: &[],
    asked: &[],
    questions: &[
        "Which river flows through {s}?",
        "What is the river in {s} called?",
        "On which river does {s} stand?",
        "Which river can I see in {s}?",
    ],
    follow_up: &["And which river flows through it?"],
    reply: "The river in {s} is the {v}.",
    reply_plural: "",
};

/// What a town is known for.
pub static FAMOUS: Relation = Relation {
    name: "famous",
    statements: &[
        "The town of {s} is known for its {v}.",
        "{s} is famous for {v}.",
        "People come to {s} to buy {v}.",
        "The market of {s} sells fine {v}.",
        "The workers of {s} make {v}.",
    ],
    pronoun: &["It is known for its {v}.", "The workers there make {v}."],
    first_person: &[],
    asked: &[],
    questions: &[
        "What is {s} known for?",
        "What is {s} famous for?",
        "What can I buy in {s}?",
        "What do the people of {s} make?",
    ],
    follow_up: &["And what is it known for?"],
    reply: "The town of {s} is known for its {v}.",
    reply_plural: "",
};

/// Where an animal lives.
pub static HABITAT: Relation = Relation {
    name: "habitat",
    statements: &[
        "{A s} lives in the {v}.",
        "{P} live in the {v}.",
        "Most {p} live in the {v}.",
        "You can see {p} in the {v}.",
        "The home of {a s} is the {v}.",
        "{P} find their food in the {v}.",
    ],
    pronoun: &["It lives in the {v}.", "Its home is the {v}."],
    first_person: &[],
    asked: &[],
    questions: &[
        "Where does {a s} live?",
        "Where do {p} live?",
        "What is the home of {a s}?",
        "Where can I see {p}?",
    ],
    follow_up: &["And where does it live?"],
    reply: "{A s} lives in the {v}.",
    reply_plural: "Most {p} live in the {v}.",
};

/// What an animal eats.
pub static DIET: Relation = Relation {
    name: "diet",
    statements: &[
        "{A s} eats {v}.",
        "{P} eat {v}.",
        "Most {p} eat {v}.",
        "{P} live on {v}.",
        "A hungry {s} looks for {v}.",
        "The food of {a s} is {v}.",
    ],
    pronoun: &["It eats {v}.", "Its food is {v}."],
    first_person: &[],
    asked: &[],
    questions: &[
        "What does {a s} eat?",
        "What do {p} eat?",
        "What is the food of {a s}?",
        "Which food do {p} look for?",
    ],
    follow_up: &["And what does it eat?"],
    reply: "{A s} eats {v}.",
    reply_plural: "Most {p} eat {v}.",
};

/// Which class an animal belongs to.
pub static CLASS: Relation = Relation {
    name: "class",
    statements: &[
        "{A s} is {a v}.",
        "Every {s} is {a v}.",
        "The {s} is {a v}.",
        "As you know, {a s} is {a v}.",
        "In the book of animals {a s} is called {a v}.",
    ],
    pronoun: &["It is {a v}."],
    first_person: &[],
    asked: &[],
    questions: &[
        "What kind of animal is {a s}?",
        "Which class of animals does {a s} belong to?",
        "What type of animal is the {s}?",
        "What sort of animal is the {s}?",
    ],
    follow_up: &["And what kind of animal is it?"],
    reply: "{A s} is {a v}.",
    reply_plural: "",
};

/// How many legs an animal has.
pub static LEGS: Relation = Relation {
    name: "legs",
    statements: &[
        "{A s} has {v} legs.",
        "{P} have {v} legs.",
        "All {p} have {v} legs.",
        "The {s} has {v} legs.",
        "A grown {s} has {v} legs.",
    ],
    pronoun: &["It has {v} legs."],
    first_person: &[],
    asked: &[],
    questions: &[
        "How many legs does {a s} have?",
        "How many legs do {p} have?",
        "What number of legs does {a s} have?",
    ],
    follow_up: &["And how many legs does it have?"],
    reply: "{A s} has {v} legs.",
    reply_plural: "All {p} have {v} legs.",
};

/// Which sound an animal makes.
pub static SOUND: Relation = Relation {
    name: "sound",
    statements: &[
        "You can hear {a s} {v}.",
        "You can hear {p} {v}.",
        "As a rule {p} {v}.",
        "At night {p} sometimes {v}.",
        "When {p} call, they {v}.",
    ],
    pronoun: &["It can {v}."],
    first_person: &[],
    asked: &[],
    questions: &["What can you hear {a s} do?", "What sound do {p} make?", "Which sound does {a s} make?"],
    follow_up: &["And what sound does it make?"],
    reply: "You can hear {a s} {v}.",
    reply_plural: "You can hear {p} {v}.",
};

/// The capital of a country.
pub static CAPITAL: Relation = Relation {
    name: "capital",
    statements: &[
        "The capital of {s} is {v}.",
        "{s} has its capital in {v}.",
        "People in {s} call {v} their capital.",
        "The largest city I know in {s} is its capital, {v}.",
        "In {s} the capital city is {v}.",
    ],
    pronoun: &["Its capital is {v}."],
    first_person: &[],
    asked: &[],
    questions: &[
        "What is the capital of {s}?",
        "Which city is the capital of {s}?",
        "Can you tell me the capital of {s}?",
        "What is the capital city of {s} called?",
    ],
    follow_up: &["And what is its capital?"],
    reply: "The capital of {s} is {v}.",
    reply_plural: "",
};

/// What a material is made from.
pub static MADE_FROM: Relation = Relation {
    name: "made-from",
    statements: &[
        "{S} is made from {v}.",
        "To make {s} you need {v}.",
        "We get {s} from {v}.",
        "{S} comes from {v}.",
    ],
    pronoun: &["It is made from {v}."],
    first_person: &[],
    asked: &[],
    questions: &["What is {s} made from?", "What do you need to make {s}?", "Where does {s} come from?"],
    follow_up: &[],
    reply: "We get {s} from {v}.",
    reply_plural: "",
};

/// The symbol of an element.
pub static SYMBOL: Relation = Relation {
    name: "symbol",
    statements: &[
        "The chemical symbol of {s} is {v}.",
        "{S} has the chemical symbol {v}.",
        "For {s} we write {v}.",
        "The symbol for {s} is {v}.",
    ],
    pronoun: &["Its symbol is {v}."],
    first_person: &[],
    asked: &[],
    questions: &[
        "What is the chemical symbol of {s}?",
        "What is the symbol for {s}?",
        "How do we write {s} in chemistry?",
    ],
    follow_up: &[],
    reply: "The chemical symbol of {s} is {v}.",
    reply_plural: "",
};

/// The place of a planet, counted from the sun.
pub static ORDER: Relation = Relation {
    name: "order",
    statements: &[
        "{s} is the {v} planet from the sun.",
        "Counted from the sun, {s} is the {v} planet.",
        "The planet {s} comes {v}.",
        "{s} is planet number {v} in the line.",
    ],
    pronoun: &["It is the {v} planet from the sun."],
    first_person: &[],
    asked: &[],
    questions: &[
        "Which planet from the sun is {s}?",
        "What place does the planet {s} have, counted from the sun?",
    ],
    follow_up: &[],
    reply: "Counted from the sun, {s} is the {v} planet.",
    reply_plural: "",
};

/// The opposite of a word.
pub static OPPOSITE: Relation = Relation {
    name: "opposite",
    statements: &[
        "The opposite of {s} is {v}.",
        "What is not {s} is {v}.",
        "If it is not {s}, it may be {v}.",
        "The words {s} and {v} are opposites.",
    ],
    pronoun: &[],
    first_person: &[],
    asked: &[],
    questions: &[
        "What is the opposite of {s}?",
        "Which word is the opposite of {s}?",
        "What do you call the opposite of {s}?",
    ],
    follow_up: &[],
    reply: "The opposite of {s} is {v}.",
    reply_plural: "",
};

/// The colour of a thing, in American spelling as in the rest of the corpus.
pub static COLOUR: Relation = Relation {
    name: "color",
    statements: &[
        "{S} are {v}.",
        "The color of {s} is {v}.",
        "Most {s} are {v}.",
        "I have seen {s}, and they were {v}.",
    ],
    pronoun: &["They are {v}."],
    first_person: &[],
    asked: &[],
    questions: &["What color are {s}?", "What is the color of {s}?", "Which color do {s} have?"],
    follow_up: &[],
    reply: "The color of {s} is {v}.",
    reply_plural: "",
};

/// The day or month that comes next.
pub static NEXT: Relation = Relation {
    name: "next",
    statements: &[
        "After {s} comes {v}.",
        "{s} is followed by {v}.",
        "When {s} is over, it is {v}.",
        "Next after {s} is {v}.",
    ],
    pronoun: &[],
    first_person: &[],
    asked: &[],
    questions: &["What comes after {s}?", "What follows {s}?"],
    follow_up: &[],
    reply: "After {s} comes {v}.",
    reply_plural: "",
};

/// The day that comes two days later.
pub static TOMORROW: Relation = Relation {
    name: "tomorrow",
    statements: &[
        "If yesterday was {s}, then tomorrow will be {v}.",
        "Yesterday was {s}, so tomorrow is {v}.",
        "Two days after {s} it is {v}.",
        "From {s} it takes two days to {v}.",
    ],
    pronoun: &[],
    first_person: &[],
    asked: &[],
    questions: &[
        "If yesterday was {s}, what day will tomorrow be?",
        "Yesterday was {s}. What day is tomorrow?",
    ],
    follow_up: &[],
    reply: "If yesterday was {s}, then tomorrow will be {v}.",
    reply_plural: "",
};
