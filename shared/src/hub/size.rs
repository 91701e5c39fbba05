//! How large a document is as far as its hub knows: what the origin has told, which is close to what it has measured
//! where it matters, and what was taken since. Only what was told refuses anything, since what is taken may replace
//! other text. Beyond that the origin decides.

use crate::limits;

/// The size of a document in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct DocumentSize {
    told: usize,
    /// The size of its text, if the origin has told it: it does when the limit is near.
    text: Option<usize>,
    taken_since: usize,
    /// Of a file that the origin has not read yet it cannot tell.
    is_known: bool,
}

impl DocumentSize {
    /// The origin has opened it; 0 if it has not read it yet.
    pub(super) fn opened(&mut self, bytes: u64) {
        let was_known = self.is_known;
        self.tell(bytes);
        self.is_known = was_known || bytes > 0;
    }

    /// The origin says how large the state is.
    pub(super) fn tell(&mut self, bytes: u64) {
        self.told = usize::try_from(bytes).unwrap_or(usize::MAX);
        self.taken_since = 0;
        self.is_known = true;
    }

    /// And how large the text in it.
    pub(super) fn tell_text(&mut self, bytes: u64) {
        self.text = usize::try_from(bytes).ok();
    }

    /// An update was taken.
    pub(super) fn take(&mut self, bytes: usize) {
        self.taken_since += bytes;
    }

    pub(super) fn known(&self) -> Option<usize> {
        self.is_known.then(|| self.at_most())
    }

    /// Whether an update of so many bytes makes it too large for certain.
    pub(super) fn refuses(&self, bytes: usize) -> bool {
        self.told.saturating_add(bytes) > limits::FILE_BYTES
    }

    /// Whether it may, so that nobody is to see it before the origin has decided.
    pub(super) fn doubts(&self, bytes: usize) -> bool {
        self.at_most().saturating_add(bytes) > limits::FILE_BYTES
    }

    /// Why something is refused, for people: too much text, or too much history, of which deleting frees nothing.
    pub(super) fn why_too_large(&self) -> String {
        let (state, most) = (self.told, limits::FILE_BYTES);
        match self.text {
            Some(text) if text < state / 2 => format!(
                "the file's history is too large: its state takes {state} bytes of at most {most}, its text only {text}; \
                 what was deleted leaves traces that cannot be dropped, so go on in a new file with this text"
            ),
            Some(text) => format!(
                "the file's text is too large: it takes {text} bytes, its state {state} of at most {most}"
            ),
            None => format!("the file is too large: its state takes {state} bytes of at most {most}"),
        }
    }

    fn at_most(&self) -> usize {
        self.told.saturating_add(self.taken_since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_taken_is_doubted_and_only_what_was_told_refuses() {
        let mut size = DocumentSize::default();
        size.opened(0);
        assert_eq!(size.known(), None);
        size.tell(10);
        size.take(limits::FILE_BYTES);
        assert!(size.doubts(1) && !size.refuses(1));
        assert_eq!(size.known(), Some(limits::FILE_BYTES + 10));
        size.tell(20);
        assert!(!size.doubts(1));
        size.tell(limits::FILE_BYTES as u64);
        assert!(size.refuses(1));
    }

    #[test]
    fn a_reason_tells_text_from_history_with_both_sizes() {
        let mut size = DocumentSize::default();
        size.tell(8_000_000);
        assert!(size.why_too_large().contains("its state takes 8000000 bytes"));
        size.tell_text(7_000_000);
        let text = size.why_too_large();
        assert!(text.contains("text is too large") && text.contains("7000000") && text.contains("8000000"));
        size.tell_text(300);
        let history = size.why_too_large();
        assert!(history.contains("history is too large") && history.contains("only 300"), "{history}");
    }
}
