//! The region of a hub: one of Cloudflare's location hints, chosen once per session.

use std::fmt;

/// The location hints that a Durable Object can be created with.
const NAMES: [&str; 11] =
    ["wnam", "enam", "sam", "weur", "eeur", "apac", "apac-ne", "apac-se", "oc", "afr", "me"];

/// A region: part of a hub's name, and the hint for the place where it is created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Region(&'static str);

/// Where a request comes from, as far as the platform knows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Place {
    /// Two letters.
    pub(crate) continent: Option<String>,
    /// Latitude and longitude in degrees.
    pub(crate) coordinates: Option<(f32, f32)>,
}

impl Region {
    /// Reads a region's name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        NAMES.into_iter().find(|known| *known == name).map(Self)
    }

    /// The name.
    pub(crate) fn as_str(self) -> &'static str {
        self.0
    }

    /// The region nearest to a place; the east of North America if nothing is known.
    pub(crate) fn near(place: &Place) -> Self {
        let (latitude, longitude) = place.coordinates.unwrap_or_default();
        Self(match place.continent.as_deref() {
            Some("NA") if longitude < -100.0 => "wnam",
            Some("SA") => "sam",
            Some("EU") if longitude > 15.0 => "eeur",
            Some("EU") => "weur",
            Some("AF") => "afr",
            Some("OC" | "AN") => "oc",
            Some("AS") if place.coordinates.is_none() => "apac",
            Some("AS") if longitude < 60.0 => "me",
            Some("AS") if latitude > 23.0 && longitude > 100.0 => "apac-ne",
            Some("AS") => "apac-se",
            _ => "enam",
        })
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_location_hints_are_regions() {
        assert_eq!(Region::parse("apac-ne").map(Region::as_str), Some("apac-ne"));
        for bad in ["", "moon", "WEUR", "weur "] {
            assert_eq!(Region::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_session_meets_its_neighbours() {
        let near = |continent: &str, latitude, longitude| {
            let place =
                Place { continent: Some(continent.to_owned()), coordinates: Some((latitude, longitude)) };
            Region::near(&place).as_str()
        };
        assert_eq!(near("NA", 37.7, -122.4), "wnam");
        assert_eq!(near("NA", 40.7, -74.0), "enam");
        assert_eq!(near("EU", 48.8, 2.3), "weur");
        assert_eq!(near("EU", 52.2, 21.0), "eeur");
        assert_eq!(near("AS", 25.2, 55.3), "me");
        assert_eq!(near("AS", 35.7, 139.7), "apac-ne");
        assert_eq!(near("AS", 1.3, 103.8), "apac-se");
        assert_eq!(Region::near(&Place::default()).as_str(), "enam");
    }
}
