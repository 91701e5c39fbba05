//! The Lua scripts, one file each: loaded by their first call, typed errors out.

use std::{sync::LazyLock, time::Duration};

use bytes::Bytes;
use redis::{Cmd, ErrorKind, FromRedisValue, RedisError, ServerErrorKind, Value, aio::ConnectionLike};
use shared::{id::FileId, position::Epoch};

use crate::{
    redis::{CallError, RedisConnection, Server},
    store::StoreError,
};

/// A script as Redis gets it.
pub(super) struct Script {
    name: &'static str,
    code: String,
    hash: String,
}

macro_rules! scripts {
    ($($name:ident $file:literal)*) => {
        $(pub(super) static $name: LazyLock<Script> =
            LazyLock::new(|| Script::new($file, include_str!(concat!("lua/", $file, ".lua"))));)*
    };
}

scripts! {
    JOIN "join"
    STAGE "stage"
    COMMIT "commit"
    APPEND "append"
    CLAIM "claim"
    READ "read"
    BACKFILL "backfill"
    NAMES "names"
    DIRTY "dirty"
    ACK "ack"
    LIST "list"
    LISTED "listed"
    RECORD_FLUSH_OUTCOME "record_flush_outcome"
    SURVEY "survey"
    LEAVE "leave"
    SEAL "seal"
    ERASE "erase"
    TOUCH "touch"
    FORGET "forget"
}

impl Script {
    fn new(name: &'static str, source: &str) -> Self {
        // The flags must be the very first line.
        let (flags, body) = source.split_once('\n').unwrap_or((source, ""));
        let code = format!("{flags}\n{}\n{body}", include_str!("lua/common.lua"));
        let hash = redis::Script::new(&code).get_hash().to_owned();
        Self { name, code, hash }
    }

    /// A call of it, so far without keys and arguments.
    pub(super) fn call(&'static self) -> Call {
        Call { script: self, keys: Vec::new(), args: Vec::new() }
    }
}

/// A call of a script.
pub(super) struct Call {
    script: &'static Script,
    keys: Vec<String>,
    args: Vec<Arg>,
}

enum Arg {
    Bytes(Bytes),
    RunId,
}

impl Call {
    pub(super) fn key(mut self, key: String) -> Self {
        self.keys.push(key);
        self
    }

    pub(super) fn keys(mut self, keys: impl IntoIterator<Item = String>) -> Self {
        self.keys.extend(keys);
        self
    }

    pub(super) fn text(mut self, text: impl Into<String>) -> Self {
        self.args.push(Arg::Bytes(Bytes::from(text.into())));
        self
    }

    pub(super) fn number(self, number: u64) -> Self {
        self.text(number.to_string())
    }

    pub(super) fn bytes(mut self, bytes: Bytes) -> Self {
        self.args.push(Arg::Bytes(bytes));
        self
    }

    /// The run id of the server that the connection leads to; empty if that may be one of several.
    pub(super) fn run_id(mut self) -> Self {
        self.args.push(Arg::RunId);
        self
    }

    /// Runs it; a server that does not know the script gets its text. Once per server and script.
    pub(super) async fn run(&self, on: &RedisConnection) -> Result<Value, StoreError> {
        let run = on.call(self.script.name, async |server| {
            match self
                .command("EVALSHA", &self.script.hash, &server.run_id)
                .query_async(&mut server.wire)
                .await
            {
                Err(error) if is_unknown(&error) => {
                    self.command("EVAL", &self.script.code, &server.run_id)
                        .query_async(&mut server.wire)
                        .await
                }
                answer => answer,
            }
        });
        Ok(run.await?)
    }

    /// [`Self::run`], then waits until a replica has it too: an error if none has within `patience`.
    pub(super) async fn run_replicated(
        &self,
        on: &RedisConnection,
        patience: Duration,
    ) -> Result<Value, StoreError> {
        let run = on.call(self.script.name, async |server| {
            let Server { wire, run_id } = server;
            match self.waited_for(wire, "EVALSHA", &self.script.hash, run_id, patience).await {
                Err(error) if is_unknown(&error) => {
                    self.waited_for(wire, "EVAL", &self.script.code, run_id, patience).await
                }
                answer => answer,
            }
        });
        Ok(run.await?)
    }

    /// WAIT looks at the connection that it comes over, so both go in one piece.
    async fn waited_for(
        &self,
        on: &mut (impl ConnectionLike + Send),
        verb: &str,
        script: &str,
        run_id: &str,
        patience: Duration,
    ) -> Result<Value, RedisError> {
        let mut both = redis::pipe();
        let patience = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX).max(1);
        both.add_command(self.command(verb, script, run_id)).cmd("WAIT").arg(1).arg(patience);
        let mut answers = on.req_packed_commands(&both, 0, 2).await?.into_iter();
        let (answer, replicas) = (answers.next().unwrap_or(Value::Nil), answers.next().unwrap_or(Value::Nil));
        let answer = answer.extract_error()?;
        if u64::from_redis_value(replicas.extract_error()?)? == 0 {
            return Err((ErrorKind::Client, "no replica has it yet").into());
        }
        Ok(answer)
    }

    fn command(&self, verb: &str, script: &str, run_id: &str) -> Cmd {
        let mut command = redis::cmd(verb);
        command.arg(script).arg(self.keys.len());
        for key in &self.keys {
            command.arg(key);
        }
        for arg in &self.args {
            match arg {
                Arg::Bytes(bytes) => command.arg(bytes.as_ref()),
                Arg::RunId => command.arg(run_id),
            };
        }
        command
    }
}

/// Whether the server does not know the script.
fn is_unknown(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
}

impl From<CallError<RedisError>> for StoreError {
    fn from(error: CallError<RedisError>) -> Self {
        match error {
            CallError::Answered(error) => refusal(&error),
            CallError::Late(_) | CallError::Closed => Self::Failed(error.to_string()),
        }
    }
}

/// What a refusal of a script, or of the server, means.
fn refusal(error: &RedisError) -> StoreError {
    let detail = error.detail().unwrap_or_default();
    match error.code() {
        Some("COLD") => StoreError::Cold,
        Some("EPOCH") => match detail.trim().parse() {
            Ok(epoch) => StoreError::Epoch(Epoch(epoch)),
            Err(_) => StoreError::Failed(error.to_string()),
        },
        Some("SEALED") => StoreError::Sealed,
        Some("STALE") => StoreError::Stale,
        Some("CONFLICT") => StoreError::Conflict,
        Some("NOFILE") => StoreError::NoFile,
        Some("OVERTAKEN") => StoreError::Overtaken,
        Some("OWNED") => owned(detail).unwrap_or_else(|| StoreError::Failed(error.to_string())),
        Some("OOM") => StoreError::Full,
        _ => StoreError::Failed(error.to_string()),
    }
}

/// File, client, and to whom it belongs.
fn owned(detail: &str) -> Option<StoreError> {
    let mut words = detail.trim().splitn(3, ' ');
    let (file, client) = (FileId::parse(words.next()?).ok()?, words.next()?.parse().ok()?);
    Some(StoreError::Owned { file, client, owner: words.next()?.to_owned() })
}
