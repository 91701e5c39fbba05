//! One figure of two things that were measured one right after the other, round by round. What is said of them is
//! the median; a ratio is taken within each round first.

use serde_json::{Value, json};

use super::rounds::rounded;

/// The figures of the yardstick and of what is compared with it.
#[derive(Clone, Debug, Default)]
pub(super) struct Pairs(Vec<[f64; 2]>);

impl Pairs {
    /// Adds a round.
    pub(super) fn add(&mut self, yardstick: f64, other: f64) {
        self.0.push([yardstick, other]);
    }

    /// The yardstick's figure.
    pub(super) fn yardstick(&self) -> f64 {
        median(self.0.iter().map(|[yardstick, _]| *yardstick))
    }

    /// The figure of what is compared with it.
    pub(super) fn other(&self) -> f64 {
        median(self.0.iter().map(|[_, other]| *other))
    }

    /// The other's figure to the yardstick's.
    pub(super) fn ratio(&self) -> f64 {
        median(self.0.iter().map(|[yardstick, other]| other / yardstick))
    }

    /// The ratio of each round.
    pub(super) fn ratios(&self) -> Vec<f64> {
        self.0.iter().map(|[yardstick, other]| rounded(other / yardstick)).collect()
    }

    /// Everything, for scripts, with these names for the two.
    pub(super) fn to_json(&self, names: [&str; 2]) -> Value {
        json!({
            names[0]: rounded(self.yardstick()),
            names[1]: rounded(self.other()),
            "ratio": rounded(self.ratio()),
            "ratios": self.ratios(),
        })
    }
}

/// The one in the middle; not a number if there is none.
pub(super) fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_taken_within_each_round() {
        let mut pairs = Pairs::default();
        for (yardstick, other) in [(1.0, 2.0), (10.0, 15.0), (4.0, 12.0)] {
            pairs.add(yardstick, other);
        }
        assert_eq!((pairs.yardstick(), pairs.other(), pairs.ratio()), (4.0, 12.0, 2.0));
        assert_eq!(pairs.to_json(["a", "b"])["ratios"], json!([2.0, 1.5, 3.0]));
    }

    #[test]
    fn of_no_round_there_is_no_ratio() {
        assert!(Pairs::default().ratio().is_nan());
        assert_eq!(Pairs::default().to_json(["a", "b"])["ratio"], Value::Null);
    }
}
