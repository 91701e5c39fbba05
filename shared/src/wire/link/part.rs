//! The parts that link messages are made of, and the frame around them.
//!
//! Numbers are varUints, texts and bytes have their length in front, an optional part is headed by 0 or 1.

use bytes::Bytes;

use super::{LinkError, VERSION};
use crate::{
    close::CloseCode,
    grant::{Grant, Member, Role, Rule},
    id::{ChannelId, FileId, FilePath, SessionId},
    path_pattern::PathPattern,
    position::{Epoch, Position},
    wire::varint::{ReadError, Reader, Writer},
};

/// A body that cannot be read; the frame says of which message.
pub(super) struct Unreadable;

impl From<ReadError> for Unreadable {
    fn from(_: ReadError) -> Self {
        Self
    }
}

/// Reads the parts of one body. Bytes are slices of the frame, not copies.
pub(super) struct Body<'a> {
    frame: &'a Bytes,
    reader: Reader<'a>,
}

/// Reads a frame: `message` gets the tag and the body of each message, and returns `None` for an unknown tag.
pub(super) fn read_frame<M>(
    frame: &Bytes,
    message: impl Fn(u8, &mut Body<'_>) -> Result<Option<M>, Unreadable>,
) -> Result<Vec<M>, LinkError> {
    let mut reader = Reader::new(frame);
    match reader.u8() {
        Ok(VERSION) => {}
        Ok(version) => return Err(LinkError::Version(version)),
        Err(_) => return Err(LinkError::Empty),
    }
    let mut messages = Vec::new();
    while let Ok(tag) = reader.u8() {
        let malformed = LinkError::Malformed(tag);
        let body = reader.bytes().map_err(|_| malformed.clone())?;
        let mut body = Body { frame, reader: Reader::new(body) };
        messages.extend(message(tag, &mut body).map_err(|_| malformed)?);
    }
    Ok(messages)
}

/// What the parts of a body are written to: bytes, or only their count.
pub(super) trait Sink {
    fn raw(&mut self, bytes: &[u8]);

    fn u8(&mut self, byte: u8) {
        self.raw(&[byte]);
    }

    fn var(&mut self, number: u64);

    fn bytes(&mut self, bytes: &[u8]) {
        self.var(bytes.len() as u64);
        self.raw(bytes);
    }

    fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }
}

impl Sink for Writer {
    fn raw(&mut self, bytes: &[u8]) {
        Self::raw(self, bytes);
    }

    fn var(&mut self, number: u64) {
        Self::var(self, number);
    }
}

/// Counts what would be written.
#[derive(Default)]
pub(super) struct Length(usize);

impl Sink for Length {
    fn raw(&mut self, bytes: &[u8]) {
        self.0 += bytes.len();
    }

    fn var(&mut self, number: u64) {
        let bits = (u64::BITS - number.leading_zeros()).max(1) as usize;
        self.0 += bits.div_ceil(7);
    }
}

/// How many bytes a message takes in a frame: its tag, the length of its body, its body.
pub(super) fn encoded_len<M>(message: &M, write: impl Fn(&M, &mut Length) -> u8) -> usize {
    let (mut body, mut head) = (Length::default(), Length::default());
    let tag = write(message, &mut body);
    head.u8(tag);
    head.var(body.0 as u64);
    head.0 + body.0
}

/// Writes a frame: `message` writes the body of one and returns its tag.
pub(super) fn write_frame<M>(messages: &[M], message: impl Fn(&M, &mut Writer) -> u8) -> Bytes {
    let mut frame = Writer::default();
    frame.u8(VERSION);
    for one in messages {
        let mut body = Writer::default();
        let tag = message(one, &mut body);
        frame.u8(tag);
        frame.bytes(&body.finish());
    }
    frame.finish()
}

