//! service-a with an outbox: killed, alone without a broker, with more than fits.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use crate::harness::{Scenario, Signal, Test, eventually, scenario, soon};

/// The scenarios of this file.
pub fn scenarios() -> Vec<Scenario> {
    vec![
        scenario!(service_a_with_an_outbox_survives_kill_9),
        scenario!(an_outbox_needs_no_broker_to_be_filled),
        scenario!(what_cannot_be_read_again_is_not_dropped_in_silence),
        scenario!(a_full_outbox_makes_reading_wait),
        scenario!(an_outbox_knows_its_file),
        scenario!(events_may_be_scheduled),
        scenario!(an_event_that_the_topic_refuses_holds_its_key_only, Admin),
    ]
}

/// A store that nobody is at: its port takes no connection.
const NOWHERE: &str = "127.0.0.1:9";
/// A relay that was killed keeps its lease for ten seconds.
const TAKEN_OVER: Duration = Duration::from_secs(20);

struct Files {
    folder: TempDir,
    lines: PathBuf,
}

impl Files {
    /// `count` lines of fifty keys.
    fn new(count: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let lines = folder.path().join("lines.jsonl");
        let files = Self { folder, lines };
        files.write(count);
        files
    }

    fn write(&self, count: usize) {
        let line = |number| format!("{{\"k\":\"k{}\",\"n\":{number}}}\n", number % 50);
        std::fs::write(&self.lines, (0..count).map(line).collect::<String>()).unwrap();
    }

    fn arguments<'a>(&'a self, outbox: &'a str, more: &[&'a str]) -> Vec<&'a str> {
        let lines = self.lines.to_str().unwrap();
        [&["--from", lines, "--key-field", "k", "--outbox", outbox], more].concat()
    }

    fn outbox(&self) -> String {
        format!("sqlite:{}", self.folder.path().join("outbox.db").display())
    }
}

/// How many records the topic has.
fn written(test: &Test) -> i64 {
    test.records.ends(&test.topic).values().map(|(low, end)| end - low).sum()
}

/// Every line is there; a line that is there twice has one id; of each key the first appearances are in order.
fn assert_each_line_once(test: &Test, count: usize) {
    let (mut ids, mut owners) = (HashMap::<String, String>::new(), HashSet::new());
    let mut per_key = BTreeMap::<Vec<u8>, Vec<usize>>::new();
    for sent in test.records.all(&test.topic) {
        let (value, id) = (sent.record.value_text(), sent.record.text("ce_id").unwrap());
        if let Some(known) = ids.get(&value) {
            assert_eq!(*known, id, "{value} has two ids");
            continue;
        }
        assert!(owners.insert(id.clone()), "two lines have the id {id}");
        let number = value.rsplit_once(':').unwrap().1.trim_end_matches('}').parse().unwrap();
        per_key.entry(sent.record.key.unwrap()).or_default().push(number);
        ids.insert(value, id);
    }
    assert_eq!(ids.len(), count, "different lines");
    for (key, numbers) in per_key {
        assert!(numbers.is_sorted(), "{}: {numbers:?}", String::from_utf8_lossy(&key));
    }
}

/// Somewhere between nothing and half a second.
fn at_random() -> Duration {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    Duration::from_millis(u64::from(now.subsec_nanos() / 7 % 500))
}

/// Catches: a line stored without its position or the other way round, a row deleted before it is acknowledged, a relay
/// that sends in another order after a crash.
fn service_a_with_an_outbox_survives_kill_9(test: &Test) {
    const COUNT: usize = 20_000;
    test.topic(3);
    let files = Files::new(COUNT);
    let outbox = files.outbox();
    let arguments = files.arguments(&outbox, &["--rate", "1000"]);
    // The third and the fifth also while rows are relayed: until then the lease of the one before holds them.
    for run in 0..5 {
        let mut a = test.service_a(&arguments);
        let before = written(test);
        if run == 2 || run == 4 {
            let is_relaying = || (written(test) > before || !a.is_running()).then_some(());
            eventually(TAKEN_OVER, "some are relayed", is_relaying);
        } else {
            std::thread::sleep(at_random());
        }
        a.signal(Signal::Kill);
    }
    let mut last = test.service_a(&arguments);
    assert_eq!(last.exit_code(Duration::from_mins(1)), Some(0));
    assert_each_line_once(test, COUNT);
    let mut again = test.service_a(&arguments);
    assert_eq!(again.exit_code(soon()), Some(0));
    assert_eq!(again.stdout(), ["published 0, acknowledged 0"]);
    assert!(again.stderr().iter().any(|line| line.contains("everything was published before")));
}

/// Catches: a start that wants a broker, a Ctrl-C that calls what is stored lost, a restart that stores again.
fn an_outbox_needs_no_broker_to_be_filled(test: &Test) {
    const COUNT: usize = 3_000;
    test.topic(3);
    let files = Files::new(COUNT);
    let outbox = files.outbox();
    let away = ["--bootstrap-servers", NOWHERE, "--shutdown-deadline", "100ms", "--output", "json"];
    let mut first = test.service_a(&files.arguments(&outbox, &away));
    first.wait_for_line("waits for Kafka", soon());
    assert_eq!(first.stop(soon()), Some(0));
    let line: serde_json::Value = serde_json::from_str(&first.stdout()[0]).unwrap();
    assert_eq!((line["stored"].as_u64(), line["remaining"].as_u64()), (Some(3000), Some(3000)));
    // What is new in the file meanwhile goes out, too.
    files.write(COUNT + 10);
    let mut second = test.service_a(&files.arguments(&outbox, &[]));
    assert_eq!(second.exit_code(soon()), Some(0));
    assert_eq!(second.stdout(), ["published 3010, acknowledged 3010"]);
    assert_each_line_once(test, COUNT + 10);
}

