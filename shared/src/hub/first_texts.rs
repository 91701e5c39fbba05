//! The first texts of documents: a few are asked for at a time, and the next ones when those are out. Whoever opens a
//! document is sent all of it at once, so a hundred members who open a large one would fill the hub with what their
//! sockets still have to send.
//!
//! Questions wait in order; small documents do not wait behind large ones. How large a text is, is known once it has
//! been sent to somebody; until then only one is asked for, with the small ones, and counts as much as texts have been
//! lately.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use crate::{Millis, id::ChannelId, limits};

/// The questions that wait or are not answered.
#[derive(Debug)]
pub(super) struct FirstTexts {
    places: BTreeMap<ChannelId, Place>,
    documents: BTreeMap<Arc<str>, Document>,
    /// In order. Who does not wait any more is passed over.
    small: VecDeque<ChannelId>,
    large: VecDeque<ChannelId>,
    /// Texts to be asked for again, out of turn.
    again: Vec<ChannelId>,
    /// Those that were asked, with when; the same.
    order: VecDeque<(Millis, ChannelId)>,
    waiting: usize,
    asked_bytes: usize,
    usual: usize,
    looked_at: Millis,
    /// Without a link there is nobody to ask.
    is_active: bool,
}

#[derive(Debug)]
struct Place {
    document: Arc<str>,
    /// When it was asked, and what it counts.
    asked: Option<(Millis, usize)>,
}

/// What the questions about one document have in common.
#[derive(Debug, Default)]
struct Document {
    size: Option<usize>,
    places: usize,
    asked: usize,
    /// Those that wait until the size is known.
    held: Vec<ChannelId>,
}

impl FirstTexts {
    pub(super) fn new(now: Millis) -> Self {
        Self {
            places: BTreeMap::new(),
            documents: BTreeMap::new(),
            small: VecDeque::new(),
            large: VecDeque::new(),
            again: Vec::new(),
            order: VecDeque::new(),
            waiting: 0,
            asked_bytes: 0,
            usual: limits::FIRST_TEXT_GUESS_BYTES,
            looked_at: now,
            is_active: false,
        }
    }

    /// A channel wants the text of a document, of this size if it is known.
    pub(super) fn want(&mut self, id: ChannelId, name: &str, size: Option<usize>) {
        if !self.is_active {
            return;
        }
        let size = size.map(|size| size.min(limits::FRAME_BYTES));
        let waits =
            self.places.get(&id).is_some_and(|place| place.asked.is_none() && &*place.document == name);
        if !waits {
            self.forget(id);
        }
        let known = self.documents.get_key_value(name).map(|(name, _)| name.clone());
        let name = known.unwrap_or_else(|| name.into());
        let document = self.documents.entry(name.clone()).or_default();
        document.size = size.or(document.size);
        if !waits {
            document.places += 1;
            self.places.insert(id, Place { document: name, asked: None });
            self.waiting += 1;
            self.enqueue(id);
        }
    }

    /// A channel that has its document open wants the text from where it is on: that takes no turn.
    pub(super) fn want_again(&mut self, id: ChannelId) {
        if self.is_active {
            self.again.push(id);
        }
    }

    /// Takes the channels that [`Self::want_again`] has noted.
    pub(super) fn take_again(&mut self) -> Vec<ChannelId> {
        std::mem::take(&mut self.again)
    }

    /// There is no link any more: what was asked will not be answered.
    pub(super) fn stop(&mut self) {
        *self = Self { usual: self.usual, ..Self::new(self.looked_at) };
    }

    fn enqueue(&mut self, id: ChannelId) {
        if self.is_large(id) {
            self.large.push_back(id);
        } else {
            self.small.push_back(id);
        }
    }

    fn size(&self, id: ChannelId) -> Option<usize> {
        self.documents.get(&self.places.get(&id)?.document)?.size
    }

    fn is_large(&self, id: ChannelId) -> bool {
        self.size(id).is_some_and(|size| size > limits::FIRST_TEXT_SMALL_BYTES)
    }

    fn weight(&self, id: ChannelId) -> usize {
        self.size(id).unwrap_or(self.usual)
    }

    /// The link is another one, which is asked again what the last one was asked, or none.
    pub(super) fn restart(&mut self, is_active: bool, now: Millis) {
        *self = Self { usual: self.usual, is_active, ..Self::new(now) };
    }

    /// When the sockets are to be looked at that those wait for who have not been asked for yet.
    pub(super) fn look_at(&self) -> Option<Millis> {
        (self.waiting > 0).then_some(self.looked_at + limits::FIRST_TEXT_LOOK_MS)
    }