impl Body<'_> {
    /// Whether the body goes on.
    pub(super) fn is_left(&self) -> bool {
        self.reader.left() > 0
    }

    pub(super) fn number(&mut self) -> Result<u64, Unreadable> {
        Ok(self.reader.var(u64::MAX)?)
    }

    pub(super) fn small_number(&mut self) -> Result<u32, Unreadable> {
        Ok(self.reader.var(u32::MAX.into())? as u32)
    }

    pub(super) fn flag(&mut self) -> Result<bool, Unreadable> {
        Ok(self.reader.var(1)? == 1)
    }

    /// A number of things that take at least `bytes` bytes each.
    pub(super) fn count(&mut self, bytes: usize) -> Result<usize, Unreadable> {
        let most = self.reader.left() / bytes;
        Ok(self.reader.var(most as u64)? as usize)
    }

    pub(super) fn text(&mut self) -> Result<String, Unreadable> {
        Ok(self.reader.text()?.to_owned())
    }

    pub(super) fn bytes(&mut self) -> Result<Bytes, Unreadable> {
        Ok(self.frame.slice_ref(self.reader.bytes()?))
    }

    pub(super) fn channel(&mut self) -> Result<ChannelId, Unreadable> {
        self.number().map(ChannelId)
    }

    pub(super) fn file(&mut self) -> Result<FileId, Unreadable> {
        let text = self.reader.text()?;
        let room = FileId::room();
        if text == room.as_str() { Ok(room) } else { FileId::parse(text).map_err(|_| Unreadable) }
    }

    pub(super) fn path(&mut self) -> Result<FilePath, Unreadable> {
        FilePath::parse(self.reader.text()?).map_err(|_| Unreadable)
    }

    pub(super) fn close_code(&mut self) -> Result<CloseCode, Unreadable> {
        Ok(CloseCode::from_u16(self.reader.var(u16::MAX.into())? as u16))
    }

    pub(super) fn role(&mut self) -> Result<Role, Unreadable> {
        match self.reader.u8()? {
            0 => Ok(Role::Viewer),
            1 => Ok(Role::Editor),
            2 => Ok(Role::Owner),
            _ => Err(Unreadable),
        }
    }

    pub(super) fn grant(&mut self) -> Result<Grant, Unreadable> {
        let member = Member { id: self.reader.text()?.into(), name: self.reader.text()?.into() };
        let role = self.role()?;
        let expires = self.option(Self::number)?;
        Ok(Grant { member, role, expires, version: self.small_number()?, rules: [].into() })
    }

    /// The rules of a grant, if the body goes on: they are at its end.
    pub(super) fn rules_of(&mut self, grant: Grant) -> Result<Grant, Unreadable> {
        if !self.is_left() {
            return Ok(grant);
        }
        let mut rules = Vec::new();
        for _ in 0..self.count(2)? {
            let (paths, role) = (PathPattern::parse(self.reader.text()?), self.role()?);
            // A peer of another version may know patterns that this one does not: nobody has more rights for it.
            rules.push(match paths {
                Ok(paths) => Rule { paths, role },
                Err(_) => Rule { paths: PathPattern::everything(), role: Role::Viewer },
            });
        }
        Ok(Grant { rules: rules.into(), ..grant })
    }

    pub(super) fn session(&mut self) -> Result<SessionId, Unreadable> {
        self.number().map(SessionId::from_u64)
    }

    pub(super) fn position(&mut self) -> Result<Position, Unreadable> {
        Ok(Position { epoch: Epoch(self.number()?), seq: self.number()?, ts: self.number()? })
    }

    pub(super) fn option<T>(
        &mut self,
        part: impl FnOnce(&mut Self) -> Result<T, Unreadable>,
    ) -> Result<Option<T>, Unreadable> {
        match self.reader.u8()? {
            0 => Ok(None),
            1 => part(self).map(Some),
            _ => Err(Unreadable),
        }
    }
}

pub(super) fn write_role(writer: &mut impl Sink, role: Role) {
    writer.u8(match role {
        Role::Viewer => 0,
        Role::Editor => 1,
        Role::Owner => 2,
    });
}

pub(super) fn write_grant(writer: &mut impl Sink, grant: &Grant) {
    writer.text(&grant.member.id);
    writer.text(grant.member.name.as_str());
    write_role(writer, grant.role);
    write_option(writer, grant.expires, |writer, at| writer.var(at));
    writer.var(grant.version.into());
}

/// Writes the rules of a grant at the end of a body: without any, it is as before there were any.
pub(super) fn write_rules(writer: &mut impl Sink, grant: &Grant) {
    if !grant.rules.is_empty() {
        writer.var(grant.rules.len() as u64);
        for rule in grant.rules.iter() {
            writer.text(rule.paths.as_str());
            write_role(writer, rule.role);
        }
    }
}

pub(super) fn write_position(writer: &mut impl Sink, position: Position) {
    writer.var(position.epoch.0);
    writer.var(position.seq);
    writer.var(position.ts);
}

pub(super) fn write_option<S: Sink, T>(writer: &mut S, part: Option<T>, write: impl FnOnce(&mut S, T)) {
    writer.u8(part.is_some().into());
    if let Some(part) = part {
        write(writer, part);
    }
}
