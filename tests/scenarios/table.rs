//! The README's table of nouns and verbs: each command in it works as it is written there.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::harness::{ASSIGNED, Raw, Scenario, Test, event_headers, eventually, scenario, soon};

/// The scenarios of this file.
pub fn scenarios() -> Vec<Scenario> {
    vec![scenario!(every_command_of_the_table_works, Readme)]
}

const NOUNS: [&str; 7] =
    ["event", "event stream", "command", "event source", "message queue", "message", "message stream"];

/// What the embedded broker does not know.
const NEED_ADMIN: [&str; 3] = ["streams truncate", "streams delete-key", "groups list"];
const COMPACTED: &str = "settings";

/// The commands of the table's cells, in order.
fn commands(readme: &str) -> Vec<String> {
    let cells: Vec<[&str; 3]> = readme
        .lines()
        .filter_map(|line| {
            let cells: Vec<&str> = line.strip_prefix("| ")?.strip_suffix(" |")?.splitn(3, " | ").collect();
            <[&str; 3]>::try_from(cells).ok().filter(|[noun, ..]| NOUNS.contains(noun))
        })
        .collect();
    let pairs: BTreeSet<(&str, &str)> = cells.iter().map(|[noun, verb, _]| (*noun, *verb)).collect();
    assert_eq!((cells.len(), pairs.len()), (56, 56), "a cell for each noun and verb");
    assert!(cells.iter().all(|[.., how]| !how.is_empty()));
    let spans = cells.iter().flat_map(|[.., how]| how.split('`').skip(1).step_by(2));
    spans.filter(|span| span.starts_with("service-")).map(str::to_owned).collect()
}

/// Catches: a table that names commands which do not exist, or do not do what they should.
fn every_command_of_the_table_works(test: &Test) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let commands = commands(&std::fs::read_to_string(root.join("README.md")).unwrap());
    assert!(commands.len() > 40, "{commands:?}");
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("orders.jsonl"), "{\"customer\":\"a\"}\n{\"customer\":\"b\"}\n")
        .unwrap();

    let topic = test.topic(1);
    let has_admin = test.broker.has_admin();
    if !has_admin {
        // Each would be made after a question that this broker does not answer.
        let group = &test.group;
        for other in [
            format!("dlq.{group}-try.{topic}"),
            format!("dlq.{group}-try.{topic}.refunds"),
            format!("{group}.replies"),
        ] {
            test.broker.create_topic(&other, 1, &[]);
        }
    }
    for other in ["refunds", COMPACTED] {
        let settings = [("cleanup.policy", "compact")];
        test.broker.create_topic(&named(test, other), 1, if other == COMPACTED { &settings } else { &[] });
    }
    test.records
        .send(topic, &[order(1, "ok"), order(2, "fail 1000000"), order(3, "refuse 0"), order(4, "refuse 0")]);
    let mut b = test.scripted(&["--retry-first", "10m", "--retry-max", "10m", "--shutdown-deadline", "1s"]);
    b.wait_for_line(ASSIGNED, soon());
    eventually(soon(), "all four are settled or wait", || {
        (test.sql("select count(*) from events where status in ('handled', 'deferred', 'dead')") == 4)
            .then_some(())
    });
    for line in &commands {
        if !has_admin && NEED_ADMIN.iter().any(|part| line.contains(part)) {
            println!("not on this broker: {line}");
            continue;
        }
        let mut shell = Command::new("sh");
        shell.current_dir(&folder).args(["-c", &here(test, line)]);
        shell.envs(test.environment());
        if line.contains("--until-caught-up") && !has_admin {
            shell.env("KAFKA_PROPERTIES", test.broker.member_settings().join(";"));
        }
        let mut done = test.start("the table's command", shell);
        let code = done.exit_code(soon());
        assert_eq!(code, Some(0), "{line}: {:?} {:?}", done.stdout(), done.stderr());
    }
    let cancelled =
        "select count(*) from events where status = 'cancelled' and id in ('order-9', 'order-10')";
    assert_eq!(test.sql(cancelled), 2);
    assert_eq!(test.sql("select count(*) from events where status = 'deleted' and id = 'order-1'"), 1);
    let exported = std::fs::read_to_string(folder.path().join("dead.ndjson")).unwrap();
    let dead: Vec<Value> = exported.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(dead.iter().any(|dead| dead["id"] == "order-4"), "{exported}");
    assert_eq!(b.stop(soon()), Some(0));
}

fn order(number: usize, script: &str) -> Raw {
    let headers = event_headers(&format!("order-{number}"), "com.example.ordered.v1");
    Raw::new(format!("customer-{number}"), script).with(headers)
}

fn named(test: &Test, name: &str) -> String {
    format!("{}.{name}", test.topic)
}

/// The line with the names of this test.
fn here(test: &Test, line: &str) -> String {
    let words = line.split(' ').map(|word| match word {
        "orders" => test.topic.clone(),
        "refunds" | COMPACTED => named(test, word),
        "dlq.service-b.orders" => test.dead_letters(),
        "service-b.commands" => format!("{}.commands", test.group),
        "try" => format!("{}-try", test.group),
        _ => word.replace("orders/0", &format!("{}/0", test.topic)),
    });
    words.collect::<Vec<_>>().join(" ")
}
