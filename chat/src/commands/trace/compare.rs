//! `trace --compare A B`: do two dumps of items agree?

use super::document::Item;
use super::numbers::{six, tuple};
use anyhow::Context;
use std::path::Path;

/// One line of the comparison.
pub struct Row {
    /// Iteration and id.
    pub item: String,
    /// What differs; `None` if nothing does.
    pub difference: Option<String>,
}

/// Read a dump.
pub fn read(path: &Path) -> anyhow::Result<Vec<Item>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let wrong =
        || format!("{} is not a list of items; write one with `nanochat trace --json FILE`", path.display());
    serde_json::from_str(&text).with_context(wrong)
}

/// Every item of either dump, in order. Two numbers agree within `tolerance · max(1, |a|, |b|)`.
pub fn compare(a: &[Item], b: &[Item], tolerance: f64) -> Vec<Row> {
    let key = |item: &Item| (item.iteration, item.id.clone());
    let name = |item: &Item| format!("{} {}", item.iteration, item.id);
    let mut rows: Vec<Row> = a
        .iter()
        .map(|x| {
            let difference = match b.iter().find(|y| key(y) == key(x)) {
                Some(y) => differ(x, y, tolerance),
                None => Some("only in the first".into()),
            };
            Row { item: name(x), difference }
        })
        .collect();
    let new = b.iter().filter(|y| a.iter().all(|x| key(x) != key(y)));
    rows.extend(new.map(|y| Row { item: name(y), difference: Some("only in the second".into()) }));
    rows
}

fn differ(a: &Item, b: &Item, tolerance: f64) -> Option<String> {
    if a.shape != b.shape {
        return Some(format!("shape {} and {}", tuple(&a.shape), tuple(&b.shape)));
    }
    if a.dtype != b.dtype {
        return Some(format!("dtype {} and {}", a.dtype, b.dtype));
    }
    let numbers =
        [("mean", a.mean, b.mean), ("std", a.std, b.std), ("min", a.min, b.min), ("max", a.max, b.max)];
    let apart = |x: f64, y: f64| {
        let same = (x.is_nan() && y.is_nan()) || (x - y).abs() <= tolerance * x.abs().max(y.abs()).max(1.0);
        !same
    };
    let differences: Vec<String> = numbers
        .into_iter()
        .filter(|(_, x, y)| apart(*x, *y))
        .map(|(name, x, y)| format!("{name} {} and {}", six(x), six(y)))
        .collect();
    if differences.is_empty() { None } else { Some(differences.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::trace::document::Document;
    use tensor::{Device, Tensor};

    fn dump(values: &[(&str, [f32; 2])]) -> Vec<Item> {
        let mut doc = Document::default();
        for (id, v) in values {
            doc.item(id, id, &Tensor::from_slice(v, &[2], Device::Cpu).unwrap(), "");
        }
        doc.items
    }

    fn differing(a: &[Item], b: &[Item], tolerance: f64) -> Vec<String> {
        let rows = compare(a, b, tolerance);
        rows.into_iter().filter_map(|r| r.difference.map(|d| format!("{}: {d}", r.item))).collect()
    }

    #[test]
    fn equal_dumps_agree_even_where_they_are_nan() {
        let a = dump(&[("x", [1.0, 2.0]), ("y", [f32::NAN, 1.0])]);
        assert!(differing(&a, &a.clone(), 0.0).is_empty());
    }

    #[test]
    fn a_difference_counts_relative_to_large_and_absolute_for_small_numbers() {
        let a = dump(&[("small", [0.0, 0.0]), ("large", [1000.0, 1000.0])]);
        let b = dump(&[("small", [0.0, 1e-3]), ("large", [1000.5, 1000.5])]);
        assert!(differing(&a, &b, 2e-3).is_empty());
        let found = differing(&a, &b, 1e-4);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].contains("max 0.000000 and 0.001000"), "{found:?}");
    }

    #[test]
    fn missing_items_shapes_and_nan_on_one_side_are_differences() {
        let mut a = dump(&[("x", [1.0, 2.0]), ("gone", [0.0, 0.0])]);
        let b = dump(&[("x", [1.0, f32::NAN]), ("new", [0.0, 0.0])]);
        let found = differing(&a, &b, 1.0);
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found[0].starts_with("0 x: mean 1.500000 and nan"), "{found:?}");
        assert!(found[1].contains("only in the first") && found[2].contains("only in the second"));
        a[0].shape = vec![1, 2];
        assert!(differing(&a, &b, 1.0)[0].contains("shape (1, 2) and (2,)"));
    }
}
