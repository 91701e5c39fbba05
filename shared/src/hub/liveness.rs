//! Whether a client is still there.
//!
//! A socket that was cut without a close looks like one that is quiet. Every frame of a client is an answer, and a
//! probe that went unanswered outlives an eviction: a hub that sleeps between two of them finds the dead too.

use crate::{Millis, id::ChannelId, limits};

/// What a hub knows of a client's being there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Liveness {
    /// When it was last sent something for its own sake.
    keepalive_sent_at: Millis,
    /// Since when it owes an answer.
    probe_sent_at: Option<Millis>,
    /// What its socket had to send at that moment.
    backlog: usize,
    /// The origin was asked for the state vector that this channel is to be probed with.
    probes_with: Option<ChannelId>,
    /// The frame that is being handled answers a probe.
    answers: bool,
}

impl Liveness {
    pub(super) fn new(now: Millis) -> Self {
        Self { keepalive_sent_at: now, probe_sent_at: None, backlog: 0, probes_with: None, answers: false }
    }

    /// What a snapshot leaves.
    pub(super) fn restored(keepalive_sent_at: Millis, probe_sent_at: Option<Millis>) -> Self {
        Self { probe_sent_at, ..Self::new(keepalive_sent_at) }
    }

    pub(super) fn keepalive_sent_at(&self) -> Millis {
        self.keepalive_sent_at
    }

    pub(super) fn probe_sent_at(&self) -> Option<Millis> {
        self.probe_sent_at
    }

    /// Whether the frame that is being handled answers a probe.
    pub(super) fn answers(&self) -> bool {
        self.answers
    }

    /// A frame has come; whether that changes what a snapshot keeps.
    pub(super) fn heard(&mut self) -> bool {
        self.answers = self.probe_sent_at.take().is_some();
        self.answers
    }

    pub(super) fn keepalive_sent(&mut self, now: Millis) {
        self.keepalive_sent_at = now;
    }

    /// It was sent a probe while its socket had so much to send.
    pub(super) fn probe_sent(&mut self, backlog: usize, now: Millis) {
        if self.probe_sent_at.is_none() {
            self.probe_sent_at = Some(now);
            self.backlog = backlog;
        }
    }

    /// It is probed as soon as this channel gets the state vector of the log.
    pub(super) fn probe_later(&mut self, channel: ChannelId) {
        self.probes_with = Some(channel);
    }

    /// The channel was sent Step1; whether that was the probe.
    pub(super) fn step1_sent(&mut self, channel: ChannelId, backlog: usize, now: Millis) -> bool {
        let probes = self.probes_with == Some(channel);
        if probes {
            self.probes_with = None;
            self.probe_sent(backlog, now);
        }
        probes
    }

    /// When it is given up.
    pub(super) fn gives_up_at(&self) -> Option<Millis> {
        self.probe_sent_at.map(|at| at + limits::ANSWER_MS)
    }

    /// Whether it is to be given up. A client whose socket still takes what was sent before the probe has not come to
    /// it yet: it gets more time.
    pub(super) fn is_gone(&mut self, backlog: usize, now: Millis) -> bool {
        if self.gives_up_at().is_none_or(|at| at > now) {
            return false;
        }
        let progresses = backlog < self.backlog;
        if progresses {
            (self.probe_sent_at, self.backlog) = (Some(now), backlog);
        }
        !progresses
    }
}
