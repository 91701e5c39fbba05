//! The frames of an origin.
//!
//! Tags: 1 opened, 2 closed, 3 ack, 4 refuse, 5 missing, 6 hold, 7 resume, 8 diff, 9 updates, 10 awareness,
//! 11 event, 12 revoke, 13 pong, 14 reset, 15 text, 16 size. A tag is never used again for something else; a body only ever
//! grows at its end.

use bytes::Bytes;

use super::{
    FileUpdate, LinkError, OriginMessage,
    part::{Body, Unreadable, read_frame, write_frame, write_option, write_position, write_role},
};
use crate::{id::ChannelId, wire::varint::Writer};

/// Writes a frame of an origin.
pub fn encode_origin(messages: &[OriginMessage]) -> Bytes {
    write_frame(messages, write)
}

/// Reads a frame of an origin. The bytes of its messages are slices of the frame.
pub fn decode_origin(frame: &Bytes) -> Result<Vec<OriginMessage>, LinkError> {
    read_frame(frame, read)
}

fn write(message: &OriginMessage, body: &mut Writer) -> u8 {
    match message {
        OriginMessage::Opened { channel, file, path, size, grant_version } => {
            body.var(channel.0);
            body.text(file.as_str());
            write_option(body, path.as_ref(), |body, path| body.text(path.as_str()));
            body.var(*size);
            body.var((*grant_version).into());
            1
        }
        OriginMessage::Closed { channel, code, reason } => {
            body.var(channel.0);
            body.var(code.as_u16().into());
            body.text(reason);
            2
        }
        OriginMessage::Ack { channel, file, hub_seq, seq, size } => {
            body.var(channel.0);
            body.text(file.as_str());
            body.var(*hub_seq);
            body.var(*seq);
            body.var(*size);
            3
        }
        OriginMessage::Refuse { channel, file, hub_seq, reason } => {
            body.var(channel.0);
            body.text(file.as_str());
            body.var(*hub_seq);
            body.text(reason);
            4
        }
        OriginMessage::Missing { channel, file, hub_seq, state_vector } => {
            body.var(channel.0);
            body.text(file.as_str());
            body.var(*hub_seq);
            body.bytes(state_vector);
            5
        }
        OriginMessage::Hold { why } => {
            body.text(why);
            6
        }
        OriginMessage::Resume => 7,
        OriginMessage::Diff { channel, file, ask, bytes, state_vector, size, position } => {
            body.var(channel.0);
            body.text(file.as_str());
            body.var(*ask);
            body.bytes(bytes);
            body.bytes(state_vector);
            body.var(*size);
            write_position(body, *position);
            8
        }
        OriginMessage::Updates { position, updates } => {
            write_position(body, *position);
            body.var(updates.len() as u64);
            for update in updates {
                body.text(update.file.as_str());
                body.var(update.except.0);
                body.bytes(&update.bytes);
            }
            9
        }
        OriginMessage::Awareness { file, bytes } => {
            body.text(file.as_str());
            body.bytes(bytes);
            10
        }
        OriginMessage::Event { position, channel, json } => {
            write_option(body, *position, write_position);
            write_option(body, *channel, |body, ChannelId(channel)| body.var(channel));
            body.bytes(json);
            11
        }
        OriginMessage::Revoke { member, role, version } => {
            body.text(member);
            write_option(body, *role, write_role);
            body.var((*version).into());
            12
        }
        OriginMessage::Pong => 13,
        OriginMessage::Reset { position } => {
            write_position(body, *position);
            14
        }
        OriginMessage::Text { channel, position, whole, json } => {
            body.var(channel.0);
            body.text(position);
            body.u8((*whole).into());
            body.bytes(json);
            15
        }
        OriginMessage::Size { file, bytes, text_bytes } => {
            body.text(file.as_str());
            body.var(*bytes);
            body.var(*text_bytes);
            16
        }
    }
}

fn read(tag: u8, body: &mut Body<'_>) -> Result<Option<OriginMessage>, Unreadable> {
    Ok(Some(match tag {
        1 => OriginMessage::Opened {
            channel: body.channel()?,
            file: body.file()?,
            path: body.option(Body::path)?,
            size: body.number()?,
            grant_version: body.small_number()?,
        },
        2 => {
            OriginMessage::Closed { channel: body.channel()?, code: body.close_code()?, reason: body.text()? }
        }
        3 => OriginMessage::Ack {
            channel: body.channel()?,
            file: body.file()?,
            hub_seq: body.number()?,
            seq: body.number()?,
            size: body.number()?,
        },
        4 => OriginMessage::Refuse {
            channel: body.channel()?,
            file: body.file()?,
            hub_seq: body.number()?,
            reason: body.text()?,
        },
        5 => OriginMessage::Missing {
            channel: body.channel()?,
            file: body.file()?,
            hub_seq: body.number()?,
            state_vector: body.bytes()?,
        },
        6 => OriginMessage::Hold { why: body.text()? },
        7 => OriginMessage::Resume,
        8 => OriginMessage::Diff {
            channel: body.channel()?,
            file: body.file()?,
            ask: body.number()?,
            bytes: body.bytes()?,
            state_vector: body.bytes()?,
            size: body.number()?,
            position: body.position()?,
        },
        9 => OriginMessage::Updates { position: body.position()?, updates: updates(body)? },
        10 => OriginMessage::Awareness { file: body.file()?, bytes: body.bytes()? },
        11 => OriginMessage::Event {
            position: body.option(Body::position)?,
            channel: body.option(Body::channel)?,
            json: body.bytes()?,
        },
        12 => OriginMessage::Revoke {
            member: body.text()?,
            role: body.option(Body::role)?,
            version: body.small_number()?,
        },
        13 => OriginMessage::Pong,
        14 => OriginMessage::Reset { position: body.position()? },
        15 => OriginMessage::Text {
            channel: body.channel()?,
            position: body.text()?,
            whole: body.flag()?,
            json: body.bytes()?,
        },
        16 => OriginMessage::Size { file: body.file()?, bytes: body.number()?, text_bytes: body.number()? },
        _ => return Ok(None),
    }))
}

fn updates(body: &mut Body<'_>) -> Result<Vec<FileUpdate>, Unreadable> {
    let count = body.count(3)?;
    let mut updates = Vec::new();
    for _ in 0..count {
        updates.push(FileUpdate { file: body.file()?, except: body.channel()?, bytes: body.bytes()? });
    }
    Ok(updates)
}
