//! Histories of honest clients: nothing of them is refused.

use crate::{
    gate::{Gate, Verdict},
    histories,
    node::{Node, unhex},
    replicas::text_of,
};

#[test]
fn no_update_of_an_honest_client_is_refused() {
    let seeds = histories();
    let args = [seeds.start.to_string(), seeds.end.to_string()];
    let mut node = Node::run("honest.mjs", &args);
    let (mut histories, mut updates) = (0, 0);
    while let Some(history) = node.line() {
        let mut gate = Gate::default();
        let mut logged = Vec::new();
        for sent in history["sent"].as_array().unwrap() {
            let update = unhex(sent["hex"].as_str().unwrap());
            let step2 = sent["step2"].as_bool().unwrap();
            let verdict = if step2 { gate.take_step2(&update) } else { gate.take(&update) };
            if let Verdict::Refused(error) = verdict {
                panic!("seed {}: {error} ({}), {history}", history["seed"], error.word());
            }
            if verdict == Verdict::Logged {
                logged.push(update);
            }
            updates += 1;
        }
        assert!(gate.history.checks_places(), "seed {}", history["seed"]);
        assert_eq!(text_of(&logged), history["text"].as_str().unwrap(), "seed {}", history["seed"]);
        histories += 1;
    }
    println!("{histories} histories, {updates} updates");
    assert_eq!(histories, seeds.count());
}
