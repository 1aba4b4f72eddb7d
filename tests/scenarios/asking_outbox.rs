//! What operators ask of service-a's outbox, and what they pause there.

use std::time::Duration;

use serde_json::Value;

use crate::harness::{Scenario, Test, eventually, scenario, soon};

/// The scenarios of this file.
pub fn scenarios() -> Vec<Scenario> {
    vec![
        scenario!(what_waits_in_an_outbox_can_be_asked_for),
        scenario!(a_source_that_is_paused_is_not_read_until_it_is_resumed),
    ]
}

/// A store that nobody is at: its port takes no connection.
const NOWHERE: [&str; 4] = ["--bootstrap-servers", "127.0.0.1:9", "--shutdown-deadline", "100ms"];

/// What a tool of service-a printed, an object a line.
fn asked(test: &Test, outbox: &str, arguments: &[&str]) -> Vec<Value> {
    let (code, out, err) = test.ask_outbox(outbox, &[arguments, &["--output", "json"]].concat());
    assert_eq!(code, Some(0), "{arguments:?}: {err}");
    out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Catches: an event that is not found where it is, one that is found where it is not, a tool that makes a store.
fn what_waits_in_an_outbox_can_be_asked_for(test: &Test) {
    test.topic(1);
    let folder = tempfile::tempdir().unwrap();
    let (lines, file) = (folder.path().join("lines.jsonl"), folder.path().join("outbox.db"));
    std::fs::write(&lines, "{\"k\":\"a\"}\n\n{\"k\":\"b\"}\n{\"k\":\"c\"}\n").unwrap();
    let (lines, outbox) = (lines.canonicalize().unwrap(), format!("sqlite:{}", file.display()));
    let lines = lines.to_str().unwrap();
    let (code, _, err) = test.ask_outbox(&outbox, &["events", "list"]);
    assert!(code == Some(1) && err.contains("there is no store") && !file.exists(), "{err}");

    let publishing = ["--from", lines, "--key-field", "k", "--outbox", &outbox];
    let mut a = test.service_a(&[&publishing[..], &NOWHERE].concat());
    a.wait_for_line("waits for Kafka", soon());
    assert_eq!(a.stop(soon()), Some(0));

    let events = asked(test, &outbox, &["events", "list"]);
    let keys: Vec<&str> = events.iter().filter_map(|event| event["key"].as_str()).collect();
    assert_eq!(keys, ["a", "b", "c"]);
    let more =
        asked(test, &outbox, &["events", "list", "--limit", "1", "--after", &events[0]["row"].to_string()]);
    assert_eq!(more, events[1..2]);
    let id = events[1]["id"].as_str().unwrap();
    assert_eq!(asked(test, &outbox, &["events", "get", id]), events[1..2]);
    let (code, out, _) = test.ask_outbox(&outbox, &["events", "get", id]);
    assert!(code == Some(0) && out.contains("status  accepted, waiting"), "{out}");
    let sources = asked(test, &outbox, &["sources", "list"]);
    assert_eq!((&sources[0]["source"], &sources[0]["at"]), (&lines.into(), &31.into()), "{sources:?}");
    assert_eq!((&sources[0]["number"], &sources[0]["paused"]), (&4.into(), &Value::Null), "{sources:?}");
    assert_eq!(sources[1], serde_json::json!({ "waiting": 3, "refused": 0 }));

    assert_eq!(test.service_a(&publishing).exit_code(soon()), Some(0));
    assert_eq!(asked(test, &outbox, &["events", "list"]), [] as [Value; 0]);
    let (code, _, err) = test.ask_outbox(&outbox, &["events", "get", id]);
    assert!(code == Some(1) && err.contains("is not here: published, or never accepted"), "{err}");
}

/// Catches: a pause that only who is running sees, or only who starts later; one that is caught up with; a name that nobody
/// reads taken for paused.
fn a_source_that_is_paused_is_not_read_until_it_is_resumed(test: &Test) {
    test.topic(1);
    let folder = tempfile::tempdir().unwrap();
    let outbox = format!("sqlite:{}", folder.path().join("outbox.db").display());
    let counting = ["--count", "0", "--rate", "20", "--outbox", &outbox];
    let once = ["--count", "1", "--outbox", &outbox];
    assert_eq!(test.service_a(&once).exit_code(soon()), Some(0), "there is a store to ask");
    let mut a = test.service_a(&counting);
    let read = || asked(test, &outbox, &["sources", "list"])[0]["at"].as_i64();
    eventually(soon(), "it goes on", || (read() > Some(1)).then_some(()));
    let name = asked(test, &outbox, &["sources", "list"])[0]["source"].as_str().unwrap().to_owned();
    let (code, _, err) = test.ask_outbox(&outbox, &["sources", "pause", "anothr"]);
    assert!(code == Some(1) && err.contains("no source anothr was read"), "{err}");
    assert_eq!(asked(test, &outbox, &["sources", "pause", &name])[0]["changed"], true);
    a.wait_for_line("is paused since", soon());
    let stood = read();
    std::thread::sleep(Duration::from_millis(1_500));
    assert_eq!(read(), stood, "nothing is read");
    assert!(asked(test, &outbox, &["sources", "list"])[0]["paused"].is_string());
    assert_eq!(a.stop(soon()), Some(0));

    let mut again = test.service_a(&counting);
    again.wait_for_line("is paused since", soon());
    assert_eq!(read(), stood, "nothing is read after a restart");
    assert_eq!(asked(test, &outbox, &["sources", "resume", &name])[0]["changed"], true);
    again.wait_for_line("goes on", soon());
    eventually(soon(), "it is read again", || (read() > stood).then_some(()));
    assert_eq!(again.stop(soon()), Some(0));
    assert_eq!(asked(test, &outbox, &["sources", "resume", &name])[0]["changed"], false);
}
