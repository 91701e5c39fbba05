//! A merged state in the place of a base and of the updates in it, whether or not the archive has it.

use shared::{id::RoomId, position::Epoch};

use super::{RedisStore, keys::Keys, script};
use crate::room_store::{FlushAck, StoreError};

impl RedisStore {
    pub(super) async fn rebase(
        &self,
        room: &RoomId,
        epoch: Epoch,
        merged: FlushAck,
        stored: bool,
    ) -> Result<(), StoreError> {
        let (keys, file) = (Keys::new(room), &merged.file);
        let call = script::ACK.call().key(keys.meta()).key(keys.log(file)).key(keys.base(file));
        let call = call.key(keys.files()).key(keys.dirty()).number(epoch.0).text(file.as_str());
        let call = call.number(merged.read_base_ts).number(merged.merged_ts).number(merged.merged_seq);
        call.bytes(merged.state).number(stored.into()).run(&self.bulk).await.map(drop)
    }
}