/// Catches: a bound that nobody keeps, and reading that gives up at it.
fn a_full_outbox_makes_reading_wait(test: &Test) {
    const COUNT: usize = 5_000;
    test.topic(3);
    let files = Files::new(COUNT);
    let outbox = files.outbox();
    let bound = ["--outbox-bound", "1000"];
    let away = ["--bootstrap-servers", NOWHERE, "--shutdown-deadline", "100ms"];
    let mut first = test.service_a(&files.arguments(&outbox, &[&bound[..], &away].concat()));
    first.wait_for_line("the outbox holds 1000 events", soon());
    assert_eq!(first.stop(soon()), Some(0));
    assert_eq!(first.stdout(), ["published 0, acknowledged 0, 1000 remain in the outbox"]);
    let mut second = test.service_a(&files.arguments(&outbox, &bound));
    assert_eq!(second.exit_code(soon()), Some(0));
    assert_each_line_once(test, COUNT);
}

/// Catches: lines of standard input, or of a pipe, that were read and are nowhere after a Ctrl-C that calls all well.
fn what_cannot_be_read_again_is_not_dropped_in_silence(test: &Test) {
    test.topic(1);
    let folder = tempfile::tempdir().unwrap();
    let (pipe, outbox) = (folder.path().join("pipe"), folder.path().join("outbox.db"));
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let lines = "a line\n".repeat(1_500);
    let writer = std::thread::spawn({
        let pipe = pipe.clone();
        move || std::fs::write(pipe, lines)
    });
    let outbox = format!("sqlite:{}", outbox.display());
    let source = ["--from", pipe.to_str().unwrap(), "--outbox", &outbox, "--outbox-bound", "1000"];
    let away = ["--bootstrap-servers", NOWHERE, "--shutdown-deadline", "500ms"];
    let mut a = test.service_a(&[&source[..], &away].concat());
    a.wait_for_line("the outbox holds 1000 events", soon());
    assert_eq!(a.stop(soon()), Some(1));
    writer.join().unwrap().unwrap();
    let said = a.stderr().join("\n");
    assert!(said.contains("500 events that were read are neither in it nor published"), "{said}");
    assert!(said.contains("line 1000 is the last one in the outbox"), "{said}");
    assert_eq!(a.stdout(), ["published 0, acknowledged 0, 1000 remain in the outbox"]);
}

/// Catches: a position that is applied to a file in which it means nothing.
fn an_outbox_knows_its_file(test: &Test) {
    test.topic(1);
    let files = Files::new(100);
    let outbox = files.outbox();
    let mut first = test.service_a(&files.arguments(&outbox, &[]));
    assert_eq!(first.exit_code(soon()), Some(0));
    files.write(50);
    let mut second = test.service_a(&files.arguments(&outbox, &[]));
    assert_eq!(second.exit_code(soon()), Some(1));
    let said = second.stderr().concat();
    assert!(said.contains("is not the file that was read before") && said.contains("another name"), "{said}");
    assert_each_line_once(test, 100);
}

/// Catches: attributes that are lost on one of the two ways.
fn events_may_be_scheduled(test: &Test) {
    test.topic(1);
    let files = Files::new(1);
    let outbox = files.outbox();
    let times = ["--delay", "30s", "--expires-after", "1h"];
    let lines = files.lines.to_str().unwrap();
    for arguments in [files.arguments(&outbox, &times), [&["--from", lines], &times[..]].concat()] {
        assert_eq!(test.service_a(&arguments).exit_code(soon()), Some(0));
    }
    let sent = test.records.all(&test.topic);
    assert_eq!(sent.len(), 2);
    for sent in sent {
        let [time, start, end] =
            ["ce_time", "ce_notbefore", "ce_expirytime"].map(|name| sent.record.text(name).unwrap());
        assert!(time < start && start < end, "{time} {start} {end}");
    }
}

/// Catches: a batch refused as a whole for one of its events, a later event of the key that passes, and success claimed.
fn an_event_that_the_topic_refuses_holds_its_key_only(test: &Test) {
    test.broker.create_topic(&test.topic, 3, &[("max.message.bytes", "10000")]);
    let files = Files::new(0);
    let large = "x".repeat(50_000);
    let padding = |number| if number == 60 { large.as_str() } else { "" };
    let line =
        |number| format!("{{\"k\":\"k{}\",\"p\":\"{}\",\"n\":{number}}}\n", number % 6, padding(number));
    std::fs::write(&files.lines, (0..120).map(line).collect::<String>()).unwrap();
    let outbox = files.outbox();
    // Without compression: these bytes would become few.
    let options = ["--kafka", "compression.type=none", "--output", "json"];
    let mut a = test.service_a(&files.arguments(&outbox, &options));
    assert_eq!(a.exit_code(Duration::from_mins(1)), Some(1));
    let said: serde_json::Value = serde_json::from_str(&a.stdout()[0]).unwrap();
    assert_eq!((said["acknowledged"].as_u64(), said["remaining"].as_u64()), (Some(110), Some(10)), "{said}");
    assert_eq!(said["refused"].as_u64(), Some(1), "{said}");
    assert_each_line_once(test, 110);
    let passed = |number: usize| number.is_multiple_of(6) && number >= 60;
    for sent in test.records.all(&test.topic) {
        let value = sent.record.value_text();
        let number = value.rsplit_once(':').unwrap().1.trim_end_matches('}').parse().unwrap();
        assert!(!passed(number), "{number} went past the one that is refused");
    }
}
