//! What each event adds to which row.

use super::*;
use shared::event::NewEvent;
use shared::testkit;

const TYPE: &str = "com.example.order_placed.v1";

fn placed(data: &str) -> NewEvent {
    let mut event = NewEvent::new("/shop", TYPE).data("application/json", data);
    event.time = "2026-03-01T10:20:59.999Z".parse().expect("a time");
    event
}

fn parameters(field: &str, event: NewEvent) -> Vec<Value> {
    let effects = testkit::handle(Statistics::new("service-b", Some(field)), event).expect("counted");
    assert!(effects.events().is_empty());
    let [(statement, parameters)] = effects.writes() else { panic!("one write: {effects:?}") };
    assert_eq!(**statement, COUNT);
    parameters.clone()
}

fn number(field: &str, data: &str) -> Value {
    parameters(field, placed(data)).pop().expect("six parameters")
}

#[test]
fn an_event_is_one_write_to_the_row_of_its_type_key_and_minute() {
    let expected = [
        Value::Text("service-b".to_owned()),
        Value::Text(TYPE.to_owned()),
        Value::Integer(1_772_360_400),
        Value::Integer(1),
        Value::Bytes(b"k".to_vec()),
        Value::Real(2.5),
    ];
    assert_eq!(parameters("total", placed(r#"{"total":2.5}"#).key("k")), expected);
}

#[test]
fn a_null_key_and_an_empty_one_are_two_rows() {
    let row = |event| parameters("x", event)[3..5].to_vec();
    assert_eq!(row(placed("{}")), [Value::Integer(0), Value::Bytes(Vec::new())]);
    assert_eq!(row(placed("{}").key("")), [Value::Integer(1), Value::Bytes(Vec::new())]);
}

/// Catches: rounding towards 1970 instead of down, and local time.
#[test]
fn the_minute_is_the_one_in_which_it_happened() {
    let minute = |time: &str| {
        let mut event = placed("{}");
        event.time = time.parse().expect("a time");
        parameters("x", event).swap_remove(2)
    };
    assert_eq!(minute("1970-01-01T00:00:59.999Z"), Value::Integer(0));
    assert_eq!(minute("1970-01-01T00:01:00Z"), Value::Integer(60));
    assert_eq!(minute("1969-12-31T23:59:59.999Z"), Value::Integer(-60));
    assert_eq!(minute("1970-01-01T05:31:30+05:30"), Value::Integer(60));
}

#[test]
fn a_field_is_a_member_or_a_path() {
    assert_eq!(number("total", r#"{"total":7}"#), Value::Real(7.0));
    assert_eq!(number("order.total", r#"{"order":{"total":-7.5}}"#), Value::Real(-7.5));
    assert_eq!(number("order.total", r#"{"order.total":1,"order":{"total":2}}"#), Value::Real(1.0));
    assert_eq!(
        number("n", r#"{"n":123456789012345678901234567890}"#),
        Value::Real(1.234_567_890_123_456_8e29)
    );
    assert_eq!(number("n", r#"{"n":-0.0}"#), Value::Real(-0.0));
}

#[test]
fn what_is_no_number_is_counted_and_not_summed_up() {
    let data = ["{}", r#"{"n":"7"}"#, r#"{"n":null}"#, r#"{"n":[7]}"#, r#"{"n":1e301}"#, r#"{"n":1e999}"#];
    for data in data.into_iter().chain(["7", "[7]", "not JSON", "{\"n\":7", ""]) {
        assert_eq!(number("n", data), Value::Null, "{data}");
    }
    let without_data = NewEvent::new("/shop", TYPE);
    assert_eq!(parameters("n", without_data).pop(), Some(Value::Null));
    let no_field =
        testkit::handle(Statistics::new("service-b", None), placed(r#"{"n":7}"#)).expect("counted");
    assert_eq!(no_field.writes()[0].1[5], Value::Null);
}

#[test]
fn says_what_it_writes_and_that_it_only_computes() {
    const { assert!(Statistics::PURE) };
    let schema = Statistics::new("service-b", None).schema();
    assert_eq!((schema.migrations.len(), schema.statements), (1, [&COUNT, &FORGET, &RENAME].as_slice()));
}