    /// The sockets are looked at now.
    pub(super) fn looked(&mut self, now: Millis) {
        self.looked_at = now;
    }

    /// The text has come: so many bytes, of a document of this size.
    pub(super) fn answered(&mut self, id: ChannelId, bytes: usize, size: usize) {
        let size = size.min(limits::FRAME_BYTES);
        let Some(place) = self.places.get(&id) else { return };
        if let Some(document) = self.documents.get_mut(&place.document) {
            document.size = Some(size);
        }
        self.usual = ((3 * self.usual + bytes) / 4).max(limits::FIRST_TEXT_LEAST_GUESS_BYTES);
        self.forget(id);
    }

    /// The channel wants no text any more, or has it.
    pub(super) fn forget(&mut self, id: ChannelId) {
        let Some(place) = self.places.remove(&id) else { return };
        self.waiting -= usize::from(place.asked.is_none());
        self.release(&place);
        if let Some(document) = self.documents.get_mut(&place.document) {
            document.places -= 1;
            if document.places == 0 {
                self.documents.remove(&place.document);
            }
        }
    }

    /// What was asked counts no more, and who waited for its answer goes on.
    fn release(&mut self, place: &Place) {
        let Some((_, weight)) = place.asked else { return };
        self.asked_bytes -= weight;
        let Some(document) = self.documents.get_mut(&place.document) else { return };
        document.asked -= 1;
        for id in std::mem::take(&mut document.held) {
            self.enqueue(id);
        }
    }

    /// Whose turn it is, while sockets still have to send `unsent` bytes of first texts.
    pub(super) fn next(&mut self, unsent: usize, now: Millis) -> Option<ChannelId> {
        self.give_up_old(now);
        while let Some(id) = self.small.front().copied() {
            if self.is_held(id) {
                self.small.pop_front();
            } else if self.is_large(id) {
                self.small.pop_front();
                self.large.push_back(id);
            } else if self.asks(id, 2 * limits::FIRST_TEXTS_BYTES, unsent, now) {
                return self.small.pop_front();
            } else {
                break;
            }
        }
        while let Some(id) = self.large.front().copied() {
            if self.is_held(id) {
                self.large.pop_front();
            } else if self.asks(id, limits::FIRST_TEXTS_BYTES, unsent, now) {
                return self.large.pop_front();
            } else {
                break;
            }
        }
        None
    }

    /// Whether the channel is to be passed over: it does not wait, or not here.
    fn is_held(&mut self, id: ChannelId) -> bool {
        let Some(place) = self.places.get(&id).filter(|place| place.asked.is_none()) else { return true };
        let Some(document) = self.documents.get_mut(&place.document) else { return true };
        let held = document.size.is_none() && document.asked > 0;
        if held {
            document.held.push(id);
        }
        held
    }

    /// Asks for one if it fits below `most`. The only one always does.
    fn asks(&mut self, id: ChannelId, most: usize, unsent: usize, now: Millis) -> bool {
        let weight = self.weight(id);
        let busy = self.asked_bytes + unsent;
        let Some(place) = self.places.get_mut(&id) else { return false };
        let fits = busy == 0 || busy + weight <= most;
        if fits {
            place.asked = Some((now, weight));
            self.waiting -= 1;
            self.asked_bytes += weight;
            self.order.push_back((now, id));
            if let Some(document) = self.documents.get_mut(&place.document) {
                document.asked += 1;
            }
        }
        fits
    }

    /// What the origin cannot answer for long, such as a file that cannot be read, keeps nobody waiting.
    fn give_up_old(&mut self, now: Millis) {
        while let Some((at, id)) = self.order.front().copied()
            && (at + limits::FIRST_TEXT_ANSWER_MS <= now || !self.is_asked(id, at))
        {
            self.order.pop_front();
            if self.is_asked(id, at) {
                self.forget(id);
            }
        }
    }

