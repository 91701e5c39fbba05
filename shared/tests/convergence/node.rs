//! A node process beside the test: one line of JSON out, one line back.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use serde_json::Value;

pub(crate) struct Node {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Node {
    /// Runs a script of this folder.
    pub(crate) fn run(script: &str, args: &[String]) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/convergence");
        let node = crate::variable("EDGEROOM_NODE").unwrap_or_else(|| "node".to_owned());
        let mut child = Command::new(node)
            .arg(folder.join(script))
            .args(args)
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("node runs: install it, and `npm ci`");
        let to = child.stdin.take().unwrap();
        let from = BufReader::new(child.stdout.take().unwrap());
        Self { child, to, from }
    }

    pub(crate) fn ask(&mut self, question: &Value) -> Value {
        writeln!(self.to, "{question}").expect("node takes a question");
        self.line().expect("node answers")
    }

    /// The next line, unless it has ended.
    pub(crate) fn line(&mut self) -> Option<Value> {
        let mut line = String::new();
        self.from.read_line(&mut line).expect("node speaks");
        (!line.is_empty()).then(|| serde_json::from_str(&line).expect("node speaks JSON"))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn unhex(text: &str) -> Vec<u8> {
    let digits = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    text.as_bytes().chunks(2).map(digits).collect()
}
