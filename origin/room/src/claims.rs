//! Paths that are being claimed for new files, and the channels that wait for them.

use std::collections::BTreeMap;

use shared::id::FilePath;

use crate::effect::Place;

/// The claims in flight.
#[derive(Debug, Default)]
pub(crate) struct Claims(BTreeMap<FilePath, Vec<Place>>);

impl Claims {
    /// Begins a claim. Whether there was none of this path.
    #[must_use]
    pub(crate) fn begin(&mut self, path: &FilePath) -> bool {
        let begins = !self.0.contains_key(path);
        if begins {
            self.0.insert(path.clone(), Vec::new());
        }
        begins
    }

    /// A channel waits for a claim that was begun.
    pub(crate) fn wait(&mut self, path: &FilePath, place: Place) {
        if let Some(waiting) = self.0.get_mut(path) {
            waiting.push(place);
        }
    }

    /// A channel no longer waits.
    pub(crate) fn forget(&mut self, path: &FilePath, place: Place) {
        if let Some(waiting) = self.0.get_mut(path) {
            waiting.retain(|waits| *waits != place);
        }
    }

    /// A claim was answered: the channels that waited for it.
    #[must_use]
    pub(crate) fn end(&mut self, path: &FilePath) -> Vec<Place> {
        self.0.remove(path).unwrap_or_default()
    }

    /// Whether no claim is in flight.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
