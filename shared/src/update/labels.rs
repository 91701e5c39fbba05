//! Numbers that rise along a list, so that two of its places can be compared at once.
//!
//! New places get a number between those of their neighbours. Where there is none left, the numbers of the smallest
//! aligned range around it that is sparse enough are spread out again: a logarithmic number of places for each new one
//! in the long run (Bender et al., "Two simplified algorithms for maintaining order in a list", 2002).

/// No place.
pub(super) const NONE: u32 = u32::MAX;

/// Where a list goes on at its end.
const STEP: u64 = 1 << 32;
/// A range of `2^n` numbers is sparse with at most `(2 / DENSITY)^n` places.
const DENSITY: f64 = 1.5;

/// A place with its neighbours and its number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Linked {
    pub(super) before: u32,
    pub(super) behind: u32,
    pub(super) label: u64,
}

/// A list with numbers.
pub(super) trait Labels {
    /// A place.
    fn at(&self, place: u32) -> Linked;
    /// Numbers it.
    fn set(&mut self, place: u32, label: u64);
}

/// Numbers a place that was just linked; how many others were looked at.
pub(super) fn label(list: &mut impl Labels, place: u32) -> u64 {
    let neighbour = |list: &dyn Fn(u32) -> u64, at: u32| (at != NONE).then(|| list(at));
    let Linked { before, behind, .. } = list.at(place);
    let label_of = |at: u32| list.at(at).label;
    let low = neighbour(&label_of, before);
    let high = neighbour(&label_of, behind);
    let label = match (low, high) {
        (None, None) => Some(u64::MAX / 2),
        (Some(low), None) => low.checked_add(STEP),
        (None, Some(high)) => high.checked_sub(STEP),
        (Some(low), Some(high)) if high - low > 1 => Some(low + (high - low) / 2),
        _ => None,
    };
    match label {
        Some(label) => {
            list.set(place, label);
            0
        }
        None => {
            let label = low.or(high).unwrap_or(0);
            list.set(place, label);
            spread(list, place)
        }
    }
}

/// Spreads out the numbers around a place that has the same one as its neighbour.
fn spread(list: &mut impl Labels, place: u32) -> u64 {
    let around = list.at(place).label;
    let (mut first, mut last, mut count) = (place, place, 1_u64);
    let mut capacity = 1.0;
    for bits in 1..=64_u32 {
        capacity *= 2.0 / DENSITY;
        let mask = if bits == 64 { u64::MAX } else { (1 << bits) - 1 };
        let (low, high) = (around & !mask, around | mask);
        while list.at(first).before != NONE && list.at(list.at(first).before).label >= low {
            first = list.at(first).before;
            count += 1;
        }
        while list.at(last).behind != NONE && list.at(list.at(last).behind).label <= high {
            last = list.at(last).behind;
            count += 1;
        }
        if count as f64 <= capacity || bits == 64 {
            let step = ((high - low) / count).max(1);
            let mut at = first;
            for n in 0..count {
                list.set(at, low + step * n + step / 2);
                at = list.at(at).behind;
            }
            break;
        }
    }
    count
}
