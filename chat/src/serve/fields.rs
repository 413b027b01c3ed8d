//! Fields of a JSON object, each taken with its type and range, so that every error names the field and what it may be.

use super::error::ApiError;
use serde_json::{Map, Value};
use std::ops::RangeInclusive;

/// A JSON object that is being read. `null` is the same as absent.
pub struct Fields<'a> {
    map: &'a Map<String, Value>,
    /// Where it stands: `messages[3].` or nothing.
    place: String,
}

impl<'a> Fields<'a> {
    /// The object of a request's body.
    pub fn of(body: &'a Value) -> Result<Fields<'a>, ApiError> {
        Fields::at(body, "").map_err(|_| ApiError::invalid("the body must be a JSON object"))
    }
    /// The object at `place`.
    pub fn at(value: &'a Value, place: &str) -> Result<Fields<'a>, ApiError> {
        let object = value.as_object().ok_or_else(|| ApiError::field(place, "must be an object"));
        let place = if place.is_empty() { String::new() } else { format!("{place}.") };
        object.map(|map| Fields { map, place })
    }
    /// The full name of a field.
    pub fn name(&self, field: &str) -> String {
        format!("{}{field}", self.place)
    }
    /// A field, if it is there.
    pub fn get(&self, field: &str) -> Option<&'a Value> {
        self.map.get(field).filter(|value| !value.is_null())
    }
    /// An error about a field.
    pub fn wrong(&self, field: &str, message: impl std::fmt::Display) -> ApiError {
        ApiError::field(self.name(field), message)
    }
    /// A number in a range.
    pub fn number(&self, field: &str, range: RangeInclusive<f64>) -> Result<Option<f64>, ApiError> {
        let Some(value) = self.get(field) else { return Ok(None) };
        let wrong = || {
            self.wrong(
                field,
                format!("must be a number from {} to {}, not {value}", range.start(), range.end()),
            )
        };
        value.as_f64().filter(|x| range.contains(x)).map(Some).ok_or_else(wrong)
    }
    /// A whole number in a range.
    pub fn count(&self, field: &str, range: RangeInclusive<usize>) -> Result<Option<usize>, ApiError> {
        let Some(value) = self.get(field) else { return Ok(None) };
        let wrong = || {
            self.wrong(
                field,
                format!("must be a whole number from {} to {}, not {value}", range.start(), range.end()),
            )
        };
        let n = value.as_u64().and_then(|n| usize::try_from(n).ok());
        n.filter(|n| range.contains(n)).map(Some).ok_or_else(wrong)
    }
    /// Yes or no; absent is no.
    pub fn flag(&self, field: &str) -> Result<bool, ApiError> {
        let Some(value) = self.get(field) else { return Ok(false) };
        value.as_bool().ok_or_else(|| self.wrong(field, format!("must be true or false, not {value}")))
    }
    /// Text.
    pub fn text(&self, field: &str) -> Result<Option<&'a str>, ApiError> {
        let Some(value) = self.get(field) else { return Ok(None) };
        value.as_str().map(Some).ok_or_else(|| self.wrong(field, "must be a string"))
    }
    /// One of the fields that would change what is answered, and that nobody here understands.
    pub fn unsupported(&self, fields: &[(&str, &str)]) -> Result<(), ApiError> {
        let harmless = |value: &Value| match value {
            Value::Array(list) => list.is_empty(),
            Value::Object(map) => map.is_empty() || map.get("type").is_some_and(|t| t == "text"),
            Value::Number(n) => n.as_f64() == Some(0.0),
            Value::Bool(on) => !on,
            Value::String(text) => matches!(text.as_str(), "none" | "auto"),
            Value::Null => true,
        };
        match fields.iter().find(|(field, _)| self.get(field).is_some_and(|value| !harmless(value))) {
            Some((field, instead)) => Err(self
                .wrong(field, format!("is not supported here; {instead}"))
                .code("unsupported_parameter")),
            None => Ok(()),
        }
    }
}
