//! JSON that comes from clients, looked at before any parser recurses into it.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// JSON of an application: checked, and passed on byte for byte.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RawJson(Box<RawValue>);

impl RawJson {
    /// As it came.
    pub fn as_str(&self) -> &str {
        self.0.get()
    }
}

impl PartialEq for RawJson {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

/// Whether arrays and objects nest at most `most` deep. Says nothing else about the text.
pub(super) fn nests_within(json: &str, most: usize) -> bool {
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'[' | b'{' if !in_text => depth += 1,
            b']' | b'}' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > most {
            return false;
        }
    }
    true
}

/// Whether it can only be an object: serde would take a list for the fields of a struct, too.
pub(super) fn is_object(json: &str) -> bool {
    json.trim_start().starts_with('{')
}

/// Whether it is one JSON value, as `JSON.parse` would take it, that nests at most `most` deep.
pub(super) fn is_value_within(json: &str, most: usize) -> bool {
    nests_within(json, most) && serde_json::from_str::<serde::de::IgnoredAny>(json).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_in_texts_do_not_nest() {
        assert!(nests_within(r#"{"a":"[[[[\"[[[\\"}"#, 1));
        assert!(!nests_within(r#"{"a":"\\",[[]]}"#, 2));
        assert!(nests_within("[[]]", 2));
        assert!(!nests_within("[[]]", 1));
        assert!(!nests_within(&"[".repeat(1_000_000), 32));
    }

    #[test]
    fn only_whole_values_pass() {
        for good in ["null", "{}", r#"{"user":"ann"}"#, r#""\ud800""#, "1e999", " [1,2] "] {
            assert!(is_value_within(good, 2), "{good}");
        }
        for bad in ["", "{", "nul", "{}{}", "{a:1}", "[[[1]]]"] {
            assert!(!is_value_within(bad, 2), "{bad}");
        }
    }
}
