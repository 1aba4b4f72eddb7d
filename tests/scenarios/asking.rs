//! What operators ask, while services run.

use serde_json::Value;

use crate::harness::{Process, Raw, Scenario, Test, event_headers, eventually, scenario, soon};

/// The scenarios of this file.
pub fn scenarios() -> Vec<Scenario> {
    vec![
        scenario!(an_operator_finds_a_dead_letter_while_the_service_runs),
        scenario!(a_question_that_cannot_be_answered_says_why),
        scenario!(both_programs_print_completions_and_pages),
    ]
}

fn ended(mut tool: Process, code: i32) -> Process {
    assert_eq!(tool.exit_code(soon()), Some(code), "{:?}", tool.stderr());
    tool
}

fn objects(test: &Test, arguments: &[&str]) -> Vec<Value> {
    let tool = ended(test.tool(&[arguments, &["--output", "json"]].concat()), 0);
    tool.stdout().iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Catches: a tool that waits for the service, or that shows a terminal what somebody wrote for it.
fn an_operator_finds_a_dead_letter_while_the_service_runs(test: &Test) {
    let topic = test.topic(1);
    let of =
        |id: &str, data: &str| Raw::new("customer 7", data).with(event_headers(id, "com.example.ordered.v1"));
    let hostile = of("bad", "{\"do\":\"refuse 0 bad\",\"text\":\"\u{9b}2J\",\"amount\":1.10}")
        .header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    test.records.send(topic, &[of("good", "ok good"), hostile, of("later", "fail 1000 later")]);
    let _b = test.scripted(&[]);
    let dead = eventually(soon(), "the dead letter is listed", || {
        let filter = ["--type", "com.example.*", "--since", "1h", "--output", "json"];
        let mut tool = test.tool(&[["dead-letters", "list"].as_slice(), &filter].concat());
        tool.exit_code(soon()); // 1 until the service has made its store
        tool.stdout().first().map(|line| serde_json::from_str::<Value>(line).unwrap())
    });
    assert_eq!(
        (&dead["id"], &dead["status"], &dead["key"]),
        (&"bad".into(), &"dead".into(), &"customer 7".into())
    );

    let shown = ended(test.tool(&["dead-letters", "show", "bad"]), 0).stdout();
    for line in [
        "type        com.example.ordered.v1",
        "trace       0af7651916cd43dd8448eb211c80319c",
        "  ce_id: bad",
        "    \"amount\": 1.10",
    ] {
        assert!(shown.iter().any(|found| found == line), "{line:?} is not in {shown:#?}");
    }
    assert!(shown.iter().all(|line| !line.contains(char::is_control)), "{shown:#?}");
    let exported = objects(test, &["dead-letters", "export", "--key", "customer 7"]);
    assert_eq!((exported.len(), &exported[0]["record"]["headers"][1]["value"]), (1, &"bad".into()));
    assert!(exported[0]["record"]["value"].as_str().unwrap().contains("\u{9b}2J"), "{exported:?}");
    assert_eq!(objects(test, &["dead-letters", "reasons"])[0]["count"], 1);

    eventually(soon(), "the last one is deferred", || {
        (objects(test, &["events", "list", "--status", "deferred"]).first()?["id"] == "later").then_some(())
    });
    let all: Vec<Value> = objects(test, &["events", "list"]);
    let ids: Vec<&str> = all.iter().filter_map(|row| row["id"].as_str()).collect();
    assert_eq!(ids, ["later", "bad", "good"], "newest first");
    let after = all[0]["row"].to_string();
    let next = objects(test, &["events", "list", "--limit", "1", "--after", &after]);
    assert_eq!((next.len(), &next[0]["id"]), (1, &"bad".into()));
    let page = ended(test.tool(&["events", "list", "--limit", "1"]), 0);
    assert!(page.stderr().concat().contains(&format!("--after {after}")), "{:?}", page.stderr());
    assert_eq!(objects(test, &["events", "get", "good"])[0]["status"], "handled");
}

/// Catches: an answer where there is none, a store that is made by who asks for it, another exit code.
fn a_question_that_cannot_be_answered_says_why(test: &Test) {
    let nowhere = tempfile::tempdir().unwrap();
    let store = format!("sqlite:{}/no/store.db", nowhere.path().display());
    let none = ended(test.tool(&["events", "list", "--store", &store]), 1);
    assert!(none.stderr().concat().contains("there is no store"), "{:?}", none.stderr());
    assert!(!nowhere.path().join("no").exists());

    let topic = test.topic(1);
    test.records.send(topic, &[Raw::new("k", "ok").with(event_headers("good", "com.example.ordered.v1"))]);
    assert_eq!(test.scripted(&["--until-caught-up"]).exit_code(soon()), Some(0));
    let cases: [(&[&str], i32, &str); 9] = [
        (&["events", "get", "bad\u{1b}[2J"], 1, "no event bad\\u{1b}[2J"),
        (&["events", "get", "good", "--source", "/nobody"], 1, "no event good of /nobody"),
        (&["dead-letters", "show", "good"], 1, "is handled and no dead letter"),
        (&["events", "list", "--group", "nobody"], 1, "knows no group \"nobody\""),
        (&["events", "list", "--status", "died"], 2, "possible values: handling"),
        (&["dead-letters", "list", "--status", "handled"], 2, "possible values: dead, parked"),
        (&["events", "list", "--type", "a*b"], 2, "com.example.*"),
        (&["events", "list", "--since", "soon"], 2, "1h"),
        (&["events", "list", "--since", "1h", "--until", "2h"], 2, "--since must lie before --until"),
    ];
    for (arguments, code, said) in cases {
        let tool = ended(test.tool(arguments), code);
        let found = tool.stderr().join("\n");
        assert!(found.contains(said), "{said:?} is not in {found}");
        assert_eq!(tool.stdout(), [""; 0]);
    }
}

fn both_programs_print_completions_and_pages(test: &Test) {
    for (program, page, part) in [
        ("service-a", ["man", "publish"].as_slice(), "key-field"),
        ("service-b", &["man", "events", "list"], "since"),
    ] {
        let shell = ended(test.traced(program, &["completions", "bash"]), 0).stdout().join("\n");
        assert!(shell.contains("complete -F") && shell.contains(part), "{shell}");
        let page = ended(test.traced(program, page), 0).stdout().join("\n");
        assert!(page.contains(".TH") && page.replace('\\', "").contains(part), "{page}");
        let none = ended(test.traced(program, &["man", "nothing"]), 1);
        assert!(none.stderr().concat().contains("has no command \"nothing\""), "{:?}", none.stderr());
    }
}
