//! The Worker's variables and secrets, read once and typed.

use shared::{signature::LinkKeys, token::KeySet};

use crate::region::{Place, Region};

/// How sessions show who they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Auth {
    /// `AUTH=open`: anybody is an editor. For local use.
    Open,
    /// `AUTH=jwt`, the default: a token that one of the keys of `JWT_KEYS` has signed.
    Jwt(KeySet),
}

/// Everything that a deployment sets.
#[derive(Debug)]
pub(crate) struct Config {
    /// `ORIGIN_URLS`: the origins' base URLs, without a slash at the end.
    pub(crate) origins: Vec<String>,
    /// `ALLOWED_ORIGINS`: the pages that may connect beside the Worker's own, or `*`.
    allowed_origins: Vec<String>,
    /// `AUTH`: `jwt` or `open`.
    pub(crate) auth: Auth,
    /// `ALLOW_OPEN`: `1` lets `AUTH=open` be reached beyond loopback.
    pub(crate) allow_open: bool,
    /// `LINK_KEYS`: what both ends of a link sign with.
    pub(crate) link_keys: LinkKeys,
    /// `REGION`: the region of every session.
    region: Option<Region>,
    /// `REGION_PARAM`: `1` lets `?region=` decide.
    region_param: bool,
}

/// Why the variables cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ConfigError {
    /// Neither empty nor absent is possible.
    #[error("{0} is not set")]
    Missing(&'static str),
    /// A value that means nothing.
    #[error("{name} cannot be read: {why}")]
    Unreadable {
        /// The variable.
        name: &'static str,
        /// What was expected.
        why: String,
    },
}

impl Config {
    /// Reads the variables through `read`, which gives `None` for one that is absent.
    pub(crate) fn read(read: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let list = |name: &'static str| -> Vec<String> {
            let text = read(name).unwrap_or_default();
            text.split(',')
                .map(|item| item.trim().trim_end_matches('/').to_owned())
                .filter(|item| !item.is_empty())
                .collect()
        };
        let switch = |name: &'static str| read(name).is_some_and(|value| value.trim() == "1");
        let auth = match read("AUTH").as_deref().map(str::trim) {
            None | Some("" | "jwt") => {
                let keys = read("JWT_KEYS").filter(|keys| !keys.trim().is_empty());
                let keys = KeySet::parse(&keys.ok_or(ConfigError::Missing("JWT_KEYS"))?);
                Auth::Jwt(keys.map_err(|error| unreadable("JWT_KEYS", &error.to_string()))?)
            }
            Some("open") => Auth::Open,
            Some(_) => return Err(unreadable("AUTH", "it is jwt or open")),
        };
        let region = match read("REGION").as_deref().map(str::trim) {
            None | Some("") => None,
            Some(name) => {
                Some(Region::parse(name).ok_or_else(|| unreadable("REGION", "it is a location hint"))?)
            }
        };
        let origins = list("ORIGIN_URLS");
        if origins.is_empty() {
            return Err(ConfigError::Missing("ORIGIN_URLS"));
        }
        let link_keys = read("LINK_KEYS").filter(|keys| !keys.trim().is_empty());
        let link_keys = link_keys.ok_or(ConfigError::Missing("LINK_KEYS"))?;
        Ok(Self {
            origins,
            allowed_origins: list("ALLOWED_ORIGINS"),
            auth,
            allow_open: switch("ALLOW_OPEN"),
            link_keys: LinkKeys::parse(&link_keys)
                .map_err(|error| unreadable("LINK_KEYS", &error.to_string()))?,
            region,
            region_param: switch("REGION_PARAM"),
        })
    }

    /// Whether a page of `origin` may connect to the Worker that is reached as `base`. No page at all may as well:
    /// only browsers send the header, and only they hold somebody else's credentials.
    pub(crate) fn allows_page(&self, origin: Option<&str>, base: &str) -> bool {
        origin.is_none_or(|origin| {
            origin == base || self.allowed_origins.iter().any(|allowed| allowed == "*" || allowed == origin)
        })
    }

    /// The region of a session: the fixed one, else the one it asks for where that is allowed, else the nearest.
    pub(crate) fn region(&self, asked: Option<&str>, place: impl FnOnce() -> Place) -> Region {
        let asked = asked.filter(|_| self.region_param).and_then(Region::parse);
        self.region.or(asked).unwrap_or_else(|| Region::near(&place()))
    }
}

fn unreadable(name: &'static str, why: &str) -> ConfigError {
    ConfigError::Unreadable { name, why: why.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(vars: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let base = [
            ("ORIGIN_URLS", "http://127.0.0.1:8080/, http://b"),
            ("LINK_KEYS", "k1:a-secret-of-some-length"),
            ("JWT_KEYS", r#"{"keys":[{"kty":"oct","k":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}]}"#),
        ];
        Config::read(|name| {
            let found = vars.iter().chain(&base).find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn nothing_is_open_unless_it_says_so() {
        let config = config(&[]).unwrap();
        assert!(matches!(config.auth, Auth::Jwt(_)));
        assert!(!config.allow_open);
        assert_eq!(config.origins, ["http://127.0.0.1:8080", "http://b"]);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for (name, value) in [
            ("AUTH", "none"),
            ("REGION", "moon"),
            ("ORIGIN_URLS", " , "),
            ("LINK_KEYS", ""),
            ("JWT_KEYS", ""),
            ("JWT_KEYS", "{}"),
        ] {
            let error = config(&[(name, value)]).unwrap_err();
            assert!(error.to_string().contains(name), "{error}");
        }
    }

    #[test]
    fn only_listed_pages_and_the_own_page_may_connect() {
        let config = config(&[("ALLOWED_ORIGINS", "https://app.example, https://b.example/")]).unwrap();
        let base = "https://edge.example";
        for allowed in [None, Some("https://app.example"), Some("https://b.example"), Some(base)] {
            assert!(config.allows_page(allowed, base), "{allowed:?}");
        }
        for refused in ["https://evil.example", "null", "https://app.example.evil", "http://app.example"] {
            assert!(!config.allows_page(Some(refused), base), "{refused}");
        }
    }

    #[test]
    fn a_fixed_region_beats_the_parameter_and_the_parameter_needs_leave() {
        let asked =
            |vars: &[(&str, &str)]| config(vars).unwrap().region(Some("weur"), Place::default).as_str();
        assert_eq!(asked(&[]), "enam");
        assert_eq!(asked(&[("REGION_PARAM", "1")]), "weur");
        assert_eq!(asked(&[("REGION_PARAM", "1"), ("REGION", "oc")]), "oc");
    }
}
