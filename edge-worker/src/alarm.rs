//! When the hub is called next: a timer for what is due within a second, the object's alarm for everything later.
//!
//! A timer keeps the object in memory, which is right while something is unacknowledged. An alarm lets it sleep and
//! outlives its memory; each setting of it is a written row, so it is only ever moved forward, and none is set for
//! sessions that have not shown a valid token.

use std::{cell::Cell, rc::Rc, time::Duration};

use js_sys::{Date, Object, Reflect};
use shared::Millis;
use wasm_bindgen::JsValue;
use worker::{Delay, console_error, wasm_bindgen_futures::JsFuture, wasm_bindgen_futures::spawn_local};

use crate::room_object::Shared;

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
    /// Sees to it that the hub is called at `next`; by an alarm only if it has members to wake up for.
    pub(crate) fn arm(&self, shared: &Rc<Shared>, next: Option<Millis>, has_members: bool, now: Millis) {
        let Some(next) = next else { return };
        if has_members && next > now + TIMER_MS {
            self.ring_by(shared, next);
            return;
        }
        if has_members && self.alarm.get().is_none() {
            self.ring_by(shared, now + NET_MS);
        }
        if self.timer.get().is_none_or(|set| set > next) {
            self.timer.set(Some(next));
            let shared = Rc::clone(shared);
            let delay = Duration::from_millis(next.saturating_sub(now).max(1));
            spawn_local(async move {
                Delay::from(delay).await;
                if shared.alarm.timer.get() == Some(next) {
                    shared.alarm.timer.set(None);
                }
                shared.tick();
            });
        }
    }

    /// Whether an alarm is set, as far as this memory knows.
    pub(crate) fn is_set(&self) -> bool {
        self.alarm.get().is_some()
    }

    /// The alarm has rung.
    pub(crate) fn rung(&self) {
        self.alarm.set(None);
    }

    fn ring_by(&self, shared: &Rc<Shared>, at: Millis) {
        if self.alarm.get().is_some_and(|set| set <= at) {
            return;
        }
        match set(shared, at) {
            Ok(()) => self.alarm.set(Some(at)),
            Err(error) => console_error!("alarm.set: {error}"),
        }
    }
}

/// Unconfirmed: what is sent later need not wait until the alarm is durable.
fn set(shared: &Shared, at: Millis) -> worker::Result<()> {
    let options = Object::new();
    Reflect::set(&options, &JsValue::from_str("allowUnconfirmed"), &JsValue::TRUE)?;
    let date = Date::new(&JsValue::from_f64(at as f64));
    let promise = shared.state.as_raw().storage()?.set_alarm(date, options)?;
    spawn_local(async move {
        if let Err(error) = JsFuture::from(promise).await {
            console_error!("alarm.set: {error:?}");
        }
    });
    Ok(())
}
