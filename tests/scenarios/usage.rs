//! Wrong usage does not start, says what to write, and no secret is printed on the way.

use std::time::Duration;

use crate::harness::{Process, Scenario, Test, eventually, scenario, soon};

/// The scenarios of this file.
pub fn scenarios() -> Vec<Scenario> {
    vec![
        scenario!(wrong_usage_ends_with_2_and_says_what_to_write),
        scenario!(secrets_are_never_printed),
        scenario!(a_file_of_settings_is_read_and_checked),
    ]
}

/// Where nobody listens: wrong usage must show before anybody connects.
const NOWHERE: [&str; 2] = ["--bootstrap-servers", "127.0.0.1:1"];

fn refused(mut process: Process, needles: &[&str]) {
    let code = process.exit_code(Duration::from_secs(10));
    let text = process.stderr().join("\n");
    assert_eq!(code, Some(2), "{text}");
    for needle in needles {
        assert!(text.contains(needle), "{needle:?} is not in: {text}");
    }
    assert_eq!(process.stdout(), [""; 0]);
}

/// Catches: checks that come after the connection, messages without the way out, exit code 1 for 2.
fn wrong_usage_ends_with_2_and_says_what_to_write(test: &Test) {
    let cases: [(&[&str], &[&str]); 12] = [
        (&["--handle", "*=lgo"], &["lgo", "log, discard"]),
        (&["--handle", "*=log", "--handle", "*=discard"], &["two handlers", "*"]),
        (&["--handle", "log"], &["PATTERN=NAME"]),
        (&["--handle", "a*b=log"], &["a*b"]),
        (&["--kafka", "group.id=x"], &["group.id", "--group"]),
        (&["--kafka", "no.such.setting=x"], &["no.such.setting"]),
        (&["--kafka", "linger.ms"], &["KEY=VALUE"]),
        (&["--topic", "no/topic"], &["no/topic", "topic name"]),
        (&["--group", "a group"], &["--group"]),
        (&["--window", "1"], &["--window"]),
        (&["--handler-timeout", "soon"], &["500ms"]),
        (&["--group", "g", "--topic", "g.commands"], &["g.commands", "--commands off"]),
    ];
    for (arguments, needles) in cases {
        refused(test.service_b(&[arguments, &NOWHERE].concat()), needles);
    }
    let cases: [(&[&str], &[&str]); 6] = [
        (&["--topic", "no/topic"], &["no/topic", "topic name"]),
        (&["--kafka", "acks=0"], &["acks"]),
        (&["--rate", "5", "--interval", "1s"], &["--rate", "--interval"]),
        (&["--interval", "5"], &["500ms"]),
        (&["--key-field", "x"], &["--from"]),
        (&["--frmo", "x"], &["--from"]),
    ];
    for (arguments, needles) in cases {
        refused(test.service_a(&[arguments, &NOWHERE].concat()), needles);
    }
    let cases: [(&[&str], &[&str]); 4] = [
        (&["two words"], &["no spaces"]),
        (&["resize", "--data", "width=80"], &["--data", "JSON"]),
        (&["ping", "--no-wait", "--wait", "1s"], &["--no-wait", "--wait"]),
        (&["ping", "--kafka", "acks=0"], &["acks"]),
    ];
    for (arguments, needles) in cases {
        refused(test.send(&[arguments, &NOWHERE].concat()), needles);
    }
}

const CANARY: &str = "canary-7f3a";

/// Catches: an error, a log line or a `Debug` that prints a setting's value.
fn secrets_are_never_printed(test: &Test) {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text.replace("CANARY", CANARY)).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let broken = file("broken.toml", "[kafka]\n'sasl.password' = CANARY");
    let unknown = file("unknown.toml", "[kafka]\n'sasl.pasword' = 'CANARY'");
    let nested = file("nested.toml", "[kafka.sasl]\npassword = 'CANARY'");
    let given =
        ["sasl.password", "sasl.pasword", "ssl.key.pem", "ssl.key.password", "linger.ms", "sasl.username"]
            .map(|key| format!("{key}={CANARY}"));
    let mut cases: Vec<Vec<&str>> = given.iter().map(|pair| vec!["--kafka", pair.as_str()]).collect();
    cases.push(vec!["--kafka", CANARY]);
    cases.extend([&broken, &unknown, &nested].map(|path| vec!["--config", path.as_str()]));
    let mut running = Vec::new();
    for case in &cases {
        for service in ["service-a", "service-b"] {
            running.push((case, test.traced(service, &[case.as_slice(), &NOWHERE].concat())));
        }
    }
    for (case, mut process) in running {
        eventually(soon(), "it ends, or says that it waits", || {
            let waits = process.stderr().iter().any(|line| line.contains("Trying again"));
            (waits || !process.is_running()).then_some(())
        });
        process.stop(soon());
        let lines = process.log().all();
        assert!(!lines.is_empty(), "{case:?} says nothing");
        assert!(!lines.join("\n").contains(CANARY), "{case:?}: {}", lines.join("\n"));
    }
}

/// Catches: a file that is ignored, and a mistyped name in it that is.
fn a_file_of_settings_is_read_and_checked(test: &Test) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("settings.toml");
    std::fs::write(&path, "count = 3\ninterval = '1ms'\n").unwrap();
    let path = path.to_str().unwrap();
    test.topic(1);
    let mut a = test.service_a(&["--config", path]);
    assert_eq!(a.exit_code(soon()), Some(0));
    assert_eq!(a.stdout(), ["published 3, acknowledged 3"]);
    let mut over = test.service_a(&["--config", path, "--count", "4"]);
    assert_eq!(over.exit_code(soon()), Some(0));
    assert_eq!(over.stdout(), ["published 4, acknowledged 4"]);
    std::fs::write(path, "cuont = 3\n").unwrap();
    refused(test.service_a(&["--config", path]), &["cuont"]);
}
