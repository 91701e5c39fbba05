//! Sets of characters, as ranges of each author's clock.

use std::{collections::BTreeMap, ops::Range};

/// For each client the ranges of clocks that are in the set: sorted, disjoint, merged where they touch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IdRanges(BTreeMap<u64, BTreeMap<u32, u32>>);

impl IdRanges {
    /// Adds a range. Costs the logarithm of what is there, whatever the order in which ranges come.
    pub fn insert(&mut self, client: u64, range: Range<u32>) {
        if range.is_empty() {
            return;
        }
        let ends = self.0.entry(client).or_default();
        let Range { mut start, mut end } = range;
        // The last range that begins at or before the new end is merged as long as it reaches the new start.
        while let Some((&known_start, &known_end)) = ends.range(..=end).next_back()
            && known_end >= start
        {
            ends.remove(&known_start);
            start = start.min(known_start);
            end = end.max(known_end);
        }
        ends.insert(start, end);
    }

    /// What of a range is not in the set.
    pub fn gaps(&self, client: u64, range: Range<u32>) -> Vec<Range<u32>> {
        let mut gaps = Vec::new();
        let mut from = range.start;
        if let Some(ends) = self.0.get(&client) {
            let first = ends.range(..=range.start).next_back().map_or(range.start, |(start, _)| *start);
            for (start, end) in ends.range(first..range.end) {
                if *start > from {
                    gaps.push(from..*start);
                }
                from = from.max(*end);
            }
        }
        if from < range.end {
            gaps.push(from..range.end);
        }
        gaps
    }

    /// Whether all of a range is in the set.
    pub fn contains_range(&self, client: u64, range: Range<u32>) -> bool {
        if range.is_empty() {
            return true;
        }
        let ends = self.0.get(&client).and_then(|ends| ends.range(..=range.start).next_back());
        ends.is_some_and(|(_, end)| range.end <= *end)
    }

    /// Clients and ranges, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (u64, Range<u32>)> + '_ {
        self.0.iter().flat_map(|(client, ends)| ends.iter().map(|(start, end)| (*client, *start..*end)))
    }

    /// Whether nothing is in the set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ranges_that_touch_become_one() {
        let mut set = IdRanges::default();
        for range in [4..6, 0..2, 2..4, 9..10] {
            set.insert(7, range);
        }
        assert_eq!(set.iter().collect::<Vec<_>>(), [(7, 0..6), (7, 9..10)]);
        assert!(set.contains_range(7, 1..6) && !set.contains_range(7, 5..7) && !set.contains_range(8, 0..1));
    }

    proptest! {
        #[test]
        fn a_set_of_ranges_is_the_set_of_their_members(
            ranges in prop::collection::vec((0_u32..60, 0_u32..12), 0..40),
        ) {
            let mut set = IdRanges::default();
            let mut members = std::collections::BTreeSet::new();
            for (start, length) in ranges {
                set.insert(1, start..start + length);
                members.extend(start..start + length);
            }
            let listed: Vec<_> = set.iter().collect();
            prop_assert!(listed.windows(2).all(|pair| pair[0].1.end < pair[1].1.start));
            prop_assert!(listed.iter().flat_map(|(_, range)| range.clone()).eq(members.iter().copied()));
            for start in 0..75 {
                let inside = (start..start + 3).all(|clock| members.contains(&clock));
                prop_assert_eq!(set.contains_range(1, start..start + 3), inside);
                let missing = (start..start + 3).filter(|clock| !members.contains(clock));
                prop_assert!(set.gaps(1, start..start + 3).into_iter().flatten().eq(missing));
            }
        }
    }
}
