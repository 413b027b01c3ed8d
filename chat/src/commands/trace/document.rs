//! The document being written: Markdown with coloured spans, and the list of items behind it.
//!
//! Section headings are purple, names of items blue, values green, notes yellow, the banner of an iteration red. Every
//! item goes to both the text and the list, so the two cannot differ.

use super::numbers::{Stats, six, tuple};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt::Write;
use tensor::Tensor;

/// One traced value.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Item {
    /// Which iteration, from 1.
    pub iteration: usize,
    /// A short name for programs: `block0.q_rope`.
    pub id: String,
    /// The name in the document.
    pub name: String,
    /// Shape.
    pub shape: Vec<usize>,
    /// Element type.
    pub dtype: String,
    /// Where it lives.
    pub device: String,
    /// Mean. These four are `null` in JSON where they are not finite numbers.
    #[serde(serialize_with = "to_json", deserialize_with = "from_json")]
    pub mean: f64,
    /// Sample standard deviation.
    #[serde(serialize_with = "to_json", deserialize_with = "from_json")]
    pub std: f64,
    /// Smallest element.
    #[serde(serialize_with = "to_json", deserialize_with = "from_json")]
    pub min: f64,
    /// Largest element.
    #[serde(serialize_with = "to_json", deserialize_with = "from_json")]
    pub max: f64,
    /// Elements that are exactly 0.
    pub zeros: u64,
}

fn to_json<S: Serializer>(v: &f64, s: S) -> Result<S::Ok, S::Error> {
    v.is_finite().then_some(*v).serialize(s)
}
fn from_json<'de, D: Deserializer<'de>>(d: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(d)?.unwrap_or(f64::NAN))
}

/// What an item is, without its numbers.
pub struct Facts {
    shape: Vec<usize>,
    dtype: String,
    device: String,
}

impl Facts {
    /// Of a tensor.
    pub fn of(t: &Tensor) -> Facts {
        Facts { shape: t.dims().to_vec(), dtype: t.dtype().to_string(), device: t.device().to_string() }
    }
    /// The same with another shape.
    pub fn shaped(self, dims: &[usize]) -> Facts {
        Facts { shape: dims.to_vec(), ..self }
    }
}

/// The text so far, and the items.
#[derive(Default)]
pub struct Document {
    /// Markdown.
    pub text: String,
    /// Every item, in order.
    pub items: Vec<Item>,
    /// Number of the current iteration.
    pub iteration: usize,
    /// The first error met where none could be returned.
    error: Option<tensor::TensorError>,
}

fn span(colour: &str, text: &str) -> String {
    format!("<span style=\"color:{colour}\">{text}</span>")
}

impl Document {
    /// A paragraph.
    pub fn text(&mut self, paragraph: &str) {
        let _ = write!(self.text, "{paragraph}\n\n"); // writing to a String cannot fail
    }
    /// A heading of the given level.
    pub fn heading(&mut self, level: usize, title: &str) {
        self.text(&format!("{} {}", "#".repeat(level), span("purple", title)));
    }
    /// A rule between sections.
    pub fn rule(&mut self) {
        self.text("---");
    }
    /// A remark.
    pub fn note(&mut self, remark: &str) {
        self.text(&format!("*{}*", span("goldenrod", remark)));
    }
    /// `name: value`, in a list.
    pub fn fact(&mut self, name: &str, value: &str) {
        let _ = writeln!(self.text, "- {name}: {}", span("green", value));
    }
    /// The end of a list of facts.
    pub fn end_facts(&mut self) {
        self.text.push('\n');
    }
    /// The banner of an iteration, between two lines of 80 `#`.
    pub fn banner(&mut self, title: &str) {
        let line = span("red", &"#".repeat(80));
        self.text(&format!("{line}<br>\n{}<br>\n{line}", span("red", &format!("**{title}**"))));
    }
    /// A tensor. Errors wait for [`Document::finish`], so that an observer, which has no result, can call this.
    pub fn item(&mut self, id: &str, name: &str, t: &Tensor, note: &str) -> Stats {
        match Stats::of(t) {
            Ok(stats) => self.measured(id, name, Facts::of(t), stats, note),
            Err(error) => self.fail(error),
        }
    }
    /// Something whose statistics are known.
    pub fn measured(&mut self, id: &str, name: &str, facts: Facts, stats: Stats, note: &str) -> Stats {
        self.text(&span("blue", &format!("**{name}**")));
        self.fact("Shape", &tuple(&facts.shape));
        self.fact("Dtype", &facts.dtype);
        self.fact("Device", &facts.device);
        let numbers = [("Mean", stats.mean()), ("Std", stats.std()), ("Min", stats.min), ("Max", stats.max)];
        for (name, value) in numbers {
            self.fact(name, &six(value));
        }
        self.end_facts();
        if !note.is_empty() {
            self.note(note);
        }
        let [mean, std, min, max] = numbers.map(|(_, v)| v);
        let Facts { shape, dtype, device } = facts;
        let (iteration, zeros) = (self.iteration, stats.zeros);
        let (id, name) = (id.to_string(), name.to_string());
        self.items.push(Item { iteration, id, name, shape, dtype, device, mean, std, min, max, zeros });
        stats
    }
    /// Remember an error; the statistics of nothing stand in for the missing ones.
    pub fn fail(&mut self, error: tensor::TensorError) -> Stats {
        self.error.get_or_insert(error);
        Stats::default()
    }
    /// The first error met on the way, if any.
    pub fn finish(&mut self) -> Result<(), tensor::TensorError> {
        self.error.take().map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tensor::Device;

    #[test]
    fn an_item_prints_its_facts_in_order_and_its_note_in_italics() {
        let mut doc = Document { iteration: 1, ..Document::default() };
        let t = Tensor::from_slice(&[1.0f32, -1.0, 0.5, 0.0], &[1, 4], Device::Cpu).unwrap();
        doc.item("x", "A value", &t, "a remark");
        let lines: Vec<&str> = doc.text.lines().filter(|l| !l.is_empty()).collect();
        let green = |name: &str, value: &str| format!("- {name}: <span style=\"color:green\">{value}</span>");
        assert_eq!(lines[0], "<span style=\"color:blue\">**A value**</span>");
        assert_eq!(lines[1], green("Shape", "(1, 4)"));
        assert_eq!(lines[2..4], [green("Dtype", "f32"), green("Device", "cpu")]);
        assert_eq!(lines[4..6], [green("Mean", "0.125000"), green("Std", "0.853913")]);
        assert_eq!(lines[6..8], [green("Min", "-1.000000"), green("Max", "1.000000")]);
        assert_eq!(lines[8], "*<span style=\"color:goldenrod\">a remark</span>*");
        assert_eq!((lines.len(), doc.items[0].zeros), (9, 1));
    }

    #[test]
    fn an_item_survives_json_and_its_nan_becomes_null() {
        let mut doc = Document::default();
        let loss = Tensor::from_slice(&[2.5f32], &[1], Device::Cpu).unwrap();
        doc.item("loss", "Loss", &loss, "");
        let json = serde_json::to_string(&doc.items).unwrap();
        assert!(json.contains("\"std\":null") && json.contains("\"mean\":2.5"), "{json}");
        let back: Vec<Item> = serde_json::from_str(&json).unwrap();
        assert!(back[0].std.is_nan() && back[0].mean == 2.5);
    }
}
