//! When the hub is called next: a timer for what is due within a second, the object's alarm for everything later.
//!
//! A timer keeps the object in memory, which is right while something is unacknowledged. An alarm lets it sleep and
//! outlives its memory; each setting of it is a written row, so it is only ever moved forward, and none is set for
//! sessions that have not shown a valid token.

use std::{cell::Cell, time::Duration};

use js_sys::{Date, Object, Reflect};
use shared::Millis;
use wasm_bindgen::JsValue;
use worker::{
    Delay, State, console_error, wasm_bindgen_futures::JsFuture, wasm_bindgen_futures::spawn_local,
};

/// What is due within this time is waited for in memory.
const TIMER_MS: Millis = 1_000;
/// When the alarm rings although a timer is set: for the case that the timer is lost.
const NET_MS: Millis = 5_000;

/// The timer and the alarm of one object.
#[derive(Debug, Default)]
pub(crate) struct Alarm {
    timer: Cell<Option<Millis>>,
    alarm: Cell<Option<Millis>>,
}

impl Alarm {
    /// Sees to it that the hub is called at `next`; by an alarm only if it has members to wake up for. What it returns is
    /// how long a timer has to wait before [`Self::timer_rang`].
    #[must_use]
    pub(crate) fn arm(
        &self,
        state: &State,
        next: Option<Millis>,
        has_members: bool,
        now: Millis,
    ) -> Option<Timer> {
        let next = next?;
        if has_members && next > now + TIMER_MS {
            self.ring_by(state, next);
            return None;
        }
        if has_members && self.alarm.get().is_none() {
            self.ring_by(state, now + NET_MS);
        }
        if self.timer.get().is_some_and(|set| set <= next) {
            return None;
        }
        self.timer.set(Some(next));
        Some(Timer { at: next, delay: Duration::from_millis(next.saturating_sub(now).max(1)) })
    }

    /// A timer has ended.
    pub(crate) fn timer_rang(&self, timer: Timer) {
        if self.timer.get() == Some(timer.at) {
            self.timer.set(None);
        }
    }

    /// Whether an alarm is set, as far as this memory knows.
    pub(crate) fn is_set(&self) -> bool {
        self.alarm.get().is_some()
    }

    /// The alarm has rung.
    pub(crate) fn rang(&self) {
        self.alarm.set(None);
    }

    fn ring_by(&self, state: &State, at: Millis) {
        if self.alarm.get().is_some_and(|set| set <= at) {
            return;
        }
        match set(state, at) {
            Ok(()) => self.alarm.set(Some(at)),
            Err(error) => console_error!("alarm.set: {error}"),
        }
    }
}

/// A wait in memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timer {
    at: Millis,
    delay: Duration,
}

impl Timer {
    /// Waits.
    pub(crate) async fn wait(self) {
        Delay::from(self.delay).await;
    }
}

/// Unconfirmed: what is sent later need not wait until the alarm is durable.
fn set(state: &State, at: Millis) -> worker::Result<()> {
    let options = Object::new();
    Reflect::set(&options, &JsValue::from_str("allowUnconfirmed"), &JsValue::TRUE)?;
    let date = Date::new(&JsValue::from_f64(at as f64));
    let promise = state.as_raw().storage()?.set_alarm(date, options)?;
    spawn_local(async move {
        if let Err(error) = JsFuture::from(promise).await {
            console_error!("alarm.set: {error:?}");
        }
    });
    Ok(())
}
