//! What a process does.

/// What a process does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// Everything.
    #[default]
    Both,
    /// Rooms, links, sockets and REST.
    Serve,
    /// Only writes dirty files to the archive: it has no rooms and takes nobody.
    Flush,
}

impl Role {
    /// Whether it has rooms and takes members.
    pub fn serves(self) -> bool {
        self != Self::Flush
    }

    /// Whether it writes dirty files to the archive: always where nobody else can, since the room store is not
    /// shared.
    pub fn flushes(self, store_is_shared: bool) -> bool {
        self != Self::Serve || !store_is_shared
    }
}
