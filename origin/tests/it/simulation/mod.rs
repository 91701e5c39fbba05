//! Hub, link and room wired together in simulated time, with a room store that fails on command. Nothing runs by
//! itself: a test, or a seeded scheduler, says what happens next. What a lost memory is rebuilt from is only what
//! the hub had asked its shell to save.

mod client;
mod store;
mod world;
mod shells;
mod checks;
mod schedules;
mod same_client;
mod sizes;
mod emptied;
mod liveness;
mod returning;
mod seeded;
mod sessions;
mod text_client;
mod text_frames;
mod line_ends;

pub(crate) use seeded::Dice;
pub(crate) use world::World;
