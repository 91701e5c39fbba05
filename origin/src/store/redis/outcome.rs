//! How flushes ended, as it stands in Redis.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::record::damaged;
use crate::store::StoreError;

/// The format of what is kept.
const VERSION: u32 = 1;

/// Something that is kept, as it stands in Redis.
#[derive(Serialize, Deserialize)]
struct Kept<T> {
    v: u32,
    it: T,
}

#[derive(Deserialize)]
struct Head {
    v: u32,
}

/// What is kept of something; nothing of nothing.
pub(super) fn encode<T: Serialize>(it: Option<T>) -> Result<String, StoreError> {
    let Some(it) = it else { return Ok(String::new()) };
    serde_json::to_string(&Kept { v: VERSION, it }).map_err(damaged)
}

/// What a newer version has kept says nothing to this one.
pub(super) fn decode<T: DeserializeOwned>(kept: &str) -> Result<Option<T>, StoreError> {
    if kept.is_empty() || serde_json::from_str::<Head>(kept).map_err(damaged)?.v > VERSION {
        return Ok(None);
    }
    Ok(Some(serde_json::from_str::<Kept<T>>(kept).map_err(damaged)?.it))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::FailedFlush;

    #[test]
    fn what_is_kept_has_its_form_and_a_newer_one_is_passed_over() {
        let failed = FailedFlush { at: 7, reason: "away".to_owned() };
        let kept = r#"{"v":1,"it":{"at":7,"reason":"away"}}"#;
        assert_eq!(encode(Some(&failed)).unwrap(), kept);
        assert_eq!(decode(kept).unwrap(), Some(failed));
        assert_eq!(decode::<FailedFlush>(r#"{"v":2,"what":1}"#).unwrap(), None);
        assert_eq!(decode::<FailedFlush>("").unwrap(), None);
        assert!(decode::<FailedFlush>("{}").is_err());
    }
}
