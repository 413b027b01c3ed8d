//! What the pictures are drawn with: a style that follows the reader's light or dark scheme, lines and words.

use std::fmt::Write;

/// Text sizes `t` and `a`; `bg` the ground, `g` a grid, `r` a roof (`d` dashed), `m` and `c` two kinds of dots, `l` a leader.
pub const STYLE: &str = "\
text{font:10px ui-monospace,Menlo,Consolas,monospace;fill:#1f2328}.t{font-size:14px}.a{font-size:12px}\
.bg{fill:#fff}.g{stroke:#d8dee4;stroke-width:.6}.r{stroke:#57606a;stroke-width:1.6;fill:none}.d{stroke-dasharray:6 4}\
.m{fill:#0969da}.c{fill:#cf222e}.l{stroke:#8c959f;stroke-width:.6}\
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.bg{fill:#0d1117}.g{stroke:#30363d}.r{stroke:#9198a1}\
.m{fill:#58a6ff}.c{fill:#ff7b72}.l{stroke:#6e7681}}";

/// A line of a class of [`STYLE`].
pub fn line(out: &mut String, class: &str, a: [f64; 2], b: [f64; 2]) {
    let ([x1, y1], [x2, y2]) = (a, b);
    let _ = writeln!(
        out,
        "<line class=\"{class}\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>"
    );
}

/// Words at a point; `anchor` is `start`, `middle` or `end`.
pub fn text(out: &mut String, class: &str, [x, y]: [f64; 2], anchor: &str, words: &str) {
    let class = if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
    let words = escaped(words);
    let _ = writeln!(out, "<text{class} x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{words}</text>");
}

/// As XML wants it.
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
