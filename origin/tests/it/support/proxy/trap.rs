//! One request that a proxy waits for, and what becomes of it or of its answer.

use tokio::sync::oneshot;

use super::Harm;

/// The next request with these bytes, on whichever connection.
pub(super) struct Trap {
    pub(super) request: Vec<u8>,
    pub(super) fate: Fate,
}

/// What becomes of it.
pub(super) enum Fate {
    /// It waits until it is let go.
    Held { here: oneshot::Sender<()>, let_go: oneshot::Receiver<()> },
    /// It goes through. Instead of its answer comes the end of every connection, and `then` for those that come.
    Unanswered(Loss),
}

/// An answer that is to be lost.
pub(super) struct Loss {
    pub(super) lost: oneshot::Sender<()>,
    pub(super) then: Harm,
}

/// A request that is held, or will be.
pub(crate) struct Held {
    pub(super) here: oneshot::Receiver<()>,
    pub(super) let_go: oneshot::Sender<()>,
}

impl Held {
    /// Waits until it has come.
    pub(crate) async fn here(&mut self) {
        (&mut self.here).await.unwrap();
    }

    /// Lets it go on.
    pub(crate) fn let_go(self) {
        self.let_go.send(()).unwrap();
    }
}

impl Trap {
    /// Whether this was said, of which `said` are the last bytes that came.
    pub(super) fn is_met(&self, said: &[u8]) -> bool {
        said.windows(self.request.len()).any(|bytes| bytes == self.request)
    }
}
