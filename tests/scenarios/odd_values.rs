//! What comes from outside must not write its own log lines.

use crate::harness::{Raw, Scenario, Test, event_headers, scenario, soon};

/// The scenarios of this file.
pub fn scenarios() -> Vec<Scenario> {
    vec![scenario!(control_characters_never_reach_the_terminal)]
}

/// Catches: data, ids, types or header values that are logged as they are; errors that quote them.
fn control_characters_never_reach_the_terminal(test: &Test) {
    let topic = test.topic(1);
    let evil = "a\x1b[2J\r\nINFO forged line\x07\u{9b}31m";
    let event = Raw::new("k", evil).with(event_headers(evil, "com.example.a.v1"));
    let unknown = Raw::new("k", "v").with(event_headers("2", evil));
    let broken = Raw::new("k", format!("{{\"{evil}")).header("content-type", "application/json");
    let strange = Raw::new("k", "v").header("content-type", evil);
    let named = Raw::new("k", "v").header(format!("ce_{evil}"), evil);
    let plain = Raw::new(evil, evil).header("content-type", "text/plain");
    let bytes = Raw::new("k", [0x1b, b'[', b'2', b'J', 0xff, 0x07]);
    test.records.send(topic, &[event, unknown, broken, strange, named, plain, bytes]);
    let formats = ["human", "json"];
    let run = |format: &str| {
        let group = format!("{}-{format}", test.group);
        test.service_b(&[
            "--until-caught-up",
            "--log-format",
            format,
            "--group",
            &group,
            "--handle",
            "com.example.*=log",
            "--handle",
            "plain=log",
        ])
    };
    for (format, mut b) in formats.map(|format| (format, run(format))) {
        assert_eq!(b.exit_code(soon()), Some(0));
        for line in b.stderr().iter().chain(&b.stdout()) {
            assert!(!line.contains(char::is_control), "{format}: {line:?}");
            assert!(!line.starts_with("INFO forged"), "{format}: {line:?}");
        }
        assert!(b.stderr().concat().contains("forged"), "{format}: it is shown, harmless");
    }
}
