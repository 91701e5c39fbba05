//! `origin token`: what a token is to say.

use std::time::Duration;

use shared::{
    Millis,
    grant::{Role, Rule},
    id::RoomId,
    path_pattern::PathPattern,
    token::{AUDIENCE, Audience, Claims, EVERY_ROOM},
};

/// The claims of a token, as an operator orders them.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct TokenOrder {
    /// The room that it is for, or * for every room.
    #[arg(long, value_parser = room)]
    room: String,
    /// What its bearer may do: viewer, editor or owner.
    #[arg(long, value_parser = role)]
    role: Role,
    /// Who its bearer is: the member's id.
    #[arg(long)]
    sub: String,
    /// The name that others see; without one it is the id.
    #[arg(long)]
    name: Option<String>,
    /// How long it is good: a number with s, m, h or d.
    #[arg(long, value_parser = time, default_value = "1h")]
    ttl: Duration,
    /// Another role for some paths, such as docs/**=viewer; the first that fits counts. Can be repeated.
    #[arg(long = "rule", value_name = "PATHS=ROLE", value_parser = rule)]
    rules: Vec<Rule>,
}

impl TokenOrder {
    /// The claims of a token that is made now.
    pub fn claims(&self, now: Millis) -> Claims {
        Claims {
            sub: self.sub.clone(),
            name: self.name.clone(),
            aud: Audience::One(AUDIENCE.to_owned()),
            room: self.room.clone(),
            role: self.role,
            rules: self.rules.clone(),
            exp: (now / 1000 + self.ttl.as_secs()) as f64,
            nbf: None,
        }
    }
}

fn room(text: &str) -> Result<String, String> {
    if text != EVERY_ROOM {
        RoomId::parse(text).map_err(|error| error.to_string())?;
    }
    Ok(text.to_owned())
}

fn role(text: &str) -> Result<Role, String> {
    match text {
        "viewer" => Ok(Role::Viewer),
        "editor" => Ok(Role::Editor),
        "owner" => Ok(Role::Owner),
        _ => Err("a role is viewer, editor or owner".to_owned()),
    }
}

fn rule(text: &str) -> Result<Rule, String> {
    let (paths, of) = text.rsplit_once('=').ok_or("a rule is PATHS=ROLE")?;
    let paths = PathPattern::parse(paths).map_err(|error| error.to_string())?;
    Ok(Rule { paths, role: role(of)? })
}

fn time(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is not a number with s, m, h or d");
    let unit = match text.chars().last() {
        Some('s') => 1,
        Some('m') => 60,
        Some('h') => 3600,
        Some('d') => 86400,
        _ => return Err(wrong()),
    };
    let number: u32 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    if number == 0 { Err(wrong()) } else { Ok(Duration::from_secs(u64::from(number) * unit)) }
}
