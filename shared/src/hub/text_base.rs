//! Which text of its file a channel of text frames was sent last.

/// The text that a change is based on which does not say so itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum TextBase {
    /// None, or none that still counts.
    #[default]
    Nothing,
    /// The one that the origin has sent last; which that is went with an evicted hub.
    Last,
    /// The one of this position.
    At(String),
}

impl TextBase {
    /// As a change carries it over the link.
    pub(super) fn of_change(&self) -> String {
        match self {
            Self::Nothing => String::new(),
            Self::Last => "*".to_owned(),
            Self::At(position) => position.clone(),
        }
    }

    /// The position to go on from when the text is asked for; empty if it is to be sent whole.
    pub(super) fn position(&self) -> String {
        match self {
            Self::At(position) => position.clone(),
            Self::Nothing | Self::Last => String::new(),
        }
    }
}
