//! Quantiles of what was measured.

/// The value that this part of them does not exceed, to two places; 0 if there is none.
pub(crate) fn quantile(values: &mut [f64], part: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let place = (values.len().saturating_sub(1) as f64 * part) as usize;
    (values.get(place).copied().unwrap_or_default() * 100.0).round() / 100.0
}