    fn is_asked(&self, id: ChannelId, at: Millis) -> bool {
        let asked = self.places.get(&id).and_then(|place| place.asked);
        asked.is_some_and(|(since, _)| since == at)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MB: usize = 1 << 20;

    fn id(n: u64) -> ChannelId {
        ChannelId(n)
    }

    fn active() -> FirstTexts {
        FirstTexts { is_active: true, ..FirstTexts::new(0) }
    }

    fn all(texts: &mut FirstTexts, unsent: usize, now: Millis) -> Vec<u64> {
        std::iter::from_fn(|| texts.next(unsent, now)).map(|id| id.0).collect()
    }

    #[test]
    fn of_a_large_document_as_many_texts_are_asked_for_as_fit_and_the_next_when_they_are_out() {
        let mut texts = active();
        (1..=100).for_each(|n| texts.want(id(n), "a.txt", None));
        assert_eq!(all(&mut texts, 0, 0), [1], "nobody knows how large it is");
        texts.answered(id(1), 5 * MB, 5 * MB);
        assert_eq!(all(&mut texts, 5 * MB, 1), [2, 3]);
        assert_eq!(all(&mut texts, 4 * MB, 2), [0_u64; 0]);
        assert_eq!(all(&mut texts, MB, 3), [4], "the first is nearly out");
        (2..=4).for_each(|n| texts.answered(id(n), 5 * MB, 5 * MB));
        assert_eq!(all(&mut texts, 16 * MB, 4), [0_u64; 0]);
        texts.forget(id(5));
        assert_eq!(all(&mut texts, 0, 5), [6, 7, 8]);
    }

    #[test]
    fn small_documents_do_not_wait_behind_large_ones() {
        let mut texts = active();
        (1..=20).for_each(|n| texts.want(id(n), "large.txt", Some(5 * MB)));
        (21..=60).for_each(|n| texts.want(id(n), "small.txt", Some(10_000)));
        let asked = all(&mut texts, 0, 0);
        assert_eq!(asked[..40], (21..=60).collect::<Vec<_>>()[..]);
        assert_eq!(asked[40..], [1, 2, 3]);
        texts.want(id(61), "new.txt", None);
        texts.want(id(62), "new.txt", None);
        assert_eq!(all(&mut texts, 0, 0), [61], "it may be small");
        texts.answered(id(61), 1_000, 1_000);
        assert_eq!(all(&mut texts, 0, 0), [62]);
    }

    #[test]
    fn a_thousand_small_documents_are_asked_for_in_a_few_rounds() {
        let mut texts = active();
        (0..1_000).for_each(|n| texts.want(id(n), &format!("{n}.txt"), None));
        let rounds = (1..).find(|_| {
            let asked = all(&mut texts, 0, 0);
            asked.iter().for_each(|n| texts.answered(id(*n), 1_000, 1_000));
            texts.places.is_empty()
        });
        assert!(rounds.unwrap() < 16, "{rounds:?}");
        assert!(texts.documents.is_empty() && texts.asked_bytes == 0);
    }

    #[test]
    fn a_question_that_is_not_answered_keeps_nobody_waiting_indefinitely() {
        let mut texts = active();
        texts.want(id(1), "broken.txt", Some(20 * MB));
        texts.want(id(2), "a.txt", Some(8 * MB));
        assert_eq!(all(&mut texts, 0, 0), [1], "the only one is asked for, whatever its size");
        assert_eq!(all(&mut texts, 0, limits::FIRST_TEXT_ANSWER_MS), [2]);
        texts.answered(id(1), 20 * MB, 20 * MB);
    }

    proptest! {
        #[test]
        fn whoever_wants_a_text_and_stays_is_asked_for_once(
            steps in prop::collection::vec((0_u64..12, 0_usize..4, 0_u8..6, 0_usize..9), 1..120),
        ) {
            let mut texts = active();
            let mut wanting: BTreeMap<u64, bool> = BTreeMap::new();
            for (n, document, step, mb) in steps {
                match step {
                    0..3 => {
                        texts.want(id(n), &document.to_string(), (mb > 4).then_some(mb * MB));
                        wanting.insert(n, false);
                    }
                    3 => {
                        texts.forget(id(n));
                        wanting.remove(&n);
                    }
                    4 if wanting.get(&n) == Some(&true) => {
                        texts.answered(id(n), mb * MB, mb * MB);
                        wanting.remove(&n);
                    }
                    _ => {
                        for asked in all(&mut texts, mb * MB, 0) {
                            prop_assert_eq!(wanting.insert(asked, true), Some(false));
                        }
                        prop_assert!(texts.asked_bytes <= 40 * MB);
                    }
                }
                prop_assert_eq!(texts.waiting, wanting.values().filter(|asked| !**asked).count());
            }
            while !wanting.is_empty() {
                let asked: Vec<u64> = wanting.iter().filter(|(_, asked)| **asked).map(|(n, _)| *n).collect();
                asked.iter().for_each(|n| texts.answered(id(*n), MB, MB));
                wanting.retain(|_, asked| !*asked);
                let asked = all(&mut texts, 0, 0);
                prop_assert!(!asked.is_empty() || wanting.is_empty());
                for n in asked {
                    prop_assert_eq!(wanting.insert(n, true), Some(false));
                }
            }
            prop_assert!(texts.documents.is_empty() && texts.places.is_empty() && texts.asked_bytes == 0);
        }
    }
}
