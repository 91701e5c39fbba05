//! The frames of a hub.
//!
//! Tags: 1 hello, 2 open, 3 close, 4 update, 5 sync, 6 awareness, 7 event, 8 stats, 9 ping, 10 open-text, 11 text, 12 token. A tag is never
//! used again for something else; a body only ever grows at its end.

use bytes::Bytes;

use super::{
    ChangeKind, HubMessage, LinkError,
    part::{
        Body, Sink, Unreadable, encoded_len, read_frame, write_frame, write_grant, write_option,
        write_position, write_rules,
    },
};

/// Writes a frame of a hub.
pub fn encode_hub(messages: &[HubMessage]) -> Bytes {
    write_frame(messages, write)
}

/// Reads a frame of a hub. The bytes of its messages are slices of the frame.
pub fn decode_hub(frame: &Bytes) -> Result<Vec<HubMessage>, LinkError> {
    read_frame(frame, read)
}

impl HubMessage {
    /// How many bytes the message takes in a frame.
    pub fn encoded_len(&self) -> usize {
        encoded_len(self, write)
    }
}

fn write(message: &HubMessage, body: &mut impl Sink) -> u8 {
    match message {
        HubMessage::Hello { hub, position } => {
            body.text(hub);
            write_option(body, *position, write_position);
            1
        }
        HubMessage::Open { channel, name, grant } => {
            body.var(channel.0);
            body.text(name);
            write_grant(body, grant);
            write_rules(body, grant);
            2
        }
        HubMessage::Close { channel } => {
            body.var(channel.0);
            3
        }
        HubMessage::Update { channel, file, hub_seq, kind, grant_version, may_edit, author, bytes } => {
            body.var(channel.0);
            body.text(file.as_str());
            body.var(*hub_seq);
            body.u8(match kind {
                ChangeKind::Update => 0,
                ChangeKind::Step2 | ChangeKind::Held => 1,
            });
            body.var((*grant_version).into());
            body.u8((*may_edit).into());
            body.bytes(bytes);
            let held = *kind == ChangeKind::Held;
            // Without either it is as before there were any.
            if held || !author.is_empty() {
                body.u8(held.into());
                body.text(author);
            }
            4
        }
        HubMessage::Sync { channel, file, ask, state_vector } => {
            body.var(channel.0);
            body.text(file.as_str());
            body.var(*ask);
            body.bytes(state_vector);
            5
        }
        HubMessage::Awareness { file, bytes } => {
            body.text(file.as_str());
            body.bytes(bytes);
            6
        }
        HubMessage::Event { channel, hub_seq, json } => {
            body.var(channel.0);
            body.var(*hub_seq);
            body.bytes(json);
            7
        }
        HubMessage::Stats { json } => {
            body.bytes(json);
            8
        }
        HubMessage::Ping => 9,
        HubMessage::OpenText { channel, name, grant, told, round } => {
            body.var(channel.0);
            body.text(name);
            write_grant(body, grant);
            body.text(told);
            body.var(*round);
            write_rules(body, grant);
            10
        }
        HubMessage::Text { channel, file, hub_seq, grant_version, base, json } => {
            body.var(channel.0);
            body.text(file.as_str());
            body.var(*hub_seq);
            body.var((*grant_version).into());
            body.text(base);
            body.bytes(json);
            11
        }
        HubMessage::Token { session, token } => {
            body.var(session.as_u64());
            body.text(token);
            12
        }
    }
}

fn read(tag: u8, body: &mut Body<'_>) -> Result<Option<HubMessage>, Unreadable> {
    Ok(Some(match tag {
        1 => HubMessage::Hello { hub: body.text()?, position: body.option(Body::position)? },
        2 => {
            let (channel, name, grant) = (body.channel()?, body.text()?, body.grant()?);
            HubMessage::Open { channel, name, grant: body.rules_of(grant)? }
        }
        3 => HubMessage::Close { channel: body.channel()? },
        4 => {
            let (channel, file, hub_seq) = (body.channel()?, body.file()?, body.number()?);
            let (is_step2, grant_version) = (body.flag()?, body.small_number()?);
            let (may_edit, bytes) = (body.flag()?, body.bytes()?);
            // Hubs of before end here.
            let held = body.is_left() && body.flag()?;
            let author = if body.is_left() { body.text()? } else { String::new() }.into();
            let kind = match (is_step2, held) {
                (false, _) => ChangeKind::Update,
                (true, false) => ChangeKind::Step2,
                (true, true) => ChangeKind::Held,
            };
            HubMessage::Update { channel, file, hub_seq, kind, grant_version, may_edit, author, bytes }
        }
        5 => HubMessage::Sync {
            channel: body.channel()?,
            file: body.file()?,
            ask: body.number()?,
            state_vector: body.bytes()?,
        },
        6 => HubMessage::Awareness { file: body.file()?, bytes: body.bytes()? },
        7 => HubMessage::Event { channel: body.channel()?, hub_seq: body.number()?, json: body.bytes()? },
        8 => HubMessage::Stats { json: body.bytes()? },
        9 => HubMessage::Ping,
        10 => {
            let (channel, name) = (body.channel()?, body.text()?);
            let (grant, told, round) = (body.grant()?, body.text()?, body.number()?);
            HubMessage::OpenText { channel, name, grant: body.rules_of(grant)?, told, round }
        }
        11 => HubMessage::Text {
            channel: body.channel()?,
            file: body.file()?,
            hub_seq: body.number()?,
            grant_version: body.small_number()?,
            base: body.text()?,
            json: body.bytes()?,
        },
        12 => HubMessage::Token { session: body.session()?, token: body.text()? },
        _ => return Ok(None),
    }))
}
