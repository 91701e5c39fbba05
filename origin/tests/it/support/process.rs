//! The origin as a process: what it says, whether it runs, how it ends.

use std::{
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    process::{Child, Command, ExitStatus, Stdio},
};

use super::{Answer, Client, http};

/// A running origin. Dropping it kills it.
pub(crate) struct Process {
    child: Child,
    /// Where it listens.
    pub(crate) address: String,
    /// What it said before it listened.
    said: String,
    rest: BufReader<std::process::ChildStderr>,
}

fn command(variables: &[(&str, &str)], arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_origin"));
    command.env_clear().envs(variables.iter().copied()).args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

impl Process {
    /// Runs one that refuses to start, and gives what it says.
    pub(crate) fn refused(variables: &[(&str, &str)], arguments: &[&str]) -> String {
        let output = command(variables, arguments).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success(), "{said}");
        said
    }

    /// Runs one that prints something and ends, and gives what it prints.
    pub(crate) fn printed(variables: &[(&str, &str)], arguments: &[&str]) -> String {
        let output = command(variables, arguments).stdout(Stdio::piped()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Starts one and waits until it listens.
    pub(crate) fn start(variables: &[(&str, &str)], arguments: &[&str]) -> Self {
        let variables = [variables, &[("LOG_FORMAT", "json")]].concat();
        let mut child = command(&variables, arguments).spawn().unwrap();
        let rest = BufReader::new(child.stderr.take().unwrap());
        let mut process = Self { child, address: String::new(), said: String::new(), rest };
        while process.address.is_empty() {
            let mut line = String::new();
            assert!(process.rest.read_line(&mut line).unwrap() > 0, "it has ended: {}", process.said);
            let event: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
            process.address = event["address"].as_str().unwrap_or_default().to_owned();
            process.said += &line;
        }
        process
    }

    pub(crate) fn socket_address(&self) -> SocketAddr {
        self.address.parse().unwrap()
    }

    /// Asks it for a page.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        http::send(self.socket_address(), "GET", path, &[], "").await
    }

    /// A client of a room, in the Hocuspocus envelope.
    pub(crate) async fn client(&self, room: &str) -> Client {
        Client::connect(format!("ws://{}/rooms/{room}?name=Ada", self.address)).await
    }

    /// Sends SIGTERM and waits for the end; all that it has said.
    pub(crate) fn terminate(mut self) -> (ExitStatus, String) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").arg(&id).status().unwrap().success());
        let mut said = std::mem::take(&mut self.said);
        self.rest.read_to_string(&mut said).unwrap();
        (self.child.wait().unwrap(), said)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
