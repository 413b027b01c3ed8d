//! The calculator as a whole: a table made with Python, the reference dumps, and what cannot go in a table.

use super::{MAX_EXPRESSION_BYTES, use_calculator};

/// One case per line: the expression, a tab, what Python prints; nothing after the tab means no result.
const CASES: &str = include_str!("cases.txt");

#[test]
fn every_case_of_the_table_gives_what_python_gives() {
    let mut checked = 0;
    for line in CASES.lines() {
        let (expression, expected) = line.split_once('\t').unwrap();
        let expected = Some(expected).filter(|text| !text.is_empty());
        assert_eq!(use_calculator(expression).as_deref(), expected, "{expression}");
        checked += 1;
    }
    assert!(checked >= 300, "only {checked} cases in the table");
}

#[test]
#[allow(clippy::print_stderr)]
fn reference_dumps_agree() {
    let Ok(folder) = std::env::var("NANOCHAT_GOLDENS") else {
        eprintln!("notice: NANOCHAT_GOLDENS is not set, the calculator's reference dumps were not compared");
        return;
    };
    for generation in ["g1", "g2"] {
        let path = format!("{folder}/engine/{generation}/calculator.json");
        let rows: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let rows = rows.as_array().unwrap();
        assert!(!rows.is_empty());
        for row in rows {
            let expression = row["expr"].as_str().unwrap();
            assert_eq!(
                use_calculator(expression).as_deref(),
                row["str"].as_str(),
                "{generation}: {expression}"
            );
        }
    }
}

#[test]
fn integers_are_exact_but_no_longer_than_python_prints() {
    let nines = "9".repeat(4300);
    assert_eq!(use_calculator(&nines).as_deref(), Some(nines.as_str()));
    assert_eq!(use_calculator(&format!("-{nines}")), Some(format!("-{nines}")));
    assert_eq!(use_calculator(&format!("{nines}9")), None, "too long to read");
    assert_eq!(use_calculator(&format!("{nines}*10")), None, "too long to print");
    assert_eq!(use_calculator(&format!("{nines}*{nines}//{nines}")), Some(nines), "too long only on the way");
}

#[test]
fn doubles_overflow_to_infinity_but_integers_do_not_become_it() {
    let huge = "9".repeat(400);
    assert_eq!(use_calculator(&format!("{huge}.0")).as_deref(), Some("inf"));
    assert_eq!(use_calculator(&format!("-{huge}.0")).as_deref(), Some("-inf"));
    assert_eq!(use_calculator(&format!("{huge}.0-{huge}.0")).as_deref(), Some("nan"));
    assert_eq!(use_calculator(&format!("{huge}/1")), None);
    assert_eq!(use_calculator(&format!("{huge}+1.0")), None);
    assert_eq!(use_calculator(&format!("{huge}/{huge}")).as_deref(), Some("1.0"));
    assert_eq!(use_calculator(&format!("-1/{huge}")).as_deref(), Some("-0.0"));
}

#[test]
fn nothing_hangs_or_overflows_the_stack() {
    assert_eq!(use_calculator(&"(".repeat(60_000)), None);
    assert_eq!(use_calculator(&format!("{}1", "-".repeat(60_000))).as_deref(), Some("1"));
    assert_eq!(use_calculator(&format!("1{}", "+1".repeat(30_000))).as_deref(), Some("30001"));
    assert_eq!(use_calculator(&format!("9{}", "*9".repeat(32_000))), None, "30,536 digits");
    assert_eq!(use_calculator(&format!("'a'.count('a'){}", " or 1".repeat(10_000))).as_deref(), Some("1"));
    assert_eq!(use_calculator(&"1".repeat(MAX_EXPRESSION_BYTES + 1)), None);
}

#[test]
fn an_error_counts_only_where_python_would_have_looked() {
    assert_eq!(use_calculator("'a'.count('a') or missing").as_deref(), Some("1"));
    assert_eq!(use_calculator("'a'.count('b') or missing"), None);
    assert_eq!(use_calculator("missing if 'a'.count('b') else 7").as_deref(), Some("7"));
    assert_eq!(use_calculator("'a'.count('a') or )"), None, "syntax errors count everywhere");
}

/// How often, unless NANOCHAT_FUZZ says otherwise (`cargo xtask soak serve`).
const EXPRESSIONS: usize = 20_000;

/// Random pieces of expressions, some of them well put together. Nothing may panic, and everything must be over soon:
/// `SLOWEST` is thousands of times what a model's expression takes.
#[test]
fn whatever_a_model_writes_has_a_result_or_none_and_soon() {
    const SLOWEST: std::time::Duration = std::time::Duration::from_secs(2);
    const PIECES: [&str; 40] = [
        "0",
        "1",
        "9",
        "12",
        "007",
        "1.5",
        ".5",
        "5.",
        "1e9",
        "1_000",
        "+",
        "-",
        "*",
        "/",
        "//",
        "%",
        "**",
        "(",
        ")",
        "()",
        " ",
        ",",
        "'a'",
        "\"bc\"",
        "''",
        "'strawberry'",
        ".count(",
        ".count('r')",
        ".count()",
        " or ",
        " and ",
        " not ",
        " if ",
        " else ",
        " in ",
        "None",
        "True",
        "...",
        "x",
        "é",
    ];
    let count = std::env::var("NANOCHAT_FUZZ").map_or(EXPRESSIONS, |n| n.parse().unwrap());
    let mut rng = kernels::philox::Philox::new(17, 3);
    let (mut expression, mut results) = (String::new(), 0);
    for _ in 0..count {
        expression.clear();
        for _ in 0..1 + rng.below(12) {
            expression.push_str(PIECES[rng.below(40) as usize]);
        }
        if rng.below(1000) == 0 {
            expression = expression.repeat(1 + rng.below(200) as usize);
        }
        let begun = std::time::Instant::now();
        results += usize::from(use_calculator(&expression).is_some());
        assert!(begun.elapsed() < SLOWEST, "{expression}");
    }
    assert!(results > count / 50, "only {results} of {count} had a result");
}
