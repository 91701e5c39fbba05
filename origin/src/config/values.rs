//! What several settings have in common: numbers above zero, comma lists.

use super::SettingsError;

/// Refuses a zero.
pub(super) fn above_zero(name: &'static str, value: u64) -> Result<(), SettingsError> {
    if value == 0 { Err(SettingsError::Zero(name)) } else { Ok(()) }
}

/// The entries of a comma list, without the empty ones.
pub(super) fn entries(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim).filter(|entry| !entry.is_empty())
}
